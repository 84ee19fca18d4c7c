"""A piece of work: an item of the ledger, and its steps. ``work_facts.py`` has what it asks for and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from shared.batch_work import BatchFacts, BatchMessage
from shared.errors import Problem
from shared.work_facts import DropRequest, Facts, ManageMessage, PredictionMessage, QueryResult, Request


class Kind(StrEnum):
    """The kind of a piece of work; also the name of its folder in the ledger."""

    DROP = "drop"
    """A drop that is watched until it has settled."""
    IMPORT = "import"
    PREDICT = "predict"
    BATCH = "batch"
    MANAGE = "manage"


class Outcome(StrEnum):
    """How a piece of work ended."""

    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    SETTLED = "settled"
    """A watched drop was handed over to its import."""
    GONE = "gone"
    """The files of a watched drop were deleted."""
    REGISTERED = "registered"
    DEPLOYED = "deployed"
    UNDEPLOYED = "undeployed"
    DELETED = "deleted"
    DESCRIBED = "described"
    ROLLED_BACK = "rolled_back"
    UNPINNED = "unpinned"
    CHECK_FAILED = "check_failed"
    """A new model did not pass the check of its drop, and does not replace the one in use."""
    CHECKED = "checked"
    """A dry run has ended."""

    @property
    def is_success(self) -> bool:
        """Whether the request was carried out, so that a repeat of it has nothing to do."""
        return self not in {
            Outcome.FAILED,
            Outcome.CHECK_FAILED,
            Outcome.REJECTED,
            Outcome.CANCELLED,
            Outcome.EXPIRED,
            Outcome.GONE,
        }


class WaitReason(StrEnum):
    """Why an item waits in the ledger."""

    MODEL = "model"
    """The model does not exist yet, and a drop for it is being imported."""
    QUOTA = "quota"
    """Too many batches run, or the service refused one for its quota."""
    TURN = "turn"
    """Another import of the same model is under way."""
    ANSWER = "answer"
    """A job may have been created; it is looked for once it must be visible."""
    SETTLING = "settling"
    """More files of the drop may be uploaded."""
    ENDPOINT = "endpoint"
    """Another operation changes the endpoint, or the version in use is being undeployed."""
    ACCESS = "access"
    """A right is not effective yet, or an account of Google's does not exist yet, because the deployment is new."""


REFUSED = frozenset({WaitReason.QUOTA, WaitReason.ACCESS})
"""The reasons of work whose job was refused, so that it takes up no place."""


class System(StrEnum):
    """The service that runs a step's job."""

    BIGQUERY = "bigquery"
    VERTEX = "vertex"
    """A batch prediction job."""
    OPERATION = "vertex_operation"
    """A long-running operation of Vertex AI on an endpoint."""


class StepState(StrEnum):
    """The state of a step."""

    PENDING = "pending"
    """Nothing was sent."""
    SENDING = "sending"
    """It is about to be sent, or was sent and the answer is not known."""
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"


# Steps and their jobs


@dataclass(frozen=True)
class Job:
    """A job of a service."""

    system: System
    id: str
    """BigQuery's job id, or Vertex AI's resource name of the job or the operation."""
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
    result: QueryResult | None = None
    """The result of a query that succeeded. A batch's result belongs to its item (``BatchFacts``), however it ended."""


# The item


@dataclass(frozen=True)
class Claim:
    """Reserves an item for one call until the lease ends."""

    owner: str
    until: datetime


@dataclass(frozen=True)
class Item:
    """A piece of work. Its object in the ledger is the only truth about it."""

    kind: Kind
    key: str
    payload: str
    """The hash of the request; another request under the same id has another hash."""
    request: Request
    facts: Facts
    created: datetime
    request_id: str | None = None
    message_id: str | None = None
    """The id of the message that asked for it last, as Pub/Sub gave it to the publisher; None if no message did."""
    sources: tuple[str, ...] = ()
    """The ids of the messages and HTTP requests that asked for it."""
    run: int = 1
    """Grows when a request that failed is sent again."""
    location: str | None = None
    """Where its jobs run; None until the work is prepared."""
    steps: tuple[Step, ...] = ()
    claim: Claim | None = None
    waits_for: WaitReason | None = None
    not_before: datetime | None = None
    """When to look at it again; None: at any time."""
    reported: tuple[str, ...] = ()
    """The steps and reasons that were reported as stuck."""
    outcome: Outcome | None = None
    """None while the work is open."""
    event_published: bool = False
    """Whether the completion event was published. The outcome is stored before, so a retry cannot change it.

    The stored object does not say so, unless it was written again afterwards: an item that has ended is final when it has no
    index object any more, and ``Ledger.read`` returns it so.
    """
    problem: Problem | None = None
    finished: datetime | None = None
    traceparent: str | None = None
    """The span in which the work was requested; what the poller does, and the event, belong to the same trace."""
    generation: int = field(default=0, compare=False)
    """The generation of the object that this was read from; 0 if there is none yet."""
    index_generation: int | None = field(default=None, compare=False)
    """The generation of this item's index object; None if it is not known."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of the message that asked for the work; empty if it has none, or if no message did."""
        match self.request:
            case PredictionMessage(message=message) | BatchMessage(message=message) | ManageMessage(message=message):
                return message.get("labels") or {}
            case DropRequest(labels=labels):
                return labels
            case _:
                return {}

    @property
    def ended(self) -> bool:
        """Whether the outcome is known."""
        return self.outcome is not None

    @property
    def final(self) -> bool:
        """Whether nothing is left to do."""
        return self.ended and self.event_published

    @property
    def current(self) -> Step | None:
        """The step that is under way or next; None when all have succeeded."""
        return next((step for step in self.steps if step.state is not StepState.SUCCEEDED), None)

    def job_id(self, step: Step) -> str:
        """Return the id of the step's BigQuery job. It is always the same, so that submitting twice makes one job."""
        return f"{self.key}-{step.name}-{step.attempt}"

    def with_step(self, step: Step) -> Item:
        """Return this item with ``step`` in place of the step of that name."""
        return replace(self, steps=tuple(step if each.name == step.name else each for each in self.steps))

    def end(self, outcome: Outcome, now: datetime, problem: Problem | None = None) -> Item:
        """Return this item with its outcome."""
        return replace(self, outcome=outcome, problem=problem, finished=now)

    def wait(self, reason: WaitReason, until: datetime) -> Item:
        """Return this item waiting in the ledger; the poller does not look at it before ``until``."""
        return replace(self, waits_for=reason, not_before=until)

    def claimed_by_another(self, owner: str, now: datetime) -> bool:
        """Return whether another owner holds a claim whose lease has not ended."""
        return self.claim is not None and self.claim.owner != owner and self.claim.until > now

    def log_fields(self) -> dict[str, str | None]:
        """Return the fields that log records about this item have: its key, its kind and the names that it is about."""
        fields: dict[str, str | None] = {"key": self.key, "kind": self.kind.value, "model": self.request.model}
        if self.message_id is not None:
            fields["message_id"] = self.message_id
        match self.request, self.facts:
            case DropRequest(path=path), _:
                fields["path"] = path
            case PredictionMessage(output_table=table), _:
                fields["output_table"] = table
            case _, BatchFacts(output=output):
                fields["output"] = output
        return fields
