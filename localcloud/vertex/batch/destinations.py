"""The destination of a batch's answers: a BigQuery table, or a JSONL file in Cloud Storage."""

from __future__ import annotations

import base64
import json
import pickle
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO, Protocol, cast

from localcloud.bigquery.tables.facade import Tables
from localcloud.gemini.errors import BackendError
from localcloud.storage.store import ObjectStore
from localcloud.vertex.batch.job_requests import FileOutput, JobRequest, TableOutput
from localcloud.vertex.batch.sources import DataError, check_location

OUTPUT_COLUMNS = [
    {"name": "response", "type": "JSON", "mode": "NULLABLE"},
    {"name": "status", "type": "STRING", "mode": "NULLABLE"},
]
IN_MEMORY_BYTES = 8 << 20


@dataclass(frozen=True)
class Answer:
    """The answer to one request of a batch.

    Attributes:
        row: The row of the request, with all input columns.
        request: The request as JSON.
        response: The model's response; None if the request failed.
        failure: The error of a failed request.
        processed: The time of the answer.
    """

    row: dict[str, Any]
    request: Any
    response: dict[str, Any] | None
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

    def write(self, columns: list[dict[str, Any]], answers: Iterable[Answer]) -> None:
        """Write all answers; ``columns`` are the columns of the input."""
        ...

    def info(self) -> dict[str, str]:
        """Return the job's ``outputInfo``."""
        ...


def destination_of(request: JobRequest, created: datetime, tables: Tables, store: ObjectStore) -> Destination:
    """Return the destination of a job that was created at ``created``."""
    match request.output:
        case TableOutput() as output:
            return TableDestination(output, request.location, created, tables)
        case FileOutput() as output:
            return FileDestination(output, created, store)


class TableDestination:
    """A table with the input's columns, ``response`` and ``status``; an existing table is replaced."""

    def __init__(self, output: TableOutput, location: str, created: datetime, tables: Tables) -> None:
        """Name the table after the job's creation, unless ``output`` names one."""
        self._dataset = output.dataset
        self._table = f"{output.dataset}.{output.table or f'predictions_{created:%Y%m%d%H%M%S%f}'}"
        self._location = location
        self._tables = tables

    def check(self) -> None:
        """Check the location of the dataset. Raises ``DataError``, or an error of BigQuery."""
        check_location(self._dataset, self._location, self._tables)

    def write(self, columns: list[dict[str, Any]], answers: Iterable[Answer]) -> None:
        """Write all answers as rows. Raises ``DataError``, or an error of BigQuery."""
        # An answer may lack the value of a required input column, so all output columns are nullable.
        nullable = [{**column, "mode": "NULLABLE"} for column in columns]
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            # Collect all answers first, so that no database is locked while a model generates.
            count = 0
            for answer in answers:
                pickle.dump(_row(answer), file)
                count += 1
            file.seek(0)
            rows = (pickle.load(file) for _ in range(count))
            written = self._tables.write(self._table, nullable + OUTPUT_COLUMNS, rows)
        if written != count:
            raise DataError(f"Only {written} of {count} rows were written to {self._table}.")

    def info(self) -> dict[str, str]:
        """Return the job's ``outputInfo``."""
        # The documentation says that this is a table's name, but the official notebook uses it as a full address.
        return {"bigqueryOutputDataset": f"bq://{self._dataset}", "bigqueryOutputTable": f"bq://{self._table}"}


class FileDestination:
    """The file ``predictions.jsonl`` in a folder named after the job's creation."""

    def __init__(self, output: FileOutput, created: datetime, store: ObjectStore) -> None:
        """Name the folder after ``created``."""
        folder = f"prediction-model-{created.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        self._bucket = output.bucket
        self._folder = f"{output.prefix}/{folder}" if output.prefix else folder
        self._store = store

    def check(self) -> None:
        """Check that the bucket exists. Raises an error of Cloud Storage."""
        self._store.bucket(self._bucket)

    def write(self, columns: list[dict[str, Any]], answers: Iterable[Answer]) -> None:
        """Write all answers as lines of JSON. Raises ``DataError``, or an error of Cloud Storage."""
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as file:
            texts = {column["name"] for column in columns if column["type"] == "JSON"}
            for answer in answers:
                file.write(_line(answer, texts))
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


def _row(answer: Answer) -> dict[str, Any]:
    response = None if answer.response is None else json.dumps(answer.response, ensure_ascii=False)
    return {**answer.row, "response": response, "status": answer.status}


def _line(answer: Answer, texts: set[str]) -> bytes:
    """Return an answer as a line of JSON; ``texts`` are the columns whose values are JSON text."""
    others = {
        key: json.loads(value) if key in texts and value is not None else value
        for key, value in answer.row.items()
        if key != "request"
    }
    line = {
        "status": answer.status,
        "processed_time": answer.processed.astimezone(UTC).isoformat(timespec="milliseconds"),
        "request": answer.request,
        "response": answer.response or {},
        **others,
    }
    return json.dumps(line, ensure_ascii=False, default=_json_value).encode() + b"\n"


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
