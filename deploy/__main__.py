"""The command line: ``python -m deploy plan|apply|destroy|cloudbuild|dead-letters``."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from declaration.model import Declaration
from declaration.reading import DeclarationError
from deploy.apply import CommandFailedError, apply, destroy
from deploy.cloudbuild import cloudbuild_yaml
from deploy.declared import DECLARATION, IMPORT_TOPIC, read
from deploy.plan import plan
from deploy.steps import shell_script

if TYPE_CHECKING:
    from deploy.dead_letters import DeadLetters


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 with the reason on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(read(options.declaration), options))
    except (DeclarationError, CommandFailedError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy", description="Makes deploy/functions.yaml so on Google Cloud."
    )
    parser.add_argument("--declaration", type=Path, default=DECLARATION, help="another file than deploy/functions.yaml")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("plan", help="print the gcloud commands of `apply` as a Bash script; nothing is run")
    _add_project(command)
    command.set_defaults(run=_plan)

    command = commands.add_parser("apply", help="make all that is declared; may be run again")
    _add_project(command)
    command.set_defaults(run=_apply)

    command = commands.add_parser("destroy", help="take all that is declared away again")
    _add_project(command)
    command.add_argument("--yes", action="store_true", help="do it; without this only show what would go")
    command.add_argument("--with-data", action="store_true", help="buckets and held messages too")
    command.set_defaults(run=_destroy)

    command = commands.add_parser("cloudbuild", help="print cloudbuild.yaml")
    command.set_defaults(run=_cloudbuild)

    _add_dead_letters(
        commands.add_parser("dead-letters", help="events that no function took: show them, send them again")
    )
    return parser


def _add_dead_letters(group: argparse.ArgumentParser) -> None:
    commands = group.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="show what is held, and leave it there")
    _add_reading(command)
    command.set_defaults(run=_list_dead_letters)

    command = commands.add_parser(
        "replay",
        help="send messages to their topic again, and uploads as an import of their drop",
    )
    _add_reading(command)
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("ids", nargs="*", default=[], metavar="ID", help="as `list` shows them")
    which.add_argument("--all", action="store_true", help="all that is held")
    command.set_defaults(run=_replay_dead_letters)


def _add_reading(command: argparse.ArgumentParser) -> None:
    _add_project(command)
    command.add_argument("--limit", type=_count, default=1000, help="read at most so many (%(default)s)")
    command.add_argument(
        "--wait", type=_seconds, default=5, help="seconds without another one that end it (%(default)s)"
    )
    command.add_argument(
        "--timeout", type=_seconds, default=60, help="seconds that Pub/Sub has to answer (%(default)s)"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1, not {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"a number of seconds above 0, not {text!r}")
    return seconds


def _add_project(command: argparse.ArgumentParser) -> None:
    project = os.environ.get("GOOGLE_CLOUD_PROJECT")
    command.add_argument("--project", default=project, required=project is None, help="default: GOOGLE_CLOUD_PROJECT")


def _plan(declaration: Declaration, options: argparse.Namespace) -> int:
    print(shell_script(plan(declaration, options.project)), end="")
    return 0


def _apply(declaration: Declaration, options: argparse.Namespace) -> int:
    apply(plan(declaration, options.project))
    return 0


def _destroy(declaration: Declaration, options: argparse.Namespace) -> int:
    made = plan(declaration, options.project)
    if not options.yes:
        going = [
            step.about for step in reversed(made.steps) if step.delete and (options.with_data or not step.holds_data)
        ]
        print("These would go; add --yes to do it:", *going, sep="\n  ")
        return 1
    failures = destroy(made, with_data=options.with_data)
    print(*failures, sep="\n", file=sys.stderr, end="\n" if failures else "")
    return 1 if failures else 0


def _cloudbuild(declaration: Declaration, options: argparse.Namespace) -> int:
    print(cloudbuild_yaml(declaration), end="")
    return 0


def _list_dead_letters(declaration: Declaration, options: argparse.Namespace) -> int:
    with _dead_letters(declaration, options) as dead_letters:
        with dead_letters.taken(limit=options.limit, wait_seconds=options.wait) as letters:
            for letter in letters:
                print(letter.describe())
        print(f"{len(letters)} held{_and_more(letters, options)}")
    return 0


def _replay_dead_letters(declaration: Declaration, options: argparse.Namespace) -> int:
    sent = 0
    with (
        _dead_letters(declaration, options) as dead_letters,
        dead_letters.taken(limit=options.limit, wait_seconds=options.wait) as letters,
    ):
        wanted = [letter for letter in letters if options.all or letter.id in options.ids]
        missing = set(options.ids) - {letter.id for letter in wanted}
        for name in sorted(missing):
            print(f"{name} is not held", file=sys.stderr)
        for letter, outcome in dead_letters.replay(wanted):
            if isinstance(outcome, str):
                print(f"{letter.id} sent to {outcome}")
                sent += 1
            else:
                print(f"{letter.id} is held on: {outcome}", file=sys.stderr)
        print(f"{sent} sent again{_and_more(letters, options)}")
    return 0 if sent == len(wanted) and not missing else 1


def _and_more(letters: Sequence[object], options: argparse.Namespace) -> str:
    return f", and perhaps more: --limit is {options.limit}" if len(letters) == options.limit else ""


@contextmanager
def _dead_letters(declaration: Declaration, options: argparse.Namespace) -> Iterator[DeadLetters]:
    # Pub/Sub's client takes a moment to import, and the other commands do without it.
    from google.api_core.exceptions import GoogleAPIError

    from deploy.dead_letters import DeadLetters

    hold = declaration.dead_letters_hold
    try:
        yield DeadLetters(
            project=options.project,
            hold=hold,
            models_topic=declaration.topics[IMPORT_TOPIC].name,
            answer_seconds=options.timeout,
        )
    except GoogleAPIError as error:
        raise CommandFailedError(f"Pub/Sub failed at {hold}: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
