"""What an item asks for (its request) and what is known of it (its facts), for each kind of work.

Those of batches are in ``batch_work.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.batch_work import BatchFacts, BatchMessage
from shared.errors import Problem


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
