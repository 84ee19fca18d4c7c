"""The ledger: what is under way and what was done, as objects of one bucket.

    ledger/items/<kind>/<key>.json     the only truth about a piece of work; changed only under its generation;
                                       metadata says whether it is open
    ledger/pending/<kind>/<key>        an empty index object: metadata says what the poller needs to know of it
    ledger/models/<hash>.json          which version of a model is current, being imported, pinned

The index object is written before the item and removed after it is final. So there may be an index without open work,
which does no harm, but never open work without an index, which nobody would find. Whoever removes an index removes the
one that it knows, by its generation, and not one that was written since for work that has begun again.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from google.api_core import exceptions
from google.cloud import storage

from shared.clock import Clock
from shared.cloud.calls import CallOptions
from shared.cloud.storage import STORAGE
from shared.engine.stored_items import item_from_json, item_to_json
from shared.errors import LostRace, TryLater
from shared.work import (
    Claim,
    DropRequest,
    Item,
    Kind,
    StepState,
)

ITEMS = "ledger/items/"
PENDING = "ledger/pending/"
MODELS = "ledger/models/"

# The metadata of an item's object.
STATE, OPEN, FINAL = "state", "open", "final"

# A missing object and a failed precondition mean something to each call.
_KNOWN_ERRORS = (exceptions.NotFound, exceptions.PreconditionFailed)
_LIST_FIELDS = "nextPageToken,items(name,generation,metadata,timeCreated,updated)"


@dataclass(frozen=True)
class Pending:
    """What an index object tells about open work."""

    kind: Kind
    key: str
    generation: int
    """Of the index object."""
    written: datetime
    """When the index object was last written."""
    created: datetime
    system: str = ""
    job_id: str = ""
    location: str = ""
    step: str = ""
    state: str = ""
    waits_for: str = ""
    subject: str = ""
    """What the work is about: a model, for drops and imports."""
    due: datetime | None = None
    """Not worth a look before."""
    deadline: datetime | None = None
    """Past it, it is reported as stuck."""


@dataclass(frozen=True)
class Claimed:
    """The answer to a claim."""

    item: Item
    mine: bool
    """Whether this call holds the claim; if not, the item is as somebody else wrote it."""


@dataclass(frozen=True)
class Record:
    """A JSON object of the ledger that is no item, with the generation that it was read at."""

    value: Mapping[str, Any]
    generation: int


class Ledger:
    """The ledger in one bucket. Safe to use from several threads, each with items of its own."""

    def __init__(self, client: storage.Client, bucket: str, *, clock: Clock, lease_seconds: float) -> None:
        self._client = client
        self._bucket = client.bucket(bucket)
        self._clock = clock
        self._lease = timedelta(seconds=lease_seconds)

    def claim(self, item: Item) -> Claimed:
        """Write ``item`` if there is none of its key yet, with a claim of this call's own.

        The poller leaves it alone until the claim has run out.
        Returns the item as it now stands, and whether the claim is this call's. Raises ``TryLater`` if the ledger could
        not be written: then nothing is known to be claimed, and the event must come again.
        """
        claim = self._new_claim()
        item = replace(item, claim=claim, not_before=claim.until)
        started, indexed = self._clock(), self._write_index(item, None, only_if_missing=True)
        try:
            written = self._write_item(item, generation=0)
        except LostRace:
            stands = self.read(item.kind, item.key)
            if stands is None:
                raise TryLater(f"the ledger's item {item.key} came and went") from None
            # A retried write meets the object that its first try made: the owner's id tells that it was this call's own.
            if stands.claim is None or stands.claim.owner != claim.owner:
                if stands.final and indexed is not None:
                    self._remove_index(stands, indexed)
                return Claimed(stands, False)
            written = stands
        return Claimed(self._indexed(written, indexed, started), True)

    def create(self, item: Item) -> Item | None:
        """Write ``item``, unclaimed, if there is none of its key yet; return it, or None if there is one."""
        started, indexed = self._clock(), self._write_index(item, None, only_if_missing=True)
        try:
            written = self._write_item(item, generation=0)
        except LostRace:
            return None
        return self._indexed(written, indexed, started)

    def reopen(self, item: Item, *, claimed: bool) -> Item:
        """Write ``item`` in place of one that has ended, or of a watch; ``claimed``: with a claim of this call's own.

        Raises ``LostRace`` if somebody else has changed it since it was read.
        """
        started, indexed = self._clock(), self._write_index(item, None, only_if_missing=False)
        if claimed:
            item = replace(item, claim=self._new_claim())
        return self._indexed(self._write_item(item, generation=item.generation), indexed, started)

    def take_over(self, item: Item) -> Item:
        """Claim an item that stands in the ledger.

        Raises ``LostRace`` if somebody else holds a claim that has not run out, or changes it at the same time.
        """
        if item.claimed_by_another("", self._clock()):
            raise LostRace(f"{item.kind} {item.key} is being worked on")
        return self._write_item(replace(item, claim=self._new_claim()), generation=item.generation)

    def renew(self, item: Item) -> Item:
        """Write a new state of an item whose claim this call holds, and hold it for another lease."""
        claim = replace(item.claim, until=self._clock() + self._lease) if item.claim else self._new_claim()
        return self._write_item(replace(item, claim=claim), generation=item.generation)

    def write(self, item: Item) -> Item:
        """Write a new state of an item that was read or written before; raise ``LostRace`` if it was changed since."""
        return self._write_item(item, generation=item.generation)

    def read(self, kind: Kind, key: str) -> Item | None:
        """Return the item, or None if there is none."""
        record = self._read(f"{ITEMS}{kind.value}/{key}.json")
        return item_from_json(record.value, record.generation) if record else None

    def index(self, item: Item, *, deadline: datetime | None = None) -> Item:
        """Write the index object of ``item`` and return the item that knows it; past ``deadline`` it is reported as stuck."""
        return replace(item, index_generation=self._write_index(item, deadline, only_if_missing=False))

    def finish(self, item: Item) -> Item:
        """Write an item with which nothing more is to be done, and remove its index object.

        Raises ``LostRace`` if somebody else has changed it; then the index object stays too.
        """
        known = item.index_generation
        if known is None:
            # Asked for before the item is written: one that comes later belongs to whoever begins the work again.
            known = self._index_generation(item)
        item = self.write(item)
        if known is not None:
            self._remove_index(item, known)
        return replace(item, index_generation=None)

    def unindex(self, pending: Pending) -> None:
        """Remove a listed index object, unless it was written again since."""
        self._remove_index(pending, pending.generation)

    def pending(self, kind: Kind | None = None) -> Iterator[Pending]:
        """Yield all open work, or all of one kind, a page of 1,000 a call."""
        for blob in self._listed(f"{PENDING}{kind.value}/" if kind else PENDING):
            if found := _pending_from(blob):
                yield found

    def read_record(self, name: str) -> Record | None:
        """Return a JSON object of the ledger, or None if there is none."""
        return self._read(name)

    def write_record(
        self, name: str, value: Mapping[str, Any], *, generation: int, metadata: Mapping[str, str] | None = None
    ) -> Record:
        """Write a JSON object under the generation it was read at (0: there is none); ``LostRace`` if it has changed."""
        blob = self._bucket.blob(name)
        blob.metadata = dict(metadata or {})
        try:
            with _storage_call(f"write {name}") as options:
                blob.upload_from_string(
                    json.dumps(value, sort_keys=True),
                    content_type="application/json",
                    if_generation_match=generation,
                    **options,
                )
        except exceptions.PreconditionFailed as error:
            raise LostRace(f"another call changed {name}") from error
        return Record(value, int(blob.generation))

    def last_changes(self, kind: Kind) -> dict[str, datetime]:
        """Return the keys of all items of one kind, with the time when each was last written."""
        prefix = f"{ITEMS}{kind.value}/"
        return {blob.name.removeprefix(prefix).removesuffix(".json"): blob.updated for blob in self._listed(prefix)}

    def index_again(self) -> int:
        """Write the index objects that open work lacks, against the rule and for a reason that nobody thought of.

        Returns how many there were. Work that was just written is left alone: it may be on its way to its end.
        """
        indexed = {(each.kind, each.key) for each in self.pending()}
        settled = self._clock() - self._lease
        found = 0
        for kind in Kind:
            prefix = f"{ITEMS}{kind.value}/"
            for blob in self._listed(prefix):
                key = blob.name.removeprefix(prefix).removesuffix(".json")
                is_open = (blob.metadata or {}).get(STATE) == OPEN and blob.updated < settled
                if is_open and (kind, key) not in indexed and (item := self.read(kind, key)) and not item.final:
                    self.index(item)
                    found += 1
        return found

    def expire(self, before: datetime) -> int:
        """Remove final items that were last changed before then; return how many.

        Watches stay: without its watch, a drop that still lies there would be taken for a new one.
        """
        removed = 0
        for kind in Kind:
            old = [key for key, changed in self.last_changes(kind).items() if changed < before]
            for key in [] if kind is Kind.DROP else old:
                item = self.read(kind, key)
                if item is not None and item.final:
                    removed += self._remove(f"{ITEMS}{kind.value}/{key}.json", item.generation)
        return removed

    def _listed(self, prefix: str) -> Iterator[storage.Blob]:
        with _storage_call(f"list {prefix}") as options:
            yield from self._client.list_blobs(
                self._bucket, prefix=prefix, page_size=1000, fields=_LIST_FIELDS, **options
            )

    def _indexed(self, item: Item, indexed: int | None, started: datetime) -> Item:
        """Return an item that was just written and knows its index object, which was written before it at ``started``.

        The poller removes an index object that is older than a lease and has no open item: one that was not written now,
        or too long ago, is written again.
        """
        if indexed is None or self._clock() - started > self._lease / 2:
            return self.index(item)
        return replace(item, index_generation=indexed)

    def _index_generation(self, item: Item) -> int | None:
        blob = self._bucket.blob(f"{PENDING}{item.kind.value}/{item.key}")
        try:
            with _storage_call(f"return the metadata of {blob.name}") as options:
                blob.reload(**options)
        except exceptions.NotFound:
            return None
        return int(blob.generation)

    def _remove_index(self, work: Item | Pending, generation: int) -> None:
        self._remove(f"{PENDING}{work.kind.value}/{work.key}", generation)

    def _remove(self, name: str, generation: int) -> bool:
        """Remove an object of this generation; return whether it was there."""
        try:
            with _storage_call(f"delete {name}") as options:
                self._bucket.blob(name).delete(if_generation_match=generation, **options)
        except _KNOWN_ERRORS:
            return False
        return True

    def _write_index(self, item: Item, deadline: datetime | None, *, only_if_missing: bool) -> int | None:
        """Write the index object; return its generation, or None if there was one that had to stay."""
        step = item.current
        metadata = {
            "created": item.created.isoformat(),
            "step": step.name if step else "",
            "state": step.state.value if step else "",
            "system": step.system.value if step else "",
            "job_id": step.job.id if step and step.job else "",
            "location": (step.job.location if step and step.job else item.location) or "",
            "waits_for": item.waits_for or "",
            "subject": item.request.model if isinstance(item.request, DropRequest) else "",
            "due": item.not_before.isoformat() if item.not_before else "",
            "deadline": deadline.isoformat() if deadline else "",
        }
        blob = self._bucket.blob(f"{PENDING}{item.kind.value}/{item.key}")
        blob.metadata = {name: value for name, value in metadata.items() if value}
        try:
            with _storage_call(f"write {blob.name}") as options:
                blob.upload_from_string(
                    b"",
                    content_type="text/plain",
                    if_generation_match=0 if only_if_missing else None,
                    **options,
                )
        except exceptions.PreconditionFailed:
            return None
        return int(blob.generation)

    def _new_claim(self) -> Claim:
        return Claim(secrets.token_hex(8), self._clock() + self._lease)

    def _write_item(self, item: Item, *, generation: int) -> Item:
        name = f"{ITEMS}{item.kind.value}/{item.key}.json"
        try:
            state = {STATE: FINAL if item.final else OPEN}
            record = self.write_record(name, item_to_json(item), generation=generation, metadata=state)
        except LostRace:
            # The answer to this very write may have been lost, and its retry met what it had written itself.
            stands = self._read(name)
            if stands is not None and generation and stands.value == json.loads(json.dumps(item_to_json(item))):
                return replace(item, generation=stands.generation)
            raise
        return replace(item, generation=record.generation)

    def _read(self, name: str) -> Record | None:
        blob = self._bucket.blob(name)
        try:
            with _storage_call(f"return {name}") as options:
                text = blob.download_as_bytes(raw_download=True, **options)
        except exceptions.NotFound:
            return None
        return Record(json.loads(text), int(blob.generation or 0))


def _pending_from(blob: storage.Blob) -> Pending | None:
    kind, _, key = blob.name.removeprefix(PENDING).partition("/")
    if kind not in set(Kind) or not key:
        return None
    metadata = blob.metadata or {}

    def moment(name: str) -> datetime | None:
        return datetime.fromisoformat(metadata[name]) if metadata.get(name) else None

    return Pending(
        kind=Kind(kind),
        key=key,
        generation=int(blob.generation),
        written=blob.updated,
        created=moment("created") or blob.updated,
        due=moment("due"),
        deadline=moment("deadline"),
        **{
            name: metadata.get(name, "")
            for name in ("system", "job_id", "location", "step", "state", "waits_for", "subject")
        },
    )


def _storage_call(action: str) -> AbstractContextManager[CallOptions]:
    return STORAGE.call(action, passes=_KNOWN_ERRORS)


def is_submitted(pending: Pending) -> bool:
    """Return whether an index object tells of a job that was submitted."""
    return pending.state == StepState.SUBMITTED.value
