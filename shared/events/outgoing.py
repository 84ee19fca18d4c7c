"""The events that the functions publish. ``publishing.py`` sends them; this module needs no client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from shared.errors import Problem
from shared.events.data import data_of_kind
from shared.keys import hash_of
from shared.work import Item, Job, Kind, Outcome

# The types of the events that end a piece of work, by its kind and outcome. A test compares the README with this table.
EVENT_TYPES: dict[tuple[Kind, Outcome], str] = {
    (Kind.IMPORT, Outcome.SUCCEEDED): "modeldrop.model.imported.v1",
    (Kind.IMPORT, Outcome.FAILED): "modeldrop.model.import_failed.v1",
    (Kind.IMPORT, Outcome.CHECK_FAILED): "modeldrop.model.check_failed.v1",
    (Kind.IMPORT, Outcome.ROLLED_BACK): "modeldrop.model.rolled_back.v1",
    (Kind.PREDICT, Outcome.SUCCEEDED): "modeldrop.prediction.succeeded.v1",
    (Kind.PREDICT, Outcome.PARTIALLY_SUCCEEDED): "modeldrop.prediction.partially_succeeded.v1",
    (Kind.PREDICT, Outcome.FAILED): "modeldrop.prediction.failed.v1",
    (Kind.BATCH, Outcome.CHECKED): "modeldrop.batch.checked.v1",
    (Kind.BATCH, Outcome.SUCCEEDED): "modeldrop.batch.succeeded.v1",
    (Kind.BATCH, Outcome.PARTIALLY_SUCCEEDED): "modeldrop.batch.partially_succeeded.v1",
    (Kind.BATCH, Outcome.FAILED): "modeldrop.batch.failed.v1",
    (Kind.BATCH, Outcome.CANCELLED): "modeldrop.batch.cancelled.v1",
    (Kind.BATCH, Outcome.EXPIRED): "modeldrop.batch.expired.v1",
    (Kind.MANAGE, Outcome.UNPINNED): "modeldrop.model.unpinned.v1",
    (Kind.MANAGE, Outcome.REGISTERED): "modeldrop.model.registered.v1",
    (Kind.MANAGE, Outcome.DEPLOYED): "modeldrop.model.deployed.v1",
    (Kind.MANAGE, Outcome.UNDEPLOYED): "modeldrop.model.undeployed.v1",
    (Kind.MANAGE, Outcome.DELETED): "modeldrop.model.deleted.v1",
    (Kind.MANAGE, Outcome.DESCRIBED): "modeldrop.model.described.v1",
}
STUCK = "modeldrop.job.stuck.v1"
REJECTED = "modeldrop.request.rejected.v1"
IGNORED = "modeldrop.object.ignored.v1"
BATCH_DELETED = "modeldrop.batch.deleted.v1"
# The types of the events that do not end a piece of work.
OTHER_TYPES = (STUCK, REJECTED, IGNORED, BATCH_DELETED)

# The kind, in events, of objects of the model bucket that belong to no drop.
OBJECT = "object"


@dataclass(frozen=True)
class Event:
    """An event to publish."""

    id: str
    """The hash of what the event reports, so that a consumer can drop repeats."""
    type: str
    subject: str
    """The kind and the key of the work: ``predict/0123…``."""
    time: datetime
    data: Mapping[str, Any]


def completion_event(item: Item) -> Event:
    """Return the event for the end of ``item``; it is a rejection if the request was found wrong after it was claimed."""
    assert item.outcome is not None
    kind = REJECTED if item.outcome is Outcome.REJECTED else EVENT_TYPES[(item.kind, item.outcome)]
    return _event(item, kind, item.outcome.value, item.problem, item.finished, data_of_kind(item))


def deleted_event(item: Item) -> Event:
    """Return the event for a batch whose jobs and own tables were deleted."""
    return _event(item, BATCH_DELETED, "deleted", None, item.finished, data_of_kind(item))


def stuck_event(item: Item, now: datetime, problem: Problem, about: str) -> Event:
    """Return the event for an item that takes too long; ``about`` names its step, or what it waits for."""
    data = {**data_of_kind(item), "step": about, "noticed": now.isoformat()}
    return replace(_event(item, STUCK, "stuck", problem, None, data, about), time=now)


@dataclass(frozen=True)
class BadObject:
    """An object of the ledger that cannot be read, or work that lacks its item, with what is known of the work."""

    kind: str
    """The kind of the work; ``ledger`` if the object belongs to no work."""
    key: str
    created: datetime
    uri: str | None = None
    """The object: ``gs://bucket/name``."""
    request_id: str | None = None
    job: Job | None = None
    model: str | None = None


