"""A batch prediction job of Vertex AI as plain data, for modules that should not import Vertex AI's heavy client.

The calls are in ``shared/cloud/vertex.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.cloud.states import Progress
from shared.errors import Problem

# The labels by which a job is found if the call that created it was not answered.
KEY_LABEL = "modeldrop_key"
KIND_LABEL = "modeldrop_kind"
ATTEMPT_LABEL = "modeldrop_attempt"


@dataclass(frozen=True)
class Batch:
    """A batch prediction job to create."""

    display_name: str
    model: str
    inputs: tuple[str, ...]
    """One ``bq://project.dataset.table``, or files: ``gs://bucket/file.jsonl``."""
    output: str
    """``bq://project.dataset.table`` or ``gs://bucket/folder``."""
    labels: Mapping[str, str]
    location: str
    """Where the job runs: `global`, `us`, `eu` or a region."""


@dataclass(frozen=True)
class BatchReport:
    """The state of a batch prediction job."""

    name: str
    state: str
    """The name that the service gives the state: ``JOB_STATE_RUNNING``."""
    progress: Progress
    created: datetime | None
    labels: Mapping[str, str]
    succeeded: int | None
    """The number of rows, as the next two; None if the service does not say."""
    failed: int | None
    incomplete: int | None
    output: str | None
    """The table or folder that holds the answers; None if the service does not say."""
    problem: Problem | None
    """Why the job failed."""
    partial_failures: tuple[Problem, ...] = ()
    """The first failures of single requests, if the service names them."""
