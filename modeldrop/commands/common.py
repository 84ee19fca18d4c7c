"""What the commands that read a project have in common: options, errors and the form of their output."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any

import click

from modeldrop.history.stories import Story
from modeldrop.project import NoProject, find_project


class CommandError(click.ClickException):
    """The command could not be done. The exit code differs from that of work that failed."""

    exit_code = 2


project_option = click.option(
    "--project", "project_name", metavar="P", help="A project of Google Cloud, with your own rights."
)
environment_option = click.option(
    "--env", "environment", metavar="NAME", help="One of the declared environments of the project."
)


def reads_project(command: Callable[..., None]) -> Callable[..., None]:
    """Add options for the project, pass the project that is meant, and explain the errors of services."""

    @project_option
    @environment_option
    @click.option("--port", type=int, help="The port of the local cloud, if several run.")
    @wraps(command)
    def with_project(*, project_name: str | None, environment: str | None, port: int | None, **options: Any) -> None:
        from google.api_core.exceptions import GoogleAPIError
        from google.auth.exceptions import GoogleAuthError
        from requests.exceptions import RequestException

        from shared.errors import ModeldropError

        try:
            project = find_project(project_name, port, environment)
        except NoProject as error:
            raise CommandError(str(error)) from error
        try:
            command(project, **options)
        except (GoogleAuthError, GoogleAPIError, RequestException, ModeldropError) as error:
            from modeldrop.commands.failures import explain

            raise CommandError(explain(error, project)) from error

    return with_project


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_story(story: Story) -> None:
    """Print a story for a person."""
    click.secho(story.title, bold=True)
    if story.key is not None:
        click.secho(f"  key {story.key}", dim=True)
    for line in story.lines:
        when = f"{line.time.astimezone(UTC):%Y-%m-%d %H:%M:%S}" if line.time else "now"
        click.echo(f"  {when:<19}  {line.text}")
    click.secho(f"  Next: {story.next}", fg="cyan")


def age(since: datetime, now: datetime) -> str:
    """Return how long ago a time is: `40 s`, `12 min`, `3 h`, `2 d`."""
    seconds = max(0, int((now - since).total_seconds()))
    for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {name}"
    return f"{seconds} s"
