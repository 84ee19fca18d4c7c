"""The destination of a batch's answers: a BigQuery table, or a JSONL file in Cloud Storage."""

from __future__ import annotations

import base64
import json
import math
import pickle
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO, Protocol, cast

from localcloud.bigquery.tables.facade import Tables
from localcloud.gemini.errors import BackendError
from localcloud.gemini.models import GLOBAL, MULTI_REGIONS
from localcloud.storage.objects.store import ObjectStore
from localcloud.vertex.batch.formats import RowFormat
from localcloud.vertex.batch.job_requests import FileOutput, JobRequest, TableOutput
from localcloud.vertex.batch.sources import DataError, Source, check_location

IN_MEMORY_BYTES = 8 << 20
LONGEST_COLUMN = 300
# The characters that no column's name has, and the beginnings of pseudo columns' names.
_NO_COLUMN = re.compile(
    r"[!\"$()*,./;?@\[\\\]^`{}~]"
    r"|^(?:_TABLE_|_FILE_|_PARTITION|_ROW_TIMESTAMP|__ROOT__|_COLIDENTIFIER|_CHANGE_(?:SEQUENCE_NUMBER|TYPE|TIMESTAMP))",
    re.IGNORECASE,
)

# The dataset of batches without a destination, which the service creates. Other datasets must exist.
# https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/BigQueryDestination
DEFAULT_DATASET = "gen_ai_batch_prediction"


@dataclass(frozen=True)
class Answer:
    """The answer to one request of a batch.

    Attributes:
        row: The row of the request, with all input columns.
        request: The request as JSON.
        response: The model's response, as JSON; None if the request failed.
        failure: The error of a failed request.
        processed: The time of the answer.
    """

    row: dict[str, Any]
    request: Any
    response: Any
    failure: BackendError | None
    processed: datetime

    @property
    def status(self) -> str:
        """The value of the column ``status``: empty, or the error with the name of its HTTP status."""
        return f"{self.failure.phrase}: {json.dumps(self.failure.body())}" if self.failure else ""


class Destination(Protocol):
    """The destination of a batch's answers."""

    def check(self) -> None:
        """Check that the destination is writable. Raises ``DataError``, or an error of the storing service."""
        ...

    def write(self, source: Source, answers: Iterable[Answer]) -> None:
        """Write all answers to the requests of ``source``."""
        ...

    def info(self) -> dict[str, str]:
        """Return the job's ``outputInfo``."""
        ...


def destination_of(
    request: JobRequest, rows: RowFormat, created: datetime, tables: Tables, store: ObjectStore, *, again: bool = False
) -> Destination:
    """Return the destination of a job.

    Args:
        request: The request of the job.
        rows: The format of its rows.
        created: The creation time of the job.
        tables: The tables of the local BigQuery.
        store: The objects of the local Cloud Storage.
        again: Whether the job may have run before, and have written its output.
    """
    match request.output:
        case TableOutput() as output:
            return TableDestination(output, request, rows, created, tables, again=again)
        case FileOutput() as output:
            return FileDestination(output, rows, created, store)


class TableDestination:
    """A new table with the input's columns, the answer and ``status``.

    https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/BigQueryDestination
    """

    def __init__(
        self,
        output: TableOutput,
        request: JobRequest,
        rows: RowFormat,
        created: datetime,
        tables: Tables,
        *,
        again: bool = False,
    ) -> None:
        """Name the dataset and the table after the model and the job's creation, unless ``output`` names them.

        Args:
            output: The destination of the request.
            request: The request of the job.
            rows: The format of its rows.
            created: The creation time of the job.
            tables: The tables of the local BigQuery.
            again: Whether the job may have run before, and have created the table.
        """
        moment = created.astimezone(UTC)
        table = output.table or f"predictions_{moment:%Y%m%d%H%M%S%f}"
        if output.dataset is None:
            model = re.sub(r"\W", "_", request.model.rsplit("/", 1)[-1])
            self._dataset = f"prediction_{model}_{moment:%Y_%m_%dT%H_%M_%S}_{moment.microsecond // 1000:03d}Z"
            table = "predictions"
        else:
            self._dataset = output.dataset
        self._project = output.project
        self._format = rows
        self._dataset_path = f"{output.project}.{self._dataset}"
        self._name = f"{self._dataset}.{table}"
        self._table = f"{output.project}.{self._name}"
        self._creates_dataset = output.dataset in (None, DEFAULT_DATASET)
        self._location = request.location
        self._created = created
        self._tables = tables
        self._again = again

    def check(self) -> None:
        """Check the dataset, and that the table does not exist. Raises ``DataError``, or an error of BigQuery."""
        if self._creates_dataset:
            self._tables.create_dataset(self._dataset_path, _dataset_location(self._location))
        check_location(self._dataset_path, self._location, self._tables)
        existing = self._tables.created(self._table)
        if existing is not None and not (self._again and existing >= self._created):
            raise DataError(f"Already Exists: Table {self._table.replace('.', ':', 1)}")

    def write(self, source: Source, answers: Iterable[Answer]) -> None:
        """Write all answers as rows. Raises ``DataError``, or an error of BigQuery."""
        _check_names(source)
        # An answer may lack the value of a required input column, so all output columns are nullable.
        nullable = [{**column, "mode": "NULLABLE"} for column in source.columns]
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            # Collect all answers first, so that no database is locked while a model generates.
            count = 0
            for answer in answers:
                pickle.dump(self._row(answer), file, pickle.HIGHEST_PROTOCOL)
                count += 1
            file.seek(0)
            rows = (pickle.load(file) for _ in range(count))
            added = [
                {"name": self._format.answer, "type": "JSON", "mode": "NULLABLE"},
                {"name": "status", "type": "STRING", "mode": "NULLABLE"},
            ]
            written = self._tables.write(self._table, nullable + added, rows, decimals=source.decimals)
        if written != count:
            raise DataError(f"Only {written} of {count} rows were written to {self._table}.")

    def _row(self, answer: Answer) -> dict[str, Any]:
        response = None if answer.response is None else json.dumps(answer.response, ensure_ascii=False)
        return {**answer.row, self._format.answer: response, "status": answer.status}

    def info(self) -> dict[str, str]:
        """Return the job's ``outputInfo``.

        Google's clients use the table in two ways: ``aiplatform`` appends it to the dataset (``iter_outputs``), and the
        official notebook queries it alone (``output_location``). Only this division of the name serves both.
        """
        return {"bigqueryOutputDataset": f"bq://{self._project}", "bigqueryOutputTable": self._name}


