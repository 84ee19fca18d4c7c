"""The command ``modeldrop``: a table of its subcommands, each imported when it runs.

``modeldrop --help`` imports none of them, and ``modeldrop check`` imports no client of Google Cloud.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import click

from shared.fast_imports import fast_imports

# Click keeps the lines of a paragraph that begins with this. In a raw docstring it is written as two characters.
# https://click.palletsprojects.com/en/stable/documentation/#escaping-click-s-wrapping
KEEP_LINES, WRITTEN_KEEP_LINES = "\b\n", "\\b\n"


@dataclass(frozen=True)
class Subcommand:
    """A subcommand, and where it is."""

    module: str
    name: str
    """The name of the click command in the module."""
    summary: str
    """One line for ``modeldrop --help``."""


# In the order in which a user needs them.
SUBCOMMANDS: dict[str, Subcommand] = {
    "start": Subcommand("modeldrop.commands.local", "start", "Start a local cloud, and run until stopped."),
    "stop": Subcommand("modeldrop.commands.local", "stop", "Stop a local cloud."),
    "env": Subcommand("modeldrop.commands.local", "env", "Print the variables of a local cloud, for eval."),
    "exec": Subcommand("modeldrop.commands.local", "run", "Run a command with the variables of a local cloud."),
    "status": Subcommand("modeldrop.commands.status", "status", "Show models, drops, open work and last ends."),
    "why": Subcommand("modeldrop.commands.why", "why", "Say what happened to something, and what to do next."),
    "wait": Subcommand("modeldrop.commands.wait", "wait", "Wait until work ends; the exit code says how."),
    "events": Subcommand("modeldrop.commands.events", "events", "Print the last events, or those from now on."),
    "logs": Subcommand("modeldrop.commands.logs", "logs", "Print what the functions logged."),
    "demo": Subcommand("modeldrop.commands.local", "demo", "Show the whole story on a local cloud of its own."),
    "check": Subcommand("modeldrop.commands.check", "command", "Check model files before they are uploaded."),
    "export": Subcommand("modeldrop.commands.export", "command", "Export a model into a format that BigQuery imports."),
    "try": Subcommand("modeldrop.commands.trying", "command", "Predict rows with a model, without a cloud."),
    "deploy": Subcommand("modeldrop.commands.deploy", "deploy", "Deploy to Google Cloud, or handle dead letters."),
}


class Subcommands(click.Group):
    """The group of all subcommands that are installed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the table."""
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a subcommand."""
        known = SUBCOMMANDS.get(cmd_name)
        if known is None:
            return None
        with fast_imports():
            module = importlib.import_module(known.module)
        command = getattr(module, known.name)
        assert isinstance(command, click.Command)
        if command.help is not None:
            command.help = command.help.replace(WRITTEN_KEEP_LINES, KEEP_LINES)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries, without importing the subcommands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, known.summary) for name, known in SUBCOMMANDS.items()])


@click.command(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="modeldrop")
def main() -> None:
    """Drop a model file into a bucket, get predictions in BigQuery.

    `modeldrop COMMAND --help` shows the options of a command, and an example.
    """


if __name__ == "__main__":
    main(prog_name="modeldrop")
