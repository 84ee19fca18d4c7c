"""A piece of work: an item of the ledger, its steps, what it asks for and what is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.batch_work import BatchFacts, BatchMessage
from shared.errors import Problem


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
class QueryResult:
    """What BigQuery reports of a query that succeeded."""

    started_ms: int = 0
    """When the job began, in milliseconds since 1970; 0 if BigQuery did not say."""
    rows_written: int | None = None
    """None if BigQuery did not say."""
    bytes_processed: int = 0
    slot_ms: int = 0
    failed_rows: int = 0
    """Rows for which a language model gave no answer."""


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


# What an item asks for (its request) and what is known of it (its facts), for each kind


@dataclass(frozen=True)
class DropRequest:
    """The drop to watch."""

    model: str
    """The model that the drop becomes: `project.dataset.model`."""
    path: str
    """The drop's folder: `gs://bucket/dataset/model/version/`."""
    dataset: str
    folder: str
    """The second part of the path; the model's name, unless `modeldrop.yaml` names another."""
    version: str
    labels: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    """The labels of the message that asked for the import; empty if no message did."""


@dataclass(frozen=True)
class FoundFile:
    """A file of a drop, as events show it."""

    name: str
    """Within the drop's folder."""
    size: int
    """In bytes."""


@dataclass(frozen=True)
class DropFacts:
    """What is known of a watched drop."""

    since: datetime
    """When the watch began."""
    missing: tuple[str, ...] = ()
    """What the drop lacks, in words."""
    found: tuple[FoundFile, ...] = ()
    """The first files of the drop."""
    found_count: int = 0
    """How many files the drop has."""
    files: int | None = None
    """The number of files that `modeldrop.yaml` gives."""
    fingerprint: str | None = None
    """The fingerprint of the files that were imported; empty if the drop is gone."""
    listed_until: datetime | None = None
    """When the newest of the imported files was written."""


@dataclass(frozen=True)
class ModelColumn:
    """An input or output of a model."""

    name: str
    type: str
    """Its type in GoogleSQL, such as INT64 or ARRAY<FLOAT64>."""
    element: str | None = None
    """The type of an element as the model's format names it, such as float32; None if it was not read."""
    shape: tuple[int | None, ...] | None = None
    """The shape with the batch dimension, None for an open size; None if the model leaves it open, or it was not read."""


@dataclass(frozen=True)
class ModelSignature:
    """The type of a model, and its inputs and outputs."""

    model_type: str | None
    input_columns: tuple[ModelColumn, ...]
    output_columns: tuple[ModelColumn, ...]


@dataclass(frozen=True)
class Rollback:
    """What a message says of a rollback."""

    version: str | None
    """The version to bring back; None: the one below the current."""
    replaced: str | None = None
    """The version that the model had before; None if it is not known."""


@dataclass(frozen=True)
class ImportRequest(DropRequest):
    """The settled drop to import, or the reason why it cannot be imported."""

    fingerprint: str
    model_type: str | None = None
    """None if the drop cannot be imported."""
    uri: str = ""
    """The model's file, or all files of the folder: `gs://.../model.onnx` or `gs://.../*`."""
    manifest: str = ""
    """The text of `modeldrop.yaml`."""
    refusal: Problem | None = None
    signature: ModelSignature | None = None
    """The model as its files describe it; None if they were not read."""
    found: tuple[FoundFile, ...] = ()
    """The first files of a drop that holds no model."""
    rollback: Rollback | None = None
    """Set if a message asks for a former version. Until that drop is found, ``fingerprint`` is empty."""


@dataclass(frozen=True)
class CheckResult:
    """What the check of a new model has counted."""

    rows: int
    """The rows for which the new model predicted."""
    wrong_rows: int | None = None
    """The rows with an output that is not the expected one; None if a metric was computed."""
    value: float | None = None
    """The value of the metric; None if outputs were compared, or if it is NULL."""


@dataclass(frozen=True)
class Deployment:
    """A model that is deployed to an endpoint, or is to be deployed or undeployed."""

    endpoint: str
    """The resource name of the endpoint."""
    endpoint_name: str
    """The display name of the endpoint."""
    deployed_model_id: str
    """Its id on the endpoint."""
    machine_type: str | None = None
    traffic: int = 0
    """How many of 100 requests to the endpoint it gets."""


@dataclass(frozen=True)
class ImportFacts:
    """What is known of an import."""

    signature: ModelSignature | None = None
    """None until the model was imported."""
    check: CheckResult | None = None
    """None if the drop has no check, or it has not ended."""
    replaced: tuple[Deployment, ...] = ()
    """Where the version in use was deployed when the import began to replace it."""
    registry_id: str | None = None
    """The id under which the model was registered when the import began; None if it was not."""


@dataclass(frozen=True)
class PredictionMessage:
    """The predict message, and the names in it that logs and events show."""

    message: Mapping[str, Any]
    published: datetime
    """Fills in `{date}` and `{hour}` when the message is read again."""
    model: str
    """`project.dataset.model`."""
    output_table: str
    """`project.dataset.table`."""


@dataclass(frozen=True)
class ManageMessage:
    """The manage message, and the names in it that logs and events show."""

    message: Mapping[str, Any]
    published: datetime
    """Fills in `{date}` and `{hour}` when the message is read again."""
    action: str
    model: str
    """`project.dataset.model`."""


@dataclass(frozen=True)
class ManageFacts:
    """What is known of the work of a manage message."""

    description: Mapping[str, Any] | None = None
    """The description of the model, as its event publishes it; None unless the action is `describe`."""
    registry: Mapping[str, Any] | None = None
    """The model's entry in the registry, as its event publishes it; None unless the action is about it."""
    deployments: tuple[Deployment, ...] = ()
    """What the message deploys, or undeploys."""


@dataclass(frozen=True)
class ModelVersion:
    """The drop that a model came from."""

    version: str
    fingerprint: str


@dataclass(frozen=True)
class PredictionFacts:
    """What is known of a prediction."""

    model_version: ModelVersion | None = None
    """None if it is not known yet, or if the model came from no drop."""
    output_columns: tuple[Mapping[str, Any], ...] | None = None
    """Each as BigQuery's TableFieldSchema; None if the query was not analysed."""
    result: QueryResult | None = None
    """The result of the step that writes the rows."""


Request = DropRequest | ImportRequest | PredictionMessage | BatchMessage | ManageMessage
Facts = DropFacts | ImportFacts | PredictionFacts | BatchFacts | ManageFacts


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
