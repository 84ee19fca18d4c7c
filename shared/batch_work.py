"""What a batch asks for and what is known of it: the request and the facts of its item in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class BatchMessage:
    """The batch request, and the model in it, which logs and events show."""

    message: Mapping[str, Any]
    published: datetime
    """Fills in `{date}` and `{hour}` when the request is read again."""
    model: str
    """The model's resource name."""


@dataclass(frozen=True)
class BatchResult:
    """What Vertex AI reports of a batch that ended; a count is None if Vertex AI did not say."""

    state: str
    """As the service names it, such as JOB_STATE_SUCCEEDED."""
    succeeded: int | None
    failed: int | None
    incomplete: int | None


@dataclass(frozen=True)
class BatchFacts:
    """What is known of a batch."""

    input: str | None = None
    """`bq://project.dataset.table`, or the addresses of files as they were sent; None until it is checked."""
    output: str | None = None
    """`bq://project.dataset.table` or `gs://bucket/folder`; None until it is checked."""
    prompt_columns: tuple[str, ...] | None = None
    """The columns of the query that requests are built from; None if they are not built from a query."""
    location: str | None = None
    """The location of Vertex AI in which the batch runs; the item's own is where its BigQuery jobs run."""
    answers: str | None = None
    """The table that the job writes, from which the step `move` takes the rows; None if the job writes the output itself."""
    files: tuple[str, ...] = ()
    """The files of an input in Cloud Storage: each `gs://bucket/file.jsonl`."""
    result: BatchResult | None = None
    cancelled_duplicates: tuple[str, ...] = ()
    """The resource names of jobs that were found beside the batch's own, and cancelled."""

    @property
    def place(self) -> str | None:
        """Where the answers are before the step `move`, or if there is no such step."""
        return self.answers or self.output
