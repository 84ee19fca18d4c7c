"""A piece of work as the ledger keeps it: an item with its steps, and how it reads and writes as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.errors import Problem


class Kind(StrEnum):
    """What a piece of work is; the name of its folder in the ledger."""

    DROP = "drop"
    """A drop that is watched until it has settled."""
    IMPORT = "import"
    PREDICT = "predict"
    BATCH = "batch"
    MANAGE = "manage"


class System(StrEnum):
    """The service that runs a step's job."""

    BIGQUERY = "bigquery"
    VERTEX = "vertex"


class StepState(StrEnum):
    """How far a step is."""

    PENDING = "pending"
    """Nothing was sent."""
    SENDING = "sending"
    """It is about to be sent, or was sent and the answer is not known."""
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"


@dataclass(frozen=True)
class Job:
    """A job of a service."""

    system: System
    id: str
    """BigQuery's job id, or Vertex AI's resource name."""
    location: str


@dataclass(frozen=True)
class Step:
    """One job of an item."""

    name: str
    system: System
    state: StepState = StepState.PENDING
    attempt: int = 1
    """Part of the job id: it grows with every job that is submitted for this step."""
    tries: int = 1
    """How often the step was tried since the request was sent (again)."""
    job: Job | None = None
    sent: datetime | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    """What the job told when it had ended."""


@dataclass(frozen=True)
class Claim:
    """Who works on an item, and until when nobody else may."""

    owner: str
    until: datetime


@dataclass(frozen=True)
class Item:
    """A piece of work: the only truth about it is its object in the ledger."""

    kind: Kind
    key: str
    payload: str
    """The hash of what was asked for, to tell a repeat from another request under the same id."""
    request: Mapping[str, Any]
    created: datetime
    request_id: str | None = None
    sources: tuple[str, ...] = ()
    """The ids of the messages that asked for it."""
    run: int = 1
    """Grows when a request that failed is sent again."""
    location: str | None = None
    steps: tuple[Step, ...] = ()
    claim: Claim | None = None
    waits_for: str | None = None
    """Why nothing is submitted: `model`, `quota`, `turn`, `answer`, `settling`; None if nothing is waited for."""
    not_before: datetime | None = None
    """When it is worth another look; None: at any time."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What was found out on the way and belongs into the event."""
    reported: tuple[str, ...] = ()
    """The steps that were reported as stuck."""
    outcome: str | None = None
    """How it ended; None while it has not."""
    event_published: bool = False
    """Whether its end was told; what has ended is written down before, so that it is told the same way by whoever does."""
    problem: Problem | None = None
    finished: datetime | None = None
    generation: int = field(default=0, compare=False)
    """The generation of the object that this was read from; 0 if there is none yet."""
    index_generation: int | None = field(default=None, compare=False)
    """The generation of the index object that is known to be this item's; None if it is not known."""

    @property
    def ended(self) -> bool:
        """Whether it is known how it ended."""
        return self.outcome is not None

    @property
    def final(self) -> bool:
        """Whether nothing more is to be done."""
        return self.ended and self.event_published

    @property
    def current(self) -> Step | None:
        """The step that is under way or next; None when all have succeeded."""
        return next((step for step in self.steps if step.state is not StepState.SUCCEEDED), None)

    def job_id(self, step: Step) -> str:
        """Return the id of the step's BigQuery job: the same for whoever submits it, so that it can be submitted twice."""
        return f"{self.key}-{step.name}-{step.attempt}"

    def with_step(self, step: Step) -> Item:
        """Return this item with ``step`` in place of the one of its name."""
        return replace(self, steps=tuple(step if each.name == step.name else each for each in self.steps))

    def with_facts(self, **facts: Any) -> Item:
        """Return this item with more facts."""
        return replace(self, facts={**self.facts, **facts})

    def claimed_by_another(self, owner: str, now: datetime) -> bool:
        """Return whether somebody else holds a claim that has not run out."""
        return self.claim is not None and self.claim.owner != owner and self.claim.until > now


def item_to_json(item: Item) -> dict[str, Any]:
    """Return what the ledger stores of ``item``."""
    return {
        "kind": item.kind.value,
        "key": item.key,
        "payload": item.payload,
        "request": dict(item.request),
        "created": item.created.isoformat(),
        "request_id": item.request_id,
        "sources": list(item.sources),
        "run": item.run,
        "location": item.location,
        "steps": [_step_to_json(step) for step in item.steps],
        "claim": item.claim and {"owner": item.claim.owner, "until": item.claim.until.isoformat()},
        "waits_for": item.waits_for,
        "not_before": item.not_before and item.not_before.isoformat(),
        "facts": dict(item.facts),
        "reported": list(item.reported),
        "outcome": item.outcome,
        "event_published": item.event_published,
        "problem": item.problem and item.problem.as_json(),
        "finished": item.finished and item.finished.isoformat(),
    }


def item_from_json(value: Mapping[str, Any], generation: int) -> Item:
    """Return the item that an object of the ledger holds."""
    claim, problem = value["claim"], value["problem"]
    finished, not_before = value["finished"], value["not_before"]
    return Item(
        kind=Kind(value["kind"]),
        key=value["key"],
        payload=value["payload"],
        request=value["request"],
        created=datetime.fromisoformat(value["created"]),
        request_id=value["request_id"],
        sources=tuple(value["sources"]),
        run=value["run"],
        location=value["location"],
        steps=tuple(map(_step_from_json, value["steps"])),
        claim=Claim(claim["owner"], datetime.fromisoformat(claim["until"])) if claim else None,
        waits_for=value["waits_for"],
        not_before=datetime.fromisoformat(not_before) if not_before else None,
        facts=value["facts"],
        reported=tuple(value["reported"]),
        outcome=value["outcome"],
        event_published=value["event_published"],
        problem=Problem(problem["code"], problem["message"], problem["field"]) if problem else None,
        finished=datetime.fromisoformat(finished) if finished else None,
        generation=generation,
    )


def _step_to_json(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "system": step.system.value,
        "state": step.state.value,
        "attempt": step.attempt,
        "tries": step.tries,
        "job": step.job and {"system": step.job.system.value, "id": step.job.id, "location": step.job.location},
        "sent": step.sent and step.sent.isoformat(),
        "result": dict(step.result),
    }


def _step_from_json(value: Mapping[str, Any]) -> Step:
    job, sent = value["job"], value["sent"]
    return Step(
        name=value["name"],
        system=System(value["system"]),
        state=StepState(value["state"]),
        attempt=value["attempt"],
        tries=value["tries"],
        job=Job(System(job["system"]), job["id"], job["location"]) if job else None,
        sent=datetime.fromisoformat(sent) if sent else None,
        result=value["result"],
    )
