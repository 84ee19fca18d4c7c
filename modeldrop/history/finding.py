"""Finds work in the ledger: by its key, its request or message, its model, its table, or the path of its drop."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from modeldrop.project import Project
from shared.batch_work import BatchFacts
from shared.drops.contents.layout import Misplaced, misplaced
from shared.drops.drop import DropPath
from shared.engine.ledger.index import is_key
from shared.engine.ledger.ledger import Ledger, StoredItem
from shared.engine.ledger.refused import listed_rejections, read_rejection
from shared.errors import Unreadable
from shared.events.outgoing import Event
from shared.keys import hash_of
from shared.work import Item, Kind
from shared.work_facts import DropRequest, PredictionMessage

# How many of the newest items of each kind are read to find a model or a table. One read is one call.
NEWEST = 300
# How many objects of the model bucket are listed for a path.
MOST_OBJECTS = 1000
_THREADS = 16
# A model or a table: `dataset.name` or `project.dataset.name`.
NAME = re.compile(r"(?:[A-Za-z0-9:.-]+\.)?[A-Za-z0-9_]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Found:
    """What the ledger and the model bucket have about a target."""

    target: str
    items: tuple[Item, ...] = ()
    """The oldest first."""
    rejections: tuple[Event, ...] = ()
    """The events of requests that were rejected before there was an item."""
    ignored: tuple[tuple[str, Misplaced], ...] = ()
    """The objects at this path that belong to no drop: `gs://bucket/name`, and why."""
    objects: int = 0
    """How many objects are at this path."""
    changed: datetime | None = None
    """When the newest object of a drop at this path was written."""
    unread: int = 0
    """How many items were not read, because there are too many."""
    damaged: tuple[str, ...] = ()
    """Why objects of the ledger cannot be read."""
    similar: tuple[str, ...] = ()
    """Models and tables, `dataset.name`, whose name or dataset the target is, if nothing else was found."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the target."""
        return not (self.items or self.rejections or self.ignored or self.objects)


def find(target: str, project: Project) -> Found:
    """Find everything about a model, a path, a table, a key, a message id or a request id."""
    path = _path_of(target, project)
    if path is not None:
        return _of_path(target, path, project)
    exact = _of_ids(target, project)
    if not exact.is_empty or not NAME.fullmatch(target):
        return exact
    return _of_name(target, project)


def newest_items(project: Project, kinds: Iterable[Kind], most: int = NEWEST) -> tuple[list[Item], int]:
    """Return the items of these kinds that changed last, the oldest first, and how many were not read."""
    items: list[Item] = []
    unread = 0
    indexed = {pending.key for pending in project.ledger.pending()}
    for kind in kinds:
        stored = sorted(project.ledger.items(kind), key=lambda each: each.listed.written, reverse=True)
        unread += max(0, len(stored) - most)
        items += _read(stored[:most], indexed, project.ledger)
    return sorted(items, key=lambda item: item.created), unread


def rejections(project: Project, most: int = NEWEST) -> list[Event]:
    """Return the events of rejected requests, the oldest first."""
    objects = project.ledger.objects
    listed = sorted(listed_rejections(objects), key=lambda each: each.written)[-most:]
    with ThreadPoolExecutor(_THREADS) as threads:
        read = threads.map(lambda each: read_rejection(each.name, objects), listed)
        return [event for event in read if event is not None]


def read_again(items: Iterable[Item], project: Project) -> list[Item]:
    """Return the current state of items; those that were deleted are left out."""
    return [again for item in items if (again := project.ledger.find(item.kind, item.key)) is not None]


def is_about(item: Item, name: str, project: str) -> bool:
    """Return whether an item is about the model or table of this name, which may lack the project."""
    names = _names_of(item)
    wanted = {name.removeprefix("bq://"), f"{project}.{name}"}
    return not names.isdisjoint(wanted)


def _names_of(item: Item) -> set[str]:
    """Return the names of the models and tables that an item is about."""
    names = {item.request.model}
    match item.request, item.facts:
        case PredictionMessage(output_table=table), _:
            names.add(table)
        case _, BatchFacts(input=source, output=output):
            names |= {each.removeprefix("bq://") for each in (source, output) if each}
    return names


