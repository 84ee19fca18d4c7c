"""The ledger: the record of open and finished work, as objects of one bucket.

    ledger/items/<kind>/<key>.json     an item, the only source of truth about a piece of work. Each write has the
                                       item's generation as a precondition. The metadata says whether the item has ended.
    ledger/pending/<kind>/<key>        the index object of an open item
    ledger/rejected/<event id>.json    the event of a request that was rejected before an item was created (``refused.py``)
    ledger/models/<hash>.json          which version of a model is current, is imported, or is pinned
    ledger/outputs/<hash>.json         which batches write a table (``batches/output/claims.py``)

The index object is written before the item and removed after the event of its end is published: this makes the item
final. An index object may therefore exist without open work, which does no harm, but open work always has an index object,
through which the poller finds it. An index object is removed by its generation, so that a newer one, of work that was opened
again, stays.

So the end of an item is one write, of its outcome. Cloud Storage takes about one write a second of an object (``pace.py``).
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from google.cloud import storage

from shared.clock import Clock
from shared.engine.ledger.decoding import Undecodable
from shared.engine.ledger.index import (
    INDEX,
    LONGEST_VALUE,
    DamagedIndex,
    Pending,
    index_metadata,
    index_name,
    is_key,
    read_index,
)
from shared.engine.ledger.index_list import list_index
from shared.engine.ledger.objects import ListedObject, StateObjects
from shared.engine.ledger.pace import Pace
from shared.engine.ledger.stored_items import item_from_json, item_to_json
from shared.errors import LostRace, TryLater, Unreadable
from shared.work import (
    Claim,
    Item,
    Kind,
)

ITEMS = "ledger/items/"
MODELS = "ledger/models/"

# The metadata of an item's object: its state, and the code of its problem. What has ended is final without an index object.
STATE, OPEN, ENDED, FINAL = "state", "open", "ended", "final"
PROBLEM = "problem"

# A claim that ends later than this was not written by a call of Modeldrop, and would reserve its item for ever.
_LONGEST_CLAIM = timedelta(hours=1)


@dataclass(frozen=True)
class Claimed:
    """The result of a claim."""

    item: Item
    """The item in the ledger."""
    mine: bool
    """Whether this call holds the claim. If not, another call wrote the item."""
    former: Item | None = None
    """The item as its former run ended, if this call opened the next one."""


@dataclass(frozen=True)
class StoredItem:
    """An object in the folder of the items, as it was listed."""

    listed: ListedObject
    work: tuple[Kind, str] | None
    """The kind and the key of the item; None if the object's name is not the name of an item."""


