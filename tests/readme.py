"""Reads the README as its tests need it: the rows of its tables, and its code."""

from __future__ import annotations

import re

from tests.paths import ROOT

README = ROOT / "README.md"


def rows(heading: str) -> list[list[str]]:
    """Return the cells of every row of the tables under ``heading``, without their heads."""
    lines = [line for line in _section(heading).splitlines() if line.startswith("|")]
    heads = {index for index, line in enumerate(lines) if set(line) <= set("|-")}
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for index, line in enumerate(lines)
        if index not in heads and index + 1 not in heads
    ]


def blocks(language: str, heading: str) -> list[str]:
    """Return the fenced code of ``language`` under ``heading``; that of no language has an empty one."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", _section(heading), re.MULTILINE | re.DOTALL)
    return [code for written_in, code in found if written_in == language]


def _section(heading: str) -> str:
    """Return the text below ``heading``, down to the next heading of any level."""
    found = re.search(
        rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", _without_code(README.read_text()), re.MULTILINE | re.DOTALL
    )
    assert found, f"the README has no heading {heading!r}"
    return README.read_text()[found.start(1) : found.end(1)]


def _without_code(text: str) -> str:
    """Return ``text`` with every ``#`` inside code blanked, since it is not a heading."""
    return re.sub(r"^```.*?^```$", lambda code: code[0].replace("#", " "), text, flags=re.MULTILINE | re.DOTALL)
