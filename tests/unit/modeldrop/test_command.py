"""The table of the subcommands of `modeldrop`."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from modeldrop.__main__ import SUBCOMMANDS, main


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_each_entry_of_the_table_is_a_command(name: str) -> None:
    assert isinstance(main, click.Group)
    assert main.get_command(click.Context(main), name) is not None


def test_the_help_has_every_subcommand_with_its_summary() -> None:
    shown = " ".join(CliRunner().invoke(main, ["--help"]).output.split())

    for name, known in SUBCOMMANDS.items():
        assert f"{name} {known.summary}" in shown


@pytest.mark.parametrize("name", ["exec", "status", "why", "wait", "events", "logs"])
def test_the_examples_of_a_subcommand_keep_their_lines(name: str) -> None:
    lines = CliRunner().invoke(main, [name, "--help"]).output.splitlines()

    [heading] = [number for number, line in enumerate(lines) if line.startswith("  Example")]
    assert lines[heading] in {"  Example:", "  Examples:"}
    assert lines[heading + 1].startswith(f"    modeldrop {name}")


def test_an_unknown_subcommand_is_refused_by_name() -> None:
    done = CliRunner().invoke(main, ["statsu"])

    assert done.exit_code == 2
    assert "No such command 'statsu'" in done.output


def test_the_help_imports_no_subcommand_and_no_client() -> None:
    code = (
        "import sys, modeldrop.__main__ as command\n"
        "command.main(['--help'], standalone_mode=False)\n"
        "print(sorted(name for name in sys.modules if name.startswith(('google.cloud.', 'localcloud', 'modeldrop.'))))"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.splitlines()[-1] == "['modeldrop.__main__']"


@pytest.mark.parametrize("command", [["start"], ["deploy", "plan"], ["demo"]])
def test_the_help_of_another_tool_says_what_to_type(command: list[str]) -> None:
    code = f"import modeldrop.__main__ as command; command.main({[*command, '--help']}, prog_name='modeldrop')"

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown.startswith(f"usage: modeldrop {' '.join(command)}")
