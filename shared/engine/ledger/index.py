"""The index object of open work: an empty object whose metadata holds what the poller needs to know of an item.

The poller lists the index objects of all open work, a thousand in one call, and reads only the items that are due. The
metadata also counts the looks at the work that did not end (``looks.py``).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.engine.ledger.decoding import A_TIME, moment
from shared.engine.ledger.objects import ListedObject
from shared.work import Item, Kind, StepState

INDEX = "ledger/pending/"

# The names of the metadata about looks. An index object that is written again has none of them.
LOOKS, NEXT_LOOK, LOOKS_REPORTED = "looks", "next_look", "looks_reported"

# An object has at most 8 KiB of metadata: https://docs.cloud.google.com/storage/quotas#objects
LONGEST_VALUE = 1500

_TEXTS = ("system", "job_id", "location", "step", "state", "waits_for", "model")
_TIMES = ("due", "deadline", NEXT_LOOK)
_KEY = re.compile(r"[0-9a-f]{32}")
_LOOKS = re.compile(r"[0-9]{1,9}")
_KINDS = {kind.value: kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class Pending:
    """The index object of an item, as it was listed."""

    kind: Kind
    key: str
    generation: int
    """The generation of the index object."""
    written: datetime
    """When the index object was last written."""
    created: datetime
    """When the work began."""
    system: str = ""
    """The service of the current step, as the next three fields; empty if there is no step."""
    job_id: str = ""
    location: str = ""
    step: str = ""
    state: str = ""
    """The state of the current step."""
    waits_for: str = ""
    model: str = ""
    due: datetime | None = None
    """When the item is due; None if it is due at any time."""
    deadline: datetime | None = None
    """When the item is reported as stuck."""
    looks: int = 0
    """How many looks at the work began and did not end, since the last one that ended well."""
    next_look: datetime | None = None
    """When to look again at work that was set aside."""
    looks_reported: bool = False
    """Whether its looks were reported as failing."""
    metageneration: int = 1
    """The metageneration of the index object."""

    @property
    def submitted(self) -> bool:
        """Whether the job of the current step was submitted."""
        return self.state == StepState.SUBMITTED.value


@dataclass(frozen=True)
class DamagedIndex:
    """An object in the folder of the index objects that has another name, or whose metadata cannot be read."""

    listed: ListedObject
    reason: str
    """What is wrong with it: "it has no metadata created"."""
    work: tuple[Kind, str] | None = None
    """The kind and the key of the item that its name belongs to; None if it has no such name."""


def is_key(text: str) -> bool:
    """Return whether ``text`` can be the key of an item."""
    return _KEY.fullmatch(text) is not None


def read_index(listed: ListedObject) -> Pending | DamagedIndex:
    """Return the index object that was listed."""
    folder, _, key = listed.name.removeprefix(INDEX).partition("/")
    kind, metadata = _KINDS.get(folder), listed.metadata
    if kind is None or not is_key(key):
        return DamagedIndex(listed, "its name is not the name of an index object")
    try:
        created = _time(metadata, "created")
        if created is None:
            raise ValueError("it has no metadata created")
        times = {name: _time(metadata, name) for name in _TIMES}
        looks = metadata.get(LOOKS) or "0"
        if not _LOOKS.fullmatch(looks):
            raise ValueError(f"its metadata {LOOKS} is not a number")
    except ValueError as error:
        return DamagedIndex(listed, str(error), (kind, key))
    return Pending(
        kind=kind,
        key=key,
        generation=listed.generation,
        metageneration=listed.metageneration,
        written=listed.written,
        created=created,
        looks=int(looks),
        looks_reported=LOOKS_REPORTED in metadata,
        due=times["due"],
        deadline=times["deadline"],
        next_look=times[NEXT_LOOK],
        # Thousands of items have the same few texts, which are held in memory once, and so is the id of a job that
        # BigQuery lists too.
        **{name: sys.intern(metadata.get(name, "")) for name in _TEXTS},
    )


def _time(metadata: Mapping[str, str], name: str) -> datetime | None:
    try:
        return moment(metadata[name]) if metadata.get(name) else None
    except ValueError:
        raise ValueError(f"its metadata {name} is not {A_TIME}") from None


def index_name(work: Item | Pending) -> str:
    """Return the name of the index object."""
    return f"{INDEX}{work.kind.value}/{work.key}"


def index_metadata(item: Item, deadline: datetime | None) -> dict[str, str]:
    """Return the metadata of the index object, without empty values."""
    step = item.current
    job = step.job if step else None
    metadata = {
        "created": item.created.isoformat(),
        "step": step.name if step else "",
        "state": step.state.value if step else "",
        "system": step.system.value if step else "",
        "job_id": job.id if job else "",
        "location": (job.location if job else item.location) or "",
        "waits_for": item.waits_for or "",
        "model": item.request.model,
        "due": item.not_before.isoformat() if item.not_before else "",
        "deadline": deadline.isoformat() if deadline else "",
    }
    return {name: value[:LONGEST_VALUE] for name, value in metadata.items() if value}
