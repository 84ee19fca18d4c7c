"""The ledger: the record of open and finished work, as objects of one bucket.

    ledger/items/<kind>/<key>.json     an item, the only source of truth about a piece of work. Each write has the
                                       item's generation as a precondition. The metadata says whether the item is open.
    ledger/pending/<kind>/<key>        the index object of an open item
    ledger/models/<hash>.json          which version of a model is current, is imported, or is pinned

The index object is written before the item and removed after the item is final. An index object may therefore exist
without open work, which does no harm, but open work always has an index object, through which the poller finds it. An
index object is removed by its generation, so that a newer one, of work that was opened again, stays.
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
from shared.engine.index import (
    INDEX,
    Pending,
    index_metadata,
    index_name,
)
from shared.engine.stored_items import item_from_json, item_to_json
from shared.errors import LostRace, TryLater
from shared.work import (
    Claim,
    Item,
    Kind,
)

ITEMS = "ledger/items/"
MODELS = "ledger/models/"

# The metadata of an item's object.
STATE, OPEN, FINAL = "state", "open", "final"

# The answers of Cloud Storage that each call handles by itself.
_KNOWN_ERRORS = (exceptions.NotFound, exceptions.PreconditionFailed)
_LIST_FIELDS = "nextPageToken,items(name,generation,metadata,timeCreated,updated)"


@dataclass(frozen=True)
class Claimed:
    """The result of a claim."""

    item: Item
    """The item in the ledger."""
    mine: bool
    """Whether this call holds the claim. If not, another call wrote the item."""


@dataclass(frozen=True)
class Record:
    """A JSON object of the ledger, with its generation."""

    value: Mapping[str, Any]
    generation: int


class Ledger:
    """The ledger in one bucket. Several threads may use it, each for other items."""

    def __init__(self, client: storage.Client, bucket: str, *, clock: Clock, lease_seconds: float) -> None:
        """Create the ledger.

        Args:
            client: The client of Cloud Storage.
            bucket: The name of the bucket.
            clock: The current time.
            lease_seconds: How long a claim is valid.
        """
        self._client = client
        self._bucket = client.bucket(bucket)
        self._clock = clock
        self._lease = timedelta(seconds=lease_seconds)

    def claim(self, item: Item) -> Claimed:
        """Write ``item`` with a new claim, unless the ledger has an item with its key.

        The poller does not touch the item until the claim expires.

        Returns:
            The item in the ledger, and whether the claim belongs to this call.

        Raises:
            TryLater: The ledger does not answer. The claim may not exist, so the event must be delivered again.
        """
        claim = self._new_claim()
        item = replace(item, claim=claim, not_before=claim.until)
        started, indexed = self._clock(), self._write_index(item, None, only_if_missing=True)
        try:
            written = self._write_item(item, generation=0)
        except LostRace:
            stored = self.read(item.kind, item.key)
            if stored is None:
                raise TryLater(f"the item {item.key} was created and deleted at the same time") from None
            # The client repeats a write whose answer is lost, and then finds its own object: the claim has our owner id.
            if stored.claim is None or stored.claim.owner != claim.owner:
                if stored.final and indexed is not None:
                    self._remove_index(stored, indexed)
                return Claimed(stored, False)
            written = stored
        return Claimed(self._indexed(written, indexed, started), True)

    def create(self, item: Item) -> Item | None:
        """Write ``item`` without a claim and return it; return None if the ledger has an item with its key."""
        started, indexed = self._clock(), self._write_index(item, None, only_if_missing=True)
        try:
            written = self._write_item(item, generation=0)
        except LostRace:
            return None
        return self._indexed(written, indexed, started)

    def reopen(self, item: Item, *, claimed: bool) -> Item:
        """Replace a finished item, or the watch of a drop, by ``item``, which has the generation of the old one.

        Args:
            item: The new item.
            claimed: Whether to write it with a new claim.

        Raises:
            LostRace: Another call changed the old item since it was read.
        """
        started, indexed = self._clock(), self._write_index(item, None, only_if_missing=False)
        if claimed:
            item = replace(item, claim=self._new_claim())
        return self._indexed(self._write_item(item, generation=item.generation), indexed, started)

    def take_over(self, item: Item) -> Item:
        """Claim an item of the ledger.

        Raises:
            LostRace: Another call holds a claim that has not expired, or changes the item at the same time.
        """
        if item.claimed_by_another("", self._clock()):
            raise LostRace(f"{item.kind} {item.key} is claimed by another call")
        return self._write_item(replace(item, claim=self._new_claim()), generation=item.generation)

    def renew(self, item: Item) -> Item:
        """Write a new state of an item that this call has claimed, and extend the claim by a lease."""
        claim = replace(item.claim, until=self._clock() + self._lease) if item.claim else self._new_claim()
        return self._write_item(replace(item, claim=claim), generation=item.generation)

    def write(self, item: Item) -> Item:
        """Write a new state of an item; raise ``LostRace`` if another call changed the item since it was read."""
        return self._write_item(item, generation=item.generation)

    def read(self, kind: Kind, key: str) -> Item | None:
        """Return an item, or None if there is no such item."""
        record = self._read(f"{ITEMS}{kind.value}/{key}.json")
        return item_from_json(record.value, record.generation) if record else None

    def index(self, item: Item, *, deadline: datetime | None = None) -> Item:
        """Write the index object of ``item``, and return the item with the generation of that.

        Args:
            item: An open item.
            deadline: When the poller reports the item as stuck.
        """
        return replace(item, index_generation=self._write_index(item, deadline, only_if_missing=False))

    def finish(self, item: Item) -> Item:
        """Write a final item and remove its index object.

        Raises:
            LostRace: Another call changed the item. The index object stays.
        """
        known = item.index_generation
        if known is None:
            # Read before the item is written: a later index object belongs to the call that opens the work again.
            known = self._index_generation(item)
        item = self.write(item)
        if known is not None:
            self._remove_index(item, known)
        return replace(item, index_generation=None)

    def remove_index(self, pending: Pending) -> None:
        """Remove a listed index object, unless it was written again since it was listed."""
        self._remove_index(pending, pending.generation)

    def pending(self, kind: Kind | None = None) -> Iterator[Pending]:
        """Yield all open work, or all open work of one kind. One call lists 1,000 items."""
        for blob in self._listed(f"{INDEX}{kind.value}/" if kind else INDEX):
            if found := Pending.from_blob(blob):
                yield found

    def read_record(self, name: str) -> Record | None:
        """Return the JSON object with this name, or None if there is none."""
        return self._read(name)

    def write_record(
        self, name: str, value: Mapping[str, Any], *, generation: int, metadata: Mapping[str, str] | None = None
    ) -> Record:
        """Write a JSON object.

        Args:
            name: The name of the object.
            value: Its content.
            generation: The generation that was read; 0 if the object does not exist.
            metadata: The metadata of the object.

        Raises:
            LostRace: The object has another generation.
        """
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
        """Return the time of the last write of each item of one kind, by key."""
        prefix = f"{ITEMS}{kind.value}/"
        return {blob.name.removeprefix(prefix).removesuffix(".json"): blob.updated for blob in self._listed(prefix)}

    def restore_missing_indexes(self) -> int:
        """Recreate missing index objects, and return their number. This is a safety net; it should find none.

        An item that was written within the last lease is skipped, because a call may be finishing it.
        """
        indexed = {(each.kind, each.key) for each in self.pending()}
        newest = self._clock() - self._lease
        restored = 0
        for kind in Kind:
            prefix = f"{ITEMS}{kind.value}/"
            for blob in self._listed(prefix):
                key = blob.name.removeprefix(prefix).removesuffix(".json")
                is_open = (blob.metadata or {}).get(STATE) == OPEN and blob.updated < newest
                if is_open and (kind, key) not in indexed and (item := self.read(kind, key)) and not item.final:
                    self.index(item)
                    restored += 1
        return restored

    def delete_finished(self, before: datetime) -> int:
        """Delete the final items that were last written before then, and return their number.

        The watches of drops stay: without its watch, a drop that is still in the bucket would be imported again.
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
        """Return an item that was just written, with the generation of its index object.

        The poller removes an index object that is older than a lease and has no open item. The index object is therefore
        written again if it existed before this call (``indexed`` is None), or if this call ``started`` long ago.
        """
        if indexed is None or self._clock() - started > self._lease / 2:
            return self.index(item)
        return replace(item, index_generation=indexed)

    def _index_generation(self, item: Item) -> int | None:
        blob = self._bucket.blob(index_name(item))
        try:
            with _storage_call(f"return the metadata of {blob.name}") as options:
                blob.reload(**options)
        except exceptions.NotFound:
            return None
        return int(blob.generation)

    def _remove_index(self, work: Item | Pending, generation: int) -> None:
        self._remove(index_name(work), generation)

    def _remove(self, name: str, generation: int) -> bool:
        """Delete an object with this generation; return whether it existed."""
        try:
            with _storage_call(f"delete {name}") as options:
                self._bucket.blob(name).delete(if_generation_match=generation, **options)
        except _KNOWN_ERRORS:
            return False
        return True

    def _write_index(self, item: Item, deadline: datetime | None, *, only_if_missing: bool) -> int | None:
        """Write the index object; return its generation, or None if one exists and may not be replaced."""
        blob = self._bucket.blob(index_name(item))
        blob.metadata = index_metadata(item, deadline)
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
            # The client repeats a write whose answer is lost, and then finds its own object.
            stored = self._read(name)
            if stored is not None and generation and stored.value == json.loads(json.dumps(item_to_json(item))):
                return replace(item, generation=stored.generation)
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


def _storage_call(action: str) -> AbstractContextManager[CallOptions]:
    return STORAGE.call(action, passes=_KNOWN_ERRORS)
