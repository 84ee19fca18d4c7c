"""A batch prediction job of Vertex AI as plain data, for those who need not import its client, which is heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from shared.cloud.states import Progress
from shared.errors import Problem

# The labels by which a job is found again after its creation was not answered.
KEY_LABEL = "modeldrop_key"
ATTEMPT_LABEL = "modeldrop_attempt"


@dataclass(frozen=True)
class Batch:
    """A batch prediction job that is to be created."""

    display_name: str
    model: str
    input: str
    """``bq://project.dataset.table`` or ``gs://bucket/file.jsonl``."""
    output: str
    """``bq://project.dataset.table`` or ``gs://bucket/folder``."""
    labels: Mapping[str, str]


@dataclass(frozen=True)
class BatchReport:
    """How a batch prediction job stands."""

    name: str
    state: str
    """As the service names it."""
    progress: Progress
    created: datetime | None
    labels: Mapping[str, str]
    succeeded: int | None
    failed: int | None
    incomplete: int | None
    output: str | None
    problem: Problem | None