def _path_of(target: str, project: Project) -> str | None:
    """Return the path within the model bucket that ``target`` names; None if it is not a path."""
    bucket = f"gs://{project.model_bucket}"
    if target == bucket or target.startswith(f"{bucket}/"):
        return target.removeprefix(bucket).lstrip("/")
    return target if "/" in target and "://" not in target and not target.startswith("projects/") else None


def _of_path(target: str, path: str, project: Project) -> Found:
    bucket = f"gs://{project.model_bucket}/"
    blobs = project.storage.list_blobs(
        project.model_bucket, prefix=path, max_results=MOST_OBJECTS, fields="nextPageToken,items(name,updated)"
    )
    # A folder's name is not the beginning of another folder's name: `ml/m` is not `ml/model`.
    folder = path.rstrip("/") + "/"
    written = {
        blob.name: blob.updated for blob in blobs if not path or blob.name == path or blob.name.startswith(folder)
    }
    names = list(written)
    ignored = tuple((bucket + name, reason) for name in names if (reason := misplaced(name)) is not None)
    drops = {drop for name in names if (drop := DropPath.of_object(name)) is not None}
    of_path = DropPath.of_object(path) or DropPath.of_object(f"{folder}saved_model.pb")
    if of_path is not None:
        drops.add(of_path)
    watches = [project.ledger.find(Kind.DROP, drop.key) for drop in drops]
    prefixes = {drop.uri(project.model_bucket) for drop in drops}
    imports, unread = newest_items(project, (Kind.IMPORT,))
    items = [
        *(watch for watch in watches if watch is not None),
        *(item for item in imports if isinstance(item.request, DropRequest) and item.request.path in prefixes),
    ]
    changed = max((written[name] for name in names if DropPath.of_object(name)), default=None)
    return Found(target, _ordered(items), ignored=ignored, objects=len(names), changed=changed, unread=unread)


def _of_ids(target: str, project: Project) -> Found:
    """Find the item with this key, and those of the request or message with this id."""
    items, damaged = [], []
    for kind in Kind:
        keys = {hash_of(kind.value, "request", target), hash_of(kind.value, "message", target)}
        for key in keys | ({target} if is_key(target) else set()):
            try:
                item = project.ledger.read(kind, key)
            except Unreadable as error:
                damaged.append(str(error))
                continue
            if item is not None:
                items.append(item)
    objects = project.ledger.objects
    refused = [each for each in listed_rejections(objects) if target in each.metadata.values()]
    events = [event for each in refused if (event := read_rejection(each.name, objects)) is not None]
    found = Found(target, _ordered(items), tuple(events), damaged=tuple(damaged))
    if not found.is_empty or NAME.fullmatch(target):
        return found
    # The id of a message that has a request id, and both ids of a message that asks for an import, are in the item only.
    newest, unread = newest_items(project, Kind)
    sent = [item for item in newest if target in {item.message_id, item.request_id, *item.sources}]
    names = sorted({".".join(name.split(".")[-2:]) for item in newest for name in _names_of(item)})
    similar = tuple(name for name in names if target.lower() in name.lower().split(".")) if not sent else ()
    return Found(target, _ordered(sent), unread=unread, damaged=tuple(damaged), similar=similar)


def _of_name(target: str, project: Project) -> Found:
    items, unread = newest_items(project, Kind)
    about = [item for item in items if is_about(item, target, project.name)]
    return Found(target, _ordered(about), unread=unread)


def _ordered(items: Iterable[Item]) -> tuple[Item, ...]:
    return tuple(sorted(items, key=lambda item: item.created))


def _read(stored: Iterable[StoredItem], indexed: Container[str], ledger: Ledger) -> list[Item]:
    works = [each.work for each in stored if each.work is not None]
    with ThreadPoolExecutor(_THREADS) as threads:
        read = threads.map(lambda work: ledger.find(*work, is_indexed=work[1] in indexed), works)
        return [item for item in read if item is not None]
