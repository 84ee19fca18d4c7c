"""The runbook has a section for every alert and every event, and its commands exist."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

import click
import pytest

from deploy.__main__ import _parser
from deploy.declared import read
from deploy.monitoring.alerts import alerts
from deploy.planning.commands import OWNER_LABEL
from modeldrop.__main__ import main
from shared.events.outgoing import EVENT_TYPES, OTHER_TYPES
from tests.paths import ROOT

RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
BLOCKS = [block.replace("\\\n", " ") for block in re.findall(r"```\n(.*?)```", RUNBOOK, re.DOTALL)]
COMMANDS = sorted({line.strip() for block in BLOCKS for line in block.splitlines() if line.strip()})


def sections(heading: str) -> dict[str, str]:
    """Return the text of each section within a section."""
    text = RUNBOOK.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    _, *parts = text.split("\n### ")
    return dict(part.split("\n", 1) for part in parts)


def test_every_alert_has_a_section() -> None:
    assert list(sections("Alerts")) == [alert.id for alert in alerts(read())]


def test_every_event_has_a_section() -> None:
    assert sorted(sections("Events")) == sorted({*EVENT_TYPES.values(), *OTHER_TYPES})


@pytest.mark.parametrize("heading", ["Alerts", "Events"])
def test_every_section_says_what_to_type_or_that_there_is_nothing_to_do(heading: str) -> None:
    silent = [name for name, text in sections(heading).items() if "```" not in text and "Nothing to do." not in text]

    assert silent == []


@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith(("modeldrop ", "python -m deploy "))])
def test_every_command_of_modeldrop_exists_with_its_options(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "python":
        assert callable(_parser("deploy").parse_args(words[3:]).run)
        return
    assert isinstance(main, click.Group)
    subcommand = main.get_command(click.Context(main), words[1])
    assert subcommand is not None
    with contextlib.suppress(FileNotFoundError):
        subcommand.make_context(words[1], words[2:], resilient_parsing=False)


def test_other_commands_are_those_of_google_and_git() -> None:
    others = [each for each in COMMANDS if not each.startswith(("modeldrop ", "python -m deploy "))]
    assert {each.split()[0] for each in others} == {"gcloud", "git"}


def test_every_link_within_the_runbook_leads_to_a_heading() -> None:
    anchors = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", RUNBOOK, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", RUNBOOK)) <= anchors


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_names_in_the_documentation_are_those_of_the_declaration(document: Path) -> None:
    declaration = read()
    topics, functions = declaration.topics.values(), declaration.functions.values()
    names = {
        *(topic.name for topic in topics),
        *(topic.hold for topic in topics),
        *(function.service for function in functions),
        *(schedule.job for schedule in declaration.schedules.values()),
        *(account.id for account in declaration.accounts.values()),
        *(bucket.name.replace("{project}-", "") for bucket in declaration.buckets.values()),
        OWNER_LABEL,
        "modeldrop-staging",
    }

    named = re.findall(r"(?<![\w./])(?:(?:my|local)-project-)?(modeldrop-[a-z-]+[a-z])", document.read_text("utf-8"))

    assert sorted({name for name in named if name not in names}) == []
