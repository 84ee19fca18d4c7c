"""``modeldrop logs``: what the functions logged."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from localcloud.running import shown_logs
from modeldrop.commands.common import CommandError, as_json, environment_option, project_option
from modeldrop.project import NoProject, Project, declared, find_project

LOOK_EVERY_SECONDS = 0.5
# Reads of Cloud Logging have a quota of 60 a minute: https://docs.cloud.google.com/logging/quotas#api-limits
LOOK_EVERY_SECONDS_ON_GOOGLE_CLOUD = 5.0
ENTRIES = "https://logging.googleapis.com/v2/entries:list"
SINCE = timedelta(hours=1)

# The time, the function and the text of a log line.
LogLine = tuple[str, str, str]


@click.command()
@click.argument("function", required=False)
@click.option("-f", "--follow", is_flag=True, help="Print further lines, until stopped.")
@click.option("-n", "--number", type=click.IntRange(min=1), default=50, show_default=True, help="How many lines.")
@project_option
@environment_option
@as_json
def logs(
    function: str | None, *, follow: bool, number: int, project_name: str | None, environment: str | None, as_json: bool
) -> None:
    r"""Print what the functions logged, or what FUNCTION logged.

    Without --project, these are the functions of the local cloud whose variables are set in the shell, or else of the one
    that was started last in this folder. It may have stopped: its logs stay in `.localcloud/logs/latest`, or in `DIR/logs`
    of its data directory. With --project, these are the entries of the last hour in Cloud Logging.

    \b
    Examples:
      modeldrop logs predict -n 20
      modeldrop logs -f
    """
    try:
        functions = declared(environment).functions
    except NoProject as error:
        raise CommandError(str(error)) from error
    if function is not None and function not in functions:
        raise CommandError(f"There is no function {function}. Functions: {', '.join(functions)}.")
    names = [function] if function else list(functions)
    try:
        if project_name is None and environment is None:
            lines = local_lines(shown_logs(), names, number, follow=follow)
        else:
            services = {functions[name].service: name for name in names}
            lines = _of_project(project_name, environment, services, number, follow=follow)
        for line in lines:
            _print(line, as_json=as_json)
    except KeyboardInterrupt:
        click.echo(err=True)


def local_lines(folder: Path, names: list[str], number: int, *, follow: bool) -> Iterator[LogLine]:
    """Yield the last lines of log files, and with ``follow`` those that are added.

    The lines of each file are in their order. Files have no times that all lines share, so one file follows the other.

    Raises:
        CommandError: There are no log files.
    """
    if not folder.is_dir():
        raise CommandError(f"There are no logs in {folder}: no local cloud was started in this folder.")
    read: dict[str, int] = {}
    for name in names:
        content = _content(folder / f"{name}.log")
        whole = content[: content.rfind(b"\n") + 1]
        read[name] = len(whole)
        for line in whole.decode(errors="replace").splitlines()[-number:]:
            yield "", name, line
    while follow:
        time.sleep(LOOK_EVERY_SECONDS)
        for name in names:
            content = _content(folder / f"{name}.log", read[name])
            whole = content[: content.rfind(b"\n") + 1]
            read[name] += len(whole)
            for line in whole.decode(errors="replace").splitlines():
                yield "", name, line


def _content(file: Path, start: int = 0) -> bytes:
    try:
        with file.open("rb") as opened:
            opened.seek(start)
            return opened.read()
    except FileNotFoundError:
        return b""


def _of_project(
    name: str | None, environment: str | None, services: dict[str, str], number: int, *, follow: bool
) -> Iterator[LogLine]:
    """Yield the log entries of functions in a project; say why if they cannot be read."""
    from google.api_core.exceptions import GoogleAPIError
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    from modeldrop.commands.failures import explain

    try:
        project = find_project(name, environment=environment)
    except NoProject as error:
        raise CommandError(str(error)) from error
    try:
        yield from _of_google_cloud(project, services, number, follow=follow)
    except (GoogleAuthError, GoogleAPIError, RequestException) as error:
        raise CommandError(explain(error, project)) from error


def _of_google_cloud(project: Project, services: dict[str, str], number: int, *, follow: bool) -> Iterator[LogLine]:
    """Yield the log entries of functions: https://docs.cloud.google.com/logging/docs/reference/v2/rest/v2/entries/list."""
    import google.auth
    from google.api_core.exceptions import from_http_response
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/logging.read"])
    session = AuthorizedSession(credentials)
    named = " OR ".join(f'"{service}"' for service in services)
    since, seen = datetime.now(UTC) - SINCE, set[str]()
    while True:
        body = {
            "resourceNames": [f"projects/{project.name}"],
            "filter": f'resource.type="cloud_run_revision" AND resource.labels.service_name=({named}) '
            f'AND timestamp>="{since.isoformat()}"',
            "orderBy": "timestamp desc",
            "pageSize": number,
        }
        answer = session.post(ENTRIES, json=body, timeout=30)
        if not answer.ok:
            raise from_http_response(answer)
        for entry in reversed(answer.json().get("entries", [])):
            if entry["insertId"] not in seen:
                seen.add(entry["insertId"])
                service = entry["resource"]["labels"]["service_name"]
                yield entry["timestamp"], services.get(service, service), _text(entry)
        if not follow:
            return
        time.sleep(LOOK_EVERY_SECONDS_ON_GOOGLE_CLOUD)


def _text(entry: dict[str, Any]) -> str:
    payload = entry.get("jsonPayload")
    return json.dumps({"severity": entry.get("severity"), **payload}) if payload else str(entry.get("textPayload", ""))


def _is_hidden(key: str) -> bool:
    """Return whether a field of a record is not shown: it was shown before, or only Cloud Logging needs it."""
    return key in {"severity", "message", "stack_trace", "@type", "serviceContext"} or key.startswith(
        "logging.googleapis.com/"
    )


def _print(line: LogLine, *, as_json: bool) -> None:
    when, name, text = line
    try:
        record = json.loads(text)
    except ValueError:
        record = None
    if as_json:
        content = record if isinstance(record, dict) else {"message": text}
        click.echo(json.dumps({"function": name, **({"time": when} if when else {}), **content}, ensure_ascii=False))
        return
    if isinstance(record, dict) and "message" in record:
        rest = "  ".join(f"{key}={value}" for key, value in record.items() if not _is_hidden(key))
        text = f"{record.get('severity', '')}  {record['message']}  {rest}".rstrip()
        text += "".join(f"\n    {each}" for each in str(record.get("stack_trace", "")).splitlines())
    click.echo(f"{when[:19]}{'  ' if when else ''}{click.style(name, dim=True)}  {text}")
