"""The command line: ``python -m deploy plan|apply|destroy|cloudbuild|dead-letters``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.apply import CommandFailedError, apply, destroy
from deploy.cloudbuild import cloudbuild_yaml
from deploy.declaration import DECLARATION, Declaration, read_declaration
from deploy.plan import plan
from deploy.section import DeclarationError
from deploy.steps import shell_script


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 1 with the reason on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(read_declaration(options.declaration), options))
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
    return parser


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


if __name__ == "__main__":
    sys.exit(main())
