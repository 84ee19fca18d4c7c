"""``python -m deploy monitoring show|apply|remove``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from declaration.model import Declaration
from deploy.monitoring.applying import Monitoring, documents, gcloud_session


def add_commands(group: argparse.ArgumentParser, add_project: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the subcommands to ``group``; ``add_project`` adds the option ``--project``."""
    commands = group.add_subparsers(required=True, metavar="COMMAND")
    for name, run, about in (
        ("show", _show, "print the metrics, alerts and the dashboard as JSON, and change nothing"),
        ("apply", _apply, "create or update metrics, alerts and the dashboard; can be repeated"),
        ("remove", _remove, "remove metrics, alerts and the dashboard"),
    ):
        command = commands.add_parser(name, help=about)
        add_project(command)
        command.set_defaults(run=run)


def _show(declaration: Declaration, options: Any) -> int:
    print(json.dumps(documents(declaration, options.project), indent=2))
    return 0


def _apply(declaration: Declaration, options: Any) -> int:
    Monitoring(options.project, gcloud_session(options.project)).apply(declaration)
    return 0


def _remove(declaration: Declaration, options: Any) -> int:
    Monitoring(options.project, gcloud_session(options.project)).remove()
    return 0
