"""functions.yaml with changes, and what is said of them."""

from __future__ import annotations

import re

import pytest
import yaml

from declaration.reading import DeclarationError, parse_declaration
from tests.paths import ROOT, SAMPLE_FUNCTIONS

OWN = ROOT / "deploy" / "functions.yaml"
SMALL = SAMPLE_FUNCTIONS / "small" / "deploy" / "functions.yaml"


def changed(field: str, value: object) -> str:
    """Return functions.yaml with ``value`` in ``field``, a path with dots."""
    document = yaml.safe_load(OWN.read_text(encoding="utf-8"))
    *parents, last = field.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    return yaml.safe_dump(document, sort_keys=False)


def errors(text: str) -> list[str]:
    """Return the lines of the error that ``text`` leads to."""
    with pytest.raises(DeclarationError) as raised:
        parse_declaration(text)
    return str(raised.value).splitlines()


def error_of(text: str, field: str) -> str:
    """Return what is wrong with ``field``, the only one that is wrong in ``text``."""
    (line,) = errors(text)
    found = re.fullmatch(rf"functions\.yaml, line \d+: {re.escape(field)} (.*)", line)
    assert found, line
    return found[1]
