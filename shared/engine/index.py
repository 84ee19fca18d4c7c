"""The index object of open work: an empty object whose metadata holds what the poller needs to know of an item.

The poller lists the index objects of all open work, a thousand in one call, and reads only the items that are due.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from google.cloud import storage

from shared.work import Item, Kind, StepState

INDEX = "ledger/pending/"

_TEXTS = ("system", "job_id", "location", "step", "state", "waits_for", "model")


@dataclass(frozen=True)
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

    @property
    def submitted(self) -> bool:
        """Whether the job of the current step was submitted."""
        return self.state == StepState.SUBMITTED.value

    @classmethod
    def from_blob(cls, blob: storage.Blob) -> Pending | None:
        """Parse a listed object; return None if its name is not the name of an index object."""
        kind, _, key = blob.name.removeprefix(INDEX).partition("/")
        if kind not in set(Kind) or not key:
            return None
        metadata = blob.metadata or {}

        def time(name: str) -> datetime | None:
            return datetime.fromisoformat(metadata[name]) if metadata.get(name) else None

        return cls(
            kind=Kind(kind),
            key=key,
            generation=int(blob.generation),
            written=blob.updated,
            created=time("created") or blob.updated,
            due=time("due"),
            deadline=time("deadline"),
            **{name: metadata.get(name, "") for name in _TEXTS},
        )


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
    return {name: value for name, value in metadata.items() if value}