def bad_object_event(bad: BadObject, now: datetime, problem: Problem, about: str) -> Event:
    """Return the event for work that is stuck because of an object of the ledger; ``about`` names what is wrong with it."""
    data = {
        "key": bad.key,
        "kind": bad.kind,
        "request_id": bad.request_id,
        "message_id": None,
        "labels": {},
        "job": _job_json(bad.job),
        "created": bad.created.isoformat(),
        "finished": None,
        "outcome": "stuck",
        "error": problem.as_json(),
        "step": about,
        "noticed": now.isoformat(),
        **{name: value for name, value in (("object", bad.uri), ("model", bad.model)) if value},
    }
    event_id = hash_of(bad.kind, bad.key, STUCK, about, problem.code, bad.uri or "")
    return Event(event_id, STUCK, f"{bad.kind}/{bad.key}", now, data)


@dataclass(frozen=True)
class RefusedRequest:
    """What is known of a request that was rejected before an item was created."""

    kind: Kind
    key: str
    created: datetime
    """When it was sent."""
    request_id: str | None = None
    message_id: str | None = None
    """The publisher's id; None for an HTTP request."""
    labels: Mapping[str, str] = field(default_factory=dict)


def rejection_event(refused: RefusedRequest, now: datetime, problem: Problem) -> Event:
    """Return the event for a request that was rejected before an item was created."""
    kind, key = refused.kind, refused.key
    data = {
        "key": key,
        "kind": kind.value,
        "request_id": refused.request_id,
        "message_id": refused.message_id,
        "labels": dict(refused.labels),
        "job": None,
        "created": refused.created.isoformat(),
        "finished": now.isoformat(),
        "outcome": "rejected",
        "error": problem.as_json(),
    }
    event_id = hash_of(kind.value, key, REJECTED, problem.code, problem.field or "", problem.message)
    return Event(event_id, REJECTED, f"{kind.value}/{key}", now, data)


@dataclass(frozen=True)
class IgnoredObject:
    """An object of the model bucket that belongs to no drop, and whose folder was not reported yet."""

    uri: str
    """The object: `gs://bucket/name`."""
    folder: str
    """The folder that this event is about: `gs://bucket/folder/`."""
    suggestion: str
    """The address that would be right: `gs://bucket/dataset/model/version/file`."""
    created: datetime
    """When the object was written."""
    reported_before: str = ""
    """When the folder was reported before; empty if it was not."""

    @property
    def key(self) -> str:
        """The key of the folder."""
        return ignored_key(self.folder)


def ignored_key(folder: str) -> str:
    """Return the key of a folder, `gs://bucket/folder/`, that holds objects that belong to no drop."""
    return hash_of("ignored", folder)


def ignored_event(ignored: IgnoredObject, now: datetime, problem: Problem) -> Event:
    """Return the event for an object that belongs to no drop, and for its folder."""
    data = {
        "key": ignored.key,
        "kind": OBJECT,
        "request_id": None,
        "message_id": None,
        "labels": {},
        "job": None,
        "created": ignored.created.isoformat(),
        "finished": now.isoformat(),
        "outcome": "ignored",
        "error": problem.as_json(),
        "object": ignored.uri,
        "folder": ignored.folder,
        "suggestion": ignored.suggestion,
    }
    event_id = hash_of(OBJECT, ignored.key, IGNORED, ignored.reported_before)
    return Event(event_id, IGNORED, f"{OBJECT}/{ignored.key}", now, data)


def _event(
    item: Item,
    kind: str,
    outcome: str,
    problem: Problem | None,
    finished: datetime | None,
    data_of_its_kind: dict[str, Any],
    about: str = "",
) -> Event:
    data = {
        **data_of_its_kind,
        "key": item.key,
        "kind": item.kind.value,
        "request_id": item.request_id,
        "message_id": item.message_id,
        "labels": dict(item.labels),
        "job": _last_job(item),
        "created": item.created.isoformat(),
        "finished": finished.isoformat() if finished else None,
        "outcome": outcome,
        "error": problem.as_json() if problem else None,
    }
    event_id = hash_of(item.kind.value, item.key, kind, outcome, str(item.run), about)
    return Event(event_id, kind, f"{item.kind.value}/{item.key}", finished or item.created, data)


def _last_job(item: Item) -> dict[str, str] | None:
    jobs = [step.job for step in item.steps if step.job is not None]
    if not jobs:
        return None
    return _job_json(jobs[-1])


def _job_json(job: Job | None) -> dict[str, str] | None:
    return {"system": job.system.value, "id": job.id, "location": job.location} if job else None
