"""Reports objects that belong to no drop, once for each folder.

A marker in the ledger, `ledger/ignored/<key>.json`, says when a folder was reported, and the process remembers it. So many
files in a wrong folder cost one call for each process, and one event. The reconciliation deletes old markers of folders that
hold no such object any more.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from shared.drops.contents.layout import DATASET, FILE, LAYOUT, MODEL, Misplaced
from shared.engine.ledger.decoding import moment
from shared.engine.ledger.objects import Record
from shared.engine.services import Services
from shared.errors import LostRace, Problem, Unreadable
from shared.events.outgoing import IgnoredObject, ignored_event, ignored_key
from shared.log import log

if TYPE_CHECKING:
    # The commands of `modeldrop` import this module, and need no library of events.
    from shared.events.incoming import StoredObject

MARKERS = "ledger/ignored/"
CODE = "outside_layout"

# A folder is reported again for an object that was written so long after the last report: it is another mistake.
REPORTED_AGAIN = timedelta(days=1)

REMEMBERED_FOLDERS = 10_000

_REPORTED = "reported"


class ReportedFolders:
    """The folders that this process knows to be reported. Several threads may use it."""

    def __init__(self) -> None:
        """Remember no folder."""
        self._reported: dict[str, datetime] = {}
        self._lock = Lock()

    def begin(self, folder: str, now: datetime) -> bool:
        """Return whether the caller must report ``folder``; if so, no other thread has to."""
        with self._lock:
            if not is_again(self._reported.get(folder), now):
                return False
            if len(self._reported) >= REMEMBERED_FOLDERS:
                self._reported.clear()
            self._reported[folder] = now
            return True

    def forget(self, folder: str) -> None:
        """Let the next object of ``folder`` report it, because it could not be reported."""
        with self._lock:
            self._reported.pop(folder, None)


@cache
def reported_folders(services: Services) -> ReportedFolders:
    """Return the folders that this process knows to be reported."""
    return ReportedFolders()


def is_again(reported: datetime | None, now: datetime) -> bool:
    """Return whether a folder that was last ``reported`` at that time is to be reported ``now``."""
    return reported is None or not timedelta() <= now - reported < REPORTED_AGAIN


def report_ignored(file: StoredObject, found: Misplaced, services: Services) -> None:
    """Publish that an object belongs to no drop, unless its folder was reported before.

    Raises:
        TryLater: The ledger or Pub/Sub does not answer; the event is delivered again.
    """
    folders = reported_folders(services)
    if not folders.begin(found.folder, services.now()):
        return
    try:
        _report(file, found, services)
    except BaseException:
        folders.forget(found.folder)
        raise


def _report(file: StoredObject, found: Misplaced, services: Services) -> None:
    now = services.now()
    bucket = f"gs://{file.bucket}/"
    ignored = IgnoredObject(
        uri=bucket + file.name,
        folder=bucket + found.folder,
        suggestion=bucket + found.suggestion,
        created=file.created or now,
    )
    objects, name = services.ledger.objects, marker_of(ignored.folder)
    generation, before = 0, None
    try:
        if marker := objects.read(name):
            generation, before = marker.generation, _reported_at(marker)
    except Unreadable as error:
        generation = error.generation
    if not is_again(before, now):
        return
    problem = Problem(CODE, _message(ignored, found))
    if before is not None:
        ignored = replace(ignored, reported_before=before.isoformat())
    services.events.publish(ignored_event(ignored, now, problem))
    log("WARNING", "ignored an object outside the layout", object=ignored.uri, code=CODE, reason=found.reason)
    try:
        objects.write(name, {_REPORTED: now.isoformat(), "folder": ignored.folder}, generation=generation)
    except LostRace:
        # Another process reported the folder at the same time, under the same event id.
        return


def marker_of(folder: str) -> str:
    """Return the name of the marker of a folder, `gs://bucket/folder/`."""
    return f"{MARKERS}{ignored_key(folder)}.json"


def _reported_at(marker: Record) -> datetime | None:
    try:
        return moment(str(marker.value.get(_REPORTED)))
    except ValueError:
        return None


def _message(ignored: IgnoredObject, found: Misplaced) -> str:
    bucket = ignored.folder.removesuffix(found.folder)
    parts = found.suggestion.split("/")
    words = " and ".join(word for word in (DATASET, MODEL) if word in parts)
    names = f", with a name of your own for {words}" if words else ""
    if parts[-1] == FILE:
        names += f", with the file's own name, such as model.onnx, for {FILE}"
    return (
        f"{ignored.uri} is ignored: {found.reason}. A model is imported from {bucket}{LAYOUT}. If the file belongs to a "
        f"model, move it to {ignored.suggestion}{names}. Further files in {ignored.folder} are ignored without an event"
    )
