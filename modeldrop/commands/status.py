"""``modeldrop status``: models, open work, batches and what ended last."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from typing import Any

import click

from modeldrop.commands.common import age, as_json, print_json, reads_project
from modeldrop.history.finding import newest_items, rejections
from modeldrop.history.stories import newest_line, title_of
from modeldrop.project import Project
from shared.batch_work import BatchFacts, BatchMessage
from shared.clock import utc_now
from shared.drops.contents.ignored import MARKERS
from shared.engine.ledger.ledger import MODELS
from shared.errors import Unreadable
from shared.events.outgoing import Event
from shared.work import Item, Kind
from shared.work_facts import DropRequest

# How many of the newest items of each kind are read, and how many are shown of what has ended.
READ, LAST = 100, 10
# The columns with sentences, and how many characters a sentence and a line of a table have at most.
_SENTENCES = {"what", "why", "waits"}
_LONGEST_SENTENCE, _LONGEST_LINE = 160, 4000

Row = Mapping[str, Any]


@click.command()
@as_json
@reads_project
def status(project: Project, *, as_json: bool) -> None:
    r"""Show models with their versions, drops, open work, batches, what ended last, and ignored folders.

    \b
    Examples:
      modeldrop status
      modeldrop status --project my-project --json
    """
    with ThreadPoolExecutor(3) as threads:
        reading_items = threads.submit(newest_items, project, Kind, READ)
        reading_models = threads.submit(models_of, project)
        refused = rejections(project, LAST)
        (items, unread), models = reading_items.result(), reading_models.result()
    now = utc_now()
    shown: dict[str, Any] = {
        "project": project.name,
        "local": project.is_local,
        "models": models,
        "drops": drops_of(items),
        "open": open_work(items, now),
        "batches": batches_of(items),
        "ended": last_ends(items, refused),
        "ignored": ignored_folders(project),
    }
    if as_json:
        print_json({**shown, "unread": unread})
        return
    where = "local cloud" if project.is_local else "Google Cloud"
    click.secho(f"Project {project.name} ({where})", bold=True)
    for title in ("models", "drops", "open", "batches", "ended", "ignored"):
        _print_table(title, shown[title])
    if unread:
        click.secho(f"{unread} older items of the ledger were not read.", dim=True, err=True)


def models_of(project: Project) -> list[Row]:
    """Return each model with the version in use, the one that is being imported, and the pinned one."""
    objects = project.ledger.objects
    rows: list[Row] = []
    for listed in objects.listed(MODELS):
        try:
            record = objects.read(listed.name)
        except Unreadable as error:
            rows.append(
                {"model": listed.name, "version": None, "importing": None, "pinned": None, "problem": str(error)}
            )
            continue
        if record is not None:
            value = record.value
            rows.append(
                {
                    "model": value.get("model"),
                    "version": (value.get("current") or {}).get("version"),
                    "importing": (value.get("in_flight") or {}).get("version"),
                    "pinned": value.get("pinned"),
                }
            )
    return sorted(rows, key=lambda row: str(row["model"]))


def ignored_folders(project: Project) -> list[Row]:
    """Return the folders of the model bucket that were reported last because they belong to no drop."""
    objects = project.ledger.objects
    rows: list[Row] = []
    for listed in sorted(objects.listed(MARKERS), key=lambda each: each.written)[-LAST:]:
        with suppress(Unreadable):
            record = objects.read(listed.name)
            if record is not None:
                folder = str(record.value.get("folder"))
                what = project.command(f"why {shlex.quote(folder)}")
                rows.append({"folder": folder, "reported": record.value.get("reported"), "what": what})
    return rows


def drops_of(items: Sequence[Item]) -> list[Row]:
    """Return the last state of each drop: that of its import, or of its watch."""
    last: dict[str, Item] = {}
    # Imports after watches: a watch that has ended was followed by an import.
    for item in sorted(items, key=lambda item: (item.kind is Kind.IMPORT, item.created)):
        if isinstance(item.request, DropRequest):
            before = last.get(item.request.path)
            if before is None or before.outcome is not None:
                last[item.request.path] = item
    return [
        {
            "drop": path,
            "model": item.request.model,
            "state": item.outcome.value if item.outcome else "open",
            "what": newest_line(item),
        }
        for path, item in list(last.items())[-LAST:]
    ]


def open_work(items: Sequence[Item], now: datetime) -> list[Row]:
    """Return the work that has not ended, the oldest first, with its age and what it waits for."""
    return [
        {"work": title_of(item), "key": item.key, "age": age(item.created, now), "waits": newest_line(item)}
        for item in items
        if item.outcome is None
    ]


def batches_of(items: Sequence[Item]) -> list[Row]:
    """Return the last batches with their counts; a count is None if it is not known."""
    rows: list[Row] = []
    for item in items:
        if isinstance(item.request, BatchMessage) and isinstance(item.facts, BatchFacts):
            result = item.facts.result
            rows.append(
                {
                    "batch": item.request_id or item.key,
                    "model": item.request.model,
                    "state": item.outcome.value if item.outcome else "open",
                    "succeeded": result.succeeded if result else None,
                    "failed": result.failed if result else None,
                    "incomplete": item.facts.incomplete,
                }
            )
    return rows[-LAST:]


def last_ends(items: Sequence[Item], refused: Sequence[Event]) -> list[Row]:
    """Return what ended last, the newest last."""
    ends = [
        (item.finished, title_of(item), item.outcome.value, item.problem.message if item.problem else "")
        for item in items
        if item.finished is not None and item.outcome is not None and item.kind is not Kind.DROP
    ]
    ends += [
        (
            event.time,
            f"{str(event.data.get('kind', '')).capitalize()} request "
            f"{event.data.get('request_id') or event.data.get('message_id') or event.data.get('key')}",
            "rejected",
            str((event.data.get("error") or {}).get("message", "")),
        )
        for event in refused
    ]
    return [
        {"time": when.isoformat(timespec="seconds"), "what": what, "outcome": outcome, "why": why}
        for when, what, outcome, why in sorted(ends, key=lambda end: end[0])[-LAST:]
    ]


def _print_table(title: str, rows: Sequence[Row]) -> None:
    click.secho(f"\n{title.capitalize()}" + ("" if rows else ": none"), bold=bool(rows))
    if not rows:
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(name, value)) for name, value in row.items()))
    console = Console()
    # Each row is one line for programs such as grep.
    (console if console.is_terminal else Console(width=_LONGEST_LINE)).print(table)


def _cell(name: str, value: Any) -> str:
    """Return the text of a cell; of a long sentence only the beginning, because `modeldrop why` prints the whole one."""
    text = "" if value is None else " ".join(str(value).split())
    is_cut = name in _SENTENCES and len(text) > _LONGEST_SENTENCE
    return f"{text[: _LONGEST_SENTENCE - 3]}..." if is_cut else text