def _check_names(source: Source) -> None:
    """Raise ``DataError`` if a field of the input cannot be a column.

    https://cloud.google.com/bigquery/docs/schemas#column_names
    """
    for column in source.columns:
        name = str(column["name"])
        if not 0 < len(name) <= LONGEST_COLUMN or _NO_COLUMN.search(name):
            raise DataError(
                f'Invalid field name "{name}". Fields must contain the allowed characters, and be at most 300 characters long. '
                "For allowed characters, please refer to https://cloud.google.com/bigquery/docs/schemas#column_names"
            )


def _dataset_location(location: str) -> str:
    """Return the BigQuery location of a dataset that is created for a job in ``location``."""
    if location == GLOBAL:
        return "US"
    return location.upper() if location in MULTI_REGIONS else location


class FileDestination:
    """The file ``predictions.jsonl`` in a folder named after the job's creation."""

    def __init__(self, output: FileOutput, rows: RowFormat, created: datetime, store: ObjectStore) -> None:
        """Name the folder after ``created``."""
        folder = f"prediction-model-{created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        self._bucket = output.bucket
        self._format = rows
        self._folder = f"{output.prefix}/{folder}" if output.prefix else folder
        self._store = store

    def check(self) -> None:
        """Check that the bucket exists. Raises an error of Cloud Storage."""
        self._store.bucket(self._bucket)

    def write(self, source: Source, answers: Iterable[Answer]) -> None:
        """Write all answers as lines of JSON. Raises ``DataError``, or an error of Cloud Storage."""
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            texts = {column["name"] for column in source.columns if column["type"] == "JSON"}
            for answer in answers:
                file.write(_line(answer, texts, self._format))
            file.seek(0)
            self._store.write(
                self._bucket,
                f"{self._folder}/predictions.jsonl",
                cast(BinaryIO, file),
                content_type="application/jsonl",
            )

    def info(self) -> dict[str, str]:
        """Return the job's ``outputInfo``."""
        return {"gcsOutputDirectory": f"gs://{self._bucket}/{self._folder}"}


def _line(answer: Answer, texts: set[str], rows: RowFormat) -> bytes:
    """Return an answer as a line of JSON; ``texts`` are the columns whose values are JSON text."""
    others = {
        key: json.loads(value) if key in texts and value is not None else value
        for key, value in answer.row.items()
        if rows.whole_instance or key != rows.request
    }
    if rows.whole_instance:
        line = {"instance": others, rows.answer: answer.response or [], "status": answer.status}
        return json.dumps(line, default=_json_value).encode() + b"\n"
    line = {
        "status": answer.status,
        "processed_time": answer.processed.astimezone(UTC).isoformat(timespec="milliseconds"),
        "request": _json_of(answer.request),
        rows.answer: answer.response or {},
        **{key: _finite(value) for key, value in others.items()},
    }
    try:
        return json.dumps(line, ensure_ascii=False, default=_json_value).encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape sequence can hold
        return json.dumps(line, default=_json_value).encode() + b"\n"


def _json_of(request: Any) -> Any:
    """Return the request of a row as JSON; a request that is not JSON stays text."""
    if not isinstance(request, str):
        return request
    try:
        return json.loads(request)
    except ValueError:
        return request


def _finite(value: Any) -> Any:
    """Return a value whose JSON is valid; BigQuery writes these numbers as strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _json_value(value: Any) -> Any:
    """Return the JSON value of a BigQuery value."""
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case bytes():
            return base64.b64encode(value).decode()
        case Decimal():
            return str(value)
        case _:
            raise DataError(f"A {type(value).__name__} cannot be written as JSON.")