class Ledger:
    """The ledger in one bucket. Several threads may use it, each for other items."""

    def __init__(
        self, client: storage.Client, bucket: str, *, clock: Clock, lease_seconds: float, write_seconds: float = 0.0
    ) -> None:
        """Create the ledger.

        Args:
            client: The client of Cloud Storage.
            bucket: The name of the bucket.
            clock: The current time.
            lease_seconds: How long a claim is valid.
            write_seconds: How far apart two writes of one object are at least; 0: any time.
        """
        self.objects = StateObjects(client, bucket, Pace(write_seconds))
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
            stored = self._read(item.kind, item.key)
            if stored is None:
                raise TryLater(f"the item {item.key} was created and deleted at the same time") from None
            # The client repeats a write whose answer is lost, and then finds its own object: the claim has our owner id.
            if stored.claim is None or stored.claim.owner != claim.owner:
                # The item had no index object, so its event was published.
                if stored.ended and indexed is not None and self._remove_index(stored, indexed):
                    stored = _final(stored)
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
        if claimed:
            # The watch of a drop, which is not claimed, has no end that could be taken for an open one.
            item = self._after_marking_final(item)
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

    def read(self, kind: Kind, key: str, *, is_indexed: bool | None = None) -> Item | None:
        """Return an item, or None if there is no such item.

        Args:
            kind: The kind of the item.
            key: Its key.
            is_indexed: Whether it has an index object; None if the caller has not listed these.

        Raises:
            Unreadable: The object is not an item that this version can read.
            TryLater: Cloud Storage does not answer.
        """
        item = self._read(kind, key)
        if item is None or not item.ended or item.event_published:
            return item
        if is_indexed is None:
            is_indexed = self._index_generation(item) is not None
        return item if is_indexed else _final(item)

    def _read(self, kind: Kind, key: str) -> Item | None:
        """Return an item as it is stored: whether the event of its end is published is not known."""
        name = item_name(kind, key)
        record = self.objects.read(name)
        if record is None:
            return None
        try:
            item = item_from_json(record.value, record.generation)
        except Undecodable as error:
            request_id = record.value.get("request_id")
            known = request_id[:256] if isinstance(request_id, str) else None
            raise Unreadable(name, record.generation, str(error), request_id=known) from None
        if (item.kind, item.key) != (kind, key):
            raise Unreadable(name, record.generation, "it is the item of other work")
        if item.claim is not None and item.claim.until > self._clock() + max(_LONGEST_CLAIM, 2 * self._lease):
            item = replace(item, claim=replace(item.claim, until=self._clock()))
        return item

    def find(self, kind: Kind, key: str, *, is_indexed: bool | None = None) -> Item | None:
        """Return an item that other work wants to know about; None if there is none, or if it cannot be read."""
        with suppress(Unreadable):
            return self.read(kind, key, is_indexed=is_indexed)
        return None

    def index(self, item: Item, *, deadline: datetime | None = None) -> Item:
        """Write the index object of ``item``, and return the item with the generation of that.

        Args:
            item: An open item.
            deadline: When the poller reports the item as stuck.
        """
        return replace(item, index_generation=self._write_index(item, deadline, only_if_missing=False))

    def end(self, item: Item) -> Item:
        """Write the outcome of an item that this call has claimed or read, and claim it until its event is published.

        Raises:
            LostRace: Another call changed the item.
        """
        known = item.index_generation
        if known is None:
            # Read before the item is written: a later index object belongs to the call that opens the work again.
            known = self._index_generation(item)
        if known is None:
            # What has ended is final without an index object, so a crash before the event is published would lose the event.
            known = self._write_index(item, None, only_if_missing=False)
        return replace(self.renew(item), index_generation=known)

    def close(self, item: Item) -> Item:
        """Remove the index object of an item that ``end`` returned, after its event is published; return the final item."""
        known = item.index_generation
        if known is not None and not self._remove_index(item, known):
            self._remove_newer_index(item)
        return _final(item)

    def finish(self, item: Item) -> Item:
        """Write a final item that has no event of its own, and remove its index object.

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

    def pending(self, kind: Kind | None = None, *, most: int | None = None) -> Iterator[Pending]:
        """Yield all open work, or all open work of one kind. One call lists 1,000 items.

        Args:
            kind: The kind; None: all kinds.
            most: How many index objects are listed at most; None: all.
        """
        for each in self.index_objects(kind, most=most):
            if isinstance(each, Pending):
                yield each

    def index_objects(self, kind: Kind | None = None, *, most: int | None = None) -> Iterator[Pending | DamagedIndex]:
        """Yield all index objects, damaged ones included; the arguments are those of ``pending``."""
        for listed in self.objects.listed(f"{INDEX}{kind.value}/" if kind else INDEX, most=most):
            yield read_index(listed)

    def open_work(self) -> list[Pending | DamagedIndex]:
        """Return all index objects, damaged ones included, in no order. Several calls list thousands of them at once."""
        return list_index(self.objects)

    def change_index(self, pending: Pending, changes: Mapping[str, str | None]) -> int:
        """Set or remove metadata of a listed index object; return its new metageneration.

        Raises:
            LostRace: Another call changed or removed the index object since it was listed.
        """
        metageneration = self.objects.change_metadata(
            index_name(pending), changes, generation=pending.generation, metageneration=pending.metageneration
        )
        if metageneration is None:
            raise LostRace(f"another call changed the index object of {pending.kind} {pending.key}")
        return metageneration

    def items(self, kind: Kind | None = None) -> Iterator[StoredItem]:
        """Yield all objects in the folder of the items, or in the folder of one kind. One call lists 1,000."""
        for listed in self.objects.listed(f"{ITEMS}{kind.value}/" if kind else ITEMS):
            yield StoredItem(listed, work_of(listed.name))

    def _after_marking_final(self, item: Item) -> Item:
        """Write in the old item that it is final, and return the new ``item`` with its generation.

        Its new index object would say otherwise if this call were killed before it writes the new item.
        """
        stored = None
        with suppress(Unreadable):
            stored = self._read(item.kind, item.key)
        if stored is None or stored.generation != item.generation or not stored.ended or stored.event_published:
            return item
        return replace(item, generation=self._write_item(_final(stored), generation=stored.generation).generation)

    def _indexed(self, item: Item, indexed: int | None, started: datetime) -> Item:
        """Return an item that was just written, with the generation of its index object.

        The poller removes an index object that is older than a lease and has no open item. The index object is therefore
        written again if it existed before this call (``indexed`` is None), or if this call ``started`` long ago.
        """
        if indexed is None or self._clock() - started > self._lease / 2:
            return self.index(item)
        return replace(item, index_generation=indexed)

    def _index_generation(self, item: Item) -> int | None:
        return self.objects.generation(index_name(item))

    def _remove_index(self, work: Item | Pending, generation: int) -> bool:
        return self.objects.remove(index_name(work), generation)

    def _remove_newer_index(self, item: Item) -> None:
        """Remove the index object that another call wrote after this one listed the index, while the work was open.

        A call that opens the work again changes the item first. Its index object stays.
        """
        newer = self._index_generation(item)
        if newer is not None and self.objects.generation(item_name(item.kind, item.key)) == item.generation:
            self._remove_index(item, newer)

    def _write_index(self, item: Item, deadline: datetime | None, *, only_if_missing: bool) -> int | None:
        """Write the index object; return its generation, or None if one exists and may not be replaced."""
        return self.objects.write_empty(
            index_name(item), index_metadata(item, deadline), only_if_missing=only_if_missing
        )

    def _new_claim(self) -> Claim:
        return Claim(secrets.token_hex(8), self._clock() + self._lease)

    def _write_item(self, item: Item, *, generation: int) -> Item:
        name = item_name(item.kind, item.key)
        value = item_to_json(item)
        try:
            metadata = {STATE: FINAL if item.final else ENDED if item.ended else OPEN}
            if item.problem is not None:
                metadata[PROBLEM] = item.problem.code[:LONGEST_VALUE]
            record = self.objects.write(name, value, generation=generation, metadata=metadata)
        except LostRace:
            # The client repeats a write whose answer is lost, and then finds its own object.
            stored = self.objects.read(name) if generation else None
            if stored is not None and stored.value == json.loads(json.dumps(value)):
                return replace(item, generation=stored.generation)
            raise
        return replace(item, generation=record.generation)


def _final(item: Item) -> Item:
    """Return an item whose outcome is stored and whose event is published, also if the object does not say so."""
    if item.event_published:
        # A claim is that of another call, which deletes what the work left.
        return item
    # A claim is that of the call which published the event.
    return replace(item, claim=None, event_published=True, index_generation=None)


def item_name(kind: Kind, key: str) -> str:
    """Return the name of an item's object."""
    return f"{ITEMS}{kind.value}/{key}.json"


def work_of(name: str) -> tuple[Kind, str] | None:
    """Return the kind and the key of the item with this name; None if it is not the name of an item."""
    folder, _, file = name.removeprefix(ITEMS).partition("/")
    key = file.removesuffix(".json")
    if folder not in set(Kind) or not is_key(key) or item_name(Kind(folder), key) != name:
        return None
    return Kind(folder), key
