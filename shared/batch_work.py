"""What a batch asks for and what is known of it: the request and the facts of its item in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# What a message can do with a batch.
BATCH_ACTIONS = ("cancel", "delete", "retry_failed_rows", "resubmit")

# Which rows are sent again.
RETRYABLE, FAILED = "retryable", "failed"


@dataclass(frozen=True)
class BatchMessage:
    """The batch request, and the model in it, which logs and events show."""

    message: Mapping[str, Any]
    published: datetime
    """Fills in `{date}` and `{hour}` when the request is read again."""
    model: str
    """The model's resource name."""


@dataclass(frozen=True)
class RequestCheck:
    """What a batch would send, as the check of its requests has counted it."""

    requests: int
    characters: int
    """The characters of all texts in the requests."""
    files: int
    """How many files the requests name."""
    answer_tokens: int | None
    """The most tokens that the answers can have; None if a request has no limit."""
    input_tokens: int = 0
    """The tokens of the texts, estimated: a fourth of the characters. Those of files are not counted."""
    jobs: int = 1
    """How many jobs the requests need."""
    input_cost: float | None = None
    """The price of the input tokens; None if no price is set for the model."""
    answer_cost: float | None = None
    """The price of the most answer tokens; None if it is not known."""


@dataclass(frozen=True)
class Failures:
    """Rows without an answer that failed with the same code."""

    code: str
    """Such as RESOURCE_EXHAUSTED or 429."""
    requests: int
    example: str
    """The status of one of them, shortened."""


@dataclass(frozen=True)
class Tokens:
    """The tokens of all answers, as Gemini reports them."""

    prompt: int
    answer: int
    thinking: int
    cached: int
    """Those of the prompts that were cached."""


@dataclass(frozen=True)
class BatchResult:
    """What Vertex AI reports of a batch that ended; a count is None if Vertex AI did not say."""

    state: str
    """As the service names it, such as JOB_STATE_SUCCEEDED."""
    succeeded: int | None
    failed: int | None
    incomplete: int | None
    failures: tuple[Failures, ...] = ()
    """The rows without an answer, by code; for answers in Cloud Storage those that Vertex AI names."""
    tokens: Tokens | None = None
    """None if the answers were not read."""


@dataclass(frozen=True)
class LineColumn:
    """A field beside the request in the lines of JSONL, as a column."""

    name: str
    type: str
    """As SQL writes it: `INT64`."""


@dataclass(frozen=True)
class LineFormat:
    """How lines of requests and answers in Cloud Storage are read as rows."""

    kind: str
    """The kind of the requests, a value of ``Requests``."""
    columns: tuple[LineColumn, ...] = ()
    """The columns of the fields beside the request."""


@dataclass(frozen=True)
class BatchRound:
    """A job of a batch that has ended."""

    requests: str | None
    """The table of its requests: `bq://project.dataset.table`; None if they are in files."""
    answers: str
    """The table that it wrote, or into which the lines that it wrote were loaded."""
    repeats: str = ""
    """Which rows of the jobs before it was sent again: ``retryable`` or ``failed`` ones; empty for none."""
    written: bool = True
    """Whether the table of the answers exists."""
    folder: str | None = None
    """The folder that it wrote, if the answers are in Cloud Storage: `gs://bucket/folder/prediction-model-...`."""


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
    """The table that the job writes, from which the step `move` takes the rows, or into which the step `read` loads the lines
    that it wrote; None if the answers of the job are not read."""
    folder: str | None = None
    """The folder in which each job writes a folder of its own: `gs://bucket/folder`; None if the jobs write tables, or if their
    answers are not read."""
    job_folder: str | None = None
    """The folder that the current job has written; None until it has ended."""
    line_format: LineFormat | None = None
    """How the lines in Cloud Storage are read as rows; None if they are not."""
    lines: str | None = None
    """The table into which the lines of the input's files are loaded: `bq://project.dataset.table`; None if they are not."""
    unfound: str | None = None
    """Why the requests that a job did not come to cannot be found in the files of the input; None if they can."""
    unchecked_bytes: int = 0
    """How many bytes of the input's files were not checked: they are too many to be read at once, and no query checked them."""
    files_hash: str | None = None
    """The hash of the names and generations of the input's files, which must not change before they are loaded."""
    too_large: bool = False
    """Whether a file of the input is larger than a job takes, so that its requests are sent from a table."""
    wanted: str = ""
    """Which rows an action wants to be sent again as soon as the answers are read: ``failed`` ones; empty for none."""
    requests: str | None = None
    """The table of the current job's requests: a part of all, or those that failed before; None while all are sent at once."""
    repeats: str = ""
    """Which of these requests are sent again: ``retryable`` or ``failed`` ones; empty while all are sent."""
    parts: int = 1
    """Into how many jobs the requests are divided, because one does not take them all."""
    rounds: tuple[BatchRound, ...] = ()
    """The jobs that have ended and whose answers were read."""
    moved: int = 0
    """How many rounds the output has the answers of, from before this run."""
    flattened: int = 0
    """How many rounds the typed results have the answers of, from before this run."""
    cancelling: bool = False
    """Whether somebody wants the batch to be cancelled."""
    deleted: bool = False
    """Whether its jobs and its own tables were deleted."""
    files: tuple[str, ...] = ()
    """The files of an input in Cloud Storage: each `gs://bucket/file.jsonl`."""
    results: str | None = None
    """The table of the typed results: `bq://project.dataset.table`; None if there are none."""
    check: RequestCheck | None = None
    """What the check of all requests found; None until it has ended."""
    result: BatchResult | None = None
    cancelled_duplicates: tuple[str, ...] = ()
    """The resource names of jobs that were found beside the batch's own, and cancelled."""

    @property
    def source(self) -> tuple[str, ...]:
        """Where the requests of the current job are: one table, or files."""
        if self.requests is not None:
            return (self.requests,)
        return self.files or (str(self.input),)

    @property
    def is_divided(self) -> bool:
        """Whether the requests are divided into parts, each in a table of its own."""
        return self.parts > 1 or self.too_large

    @property
    def unsent_parts(self) -> int:
        """How many of the jobs into which the requests are divided have not ended."""
        return self.parts - sum(not each.repeats for each in self.rounds)

    @property
    def incomplete(self) -> int | None:
        """How many requests have neither an answer nor a failure, those of parts that were not sent too; None if unknown."""
        result = self.result
        if result is None or self.check is None or self.parts == 1 or self.unsent_parts <= 0:
            return None if result is None else result.incomplete
        return max(result.incomplete or 0, self.check.requests - (result.succeeded or 0) - (result.failed or 0))

    @property
    def place(self) -> str | None:
        """Where the current job writes its answers."""
        return self.folder or self.answers or self.output

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that the jobs have written, in their order, if they are known one by one."""
        found = [each.folder for each in self.rounds if each.written and each.folder]
        return tuple(dict.fromkeys([*found, *([self.job_folder] if self.job_folder else [])]))
