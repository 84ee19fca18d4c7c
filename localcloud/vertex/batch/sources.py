"""The source of a batch's requests: a BigQuery table, or JSONL files in Cloud Storage.

The rules for tables: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-bigquery
and for files: https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-cloud-storage
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, ClassVar, Protocol

from localcloud.bigquery.tables.facade import Tables
from localcloud.gemini.json_values import parse_json
from localcloud.gemini.models import EVERYWHERE, MULTI_REGIONS
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.resources import StoredObject
from localcloud.vertex.batch.formats import RowFormat
from localcloud.vertex.batch.job_requests import FileInput, JobRequest, TableInput

MAX_FILE_BYTES = 1 << 30
# ARRAY is a mode, not a type, in BigQuery's REST API.
UNSUPPORTED_TYPES = {
    "STRUCT": "STRUCT",
    "RECORD": "STRUCT",
    "RANGE": "RANGE",
    "DATETIME": "DATETIME",
    "GEOGRAPHY": "GEOGRAPHY",
}
TYPE_OF_VALUE = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING"}


class DataError(Exception):
    """Invalid input or output of a batch, with a message for the caller."""


class Source(Protocol):
    """The requests of a batch."""

    def open(self) -> int:
        """Check the input, and return the number of requests. Raises ``DataError``."""
        ...

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The input columns, which the output has too, in the form of BigQuery's REST API. Set by ``open``."""
        ...

    @property
    def decimals(self) -> dict[str, str]:
        """The stored types of NUMERIC and BIGNUMERIC columns, for ``Tables.write``. Set by ``open``."""
        ...

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the requests as rows with all input columns; JSON values are text."""
        ...


def source_of(request: JobRequest, rows: RowFormat, tables: Tables, store: ObjectStore) -> Source:
    """Return the source that a job reads, whose rows have the format ``rows``."""
    match request.input:
        case TableInput() as table:
            return TableSource(table, rows, request.location, tables)
        case FileInput() as files:
            return FileSource(files, rows, store)


def check_location(dataset: str, location: str, tables: Tables) -> None:
    """Check that a dataset is in the region of the job. Jobs in ``global``, ``us`` and ``eu`` accept any dataset.

    Raises:
        DataError: The job is in a region, and the dataset is not.
        Exception: The error of ``tables`` for a dataset that does not exist.
    """
    found = tables.location(dataset)
    name = dataset.replace(".", ":", 1)
    if location in EVERYWHERE:
        return
    if found.lower() in MULTI_REGIONS:
        raise DataError(f"Dataset {name} is in the multi-region {found}, which batch prediction does not support.")
    if found.lower() != location.lower():
        raise DataError(f"Not found: Dataset {name} was not found in location {location}")


class TableSource:
    """A BigQuery table with a column of requests; its other columns are copied to the output."""

    def __init__(self, table: TableInput, rows: RowFormat, location: str, tables: Tables) -> None:
        """Read ``table``, with rows of the format ``rows``, for a job in ``location``."""
        self._table = table
        self._format = rows
        self._location = location
        self._tables = tables
        self.columns: list[dict[str, Any]] = []
        self.decimals: dict[str, str] = {}

    def open(self) -> int:
        """Check the table, and return the number of requests. Raises ``DataError``."""
        check_location(self._table.dataset, self._location, self._tables)
        self.columns = self._tables.schema(self._table.table)
        self.decimals = self._tables.decimal_types(self._table.table)
        _check_columns(self.columns, self._format, self._table.table)
        return _check_count(self._tables.count(self._table.table), self._format)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of the table."""
        return self._tables.read(self._table.table)


class FileSource:
    """JSONL files: each line is an object with the request; its other fields are copied to the output."""

    decimals: ClassVar[dict[str, str]] = {}

    def __init__(self, files: FileInput, rows: RowFormat, store: ObjectStore) -> None:
        """Read ``files``, with lines of the format ``rows``, from ``store``."""
        self._files = files
        self._format = rows
        self._store = store
        self._objects: list[StoredObject] = []
        self._types: dict[str, str | None] = {}  # None if all values so far are null

    @property
    def columns(self) -> list[dict[str, Any]]:
        """The fields of all lines as columns. Set by ``open``."""
        return [{"name": key, "type": kind or "STRING", "mode": "NULLABLE"} for key, kind in self._types.items()]

    def open(self) -> int:
        """Check the files, and return the number of requests. Raises ``DataError``."""
        self._objects = [stored for bucket, name in self._files.files for stored in self._find(bucket, name)]
        count = 0
        for line in islice(self._lines(), self._format.most_requests + 1):
            count += 1
            for key, value in line.items():
                self._types[key] = _joint_type(self._types.get(key), value)
        if count == 0:
            return 0
        if self._format.request in self._types and "JSON" in self._format.request_types:
            self._types[self._format.request] = "JSON"
        _check_columns(self.columns, self._format, "the input file")
        return _check_count(count, self._format)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield each line as a row with all columns; JSON values are text."""
        for line in self._lines():
            yield {
                key: json.dumps(line[key]) if kind == "JSON" and key in line else line.get(key)
                for key, kind in self._types.items()
            }

    def _lines(self) -> Iterator[dict[str, Any]]:
        for stored in self._objects:
            with self._store.open(stored) as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield _parse_line(line, number, stored)

    def _find(self, bucket: str, name: str) -> list[StoredObject]:
        if "*" in name:
            found = [
                stored
                for stored in self._store.list(bucket, name.partition("*")[0])
                if fnmatch.fnmatchcase(stored.name, name.replace("[", "[[]").replace("?", "[?]"))
            ]
            if not found:
                raise DataError(f"Not found: gs://{bucket}/{name} matches no files")
        else:
            found = [self._store.get(bucket, name)]
        for stored in found:
            if stored.size > MAX_FILE_BYTES:
                raise DataError(f"gs://{bucket}/{stored.name} has {stored.size} bytes; at most 1 GB are supported.")
        return found


def _parse_line(line: bytes, number: int, stored: StoredObject) -> dict[str, Any]:
    where = f"line {number} of gs://{stored.bucket}/{stored.name}"
    try:
        row = parse_json(line)
    except ValueError as error:
        raise DataError(f"Error while reading data, error message: JSON parsing error in {where}: {error}") from None
    if not isinstance(row, dict):
        raise DataError(f"Error while reading data, error message: {where} is not a JSON object")
    return row


def _joint_type(known: str | None, value: Any) -> str | None:
    """Return the type of a column that contains values of type ``known`` and ``value``."""
    if value is None:
        return known
    kind = TYPE_OF_VALUE.get(type(value), "JSON")
    if kind == "INT64" and not -(1 << 63) <= value < 1 << 63:
        kind = "FLOAT64"
    if known in (None, kind):
        return kind
    return "FLOAT64" if {known, kind} == {"INT64", "FLOAT64"} else "JSON"


def _check_columns(columns: list[dict[str, Any]], rows: RowFormat, where: str) -> None:
    by_name: dict[str, dict[str, Any]] = {}
    for column in columns:
        other = by_name.setdefault(str(column["name"]).lower(), column)
        if other is not column:
            raise DataError(f"Duplicate column names in {where}: `{other['name']}` and `{column['name']}`.")
    request = by_name.get(rows.request)
    if request is None:
        raise DataError(f"Column `{rows.request}` is not found in {where}.")
    if request["name"] != rows.request:
        raise DataError(
            f"Column `{rows.request}` is not found in {where}; `{request['name']}` has other upper and lower case."
        )
    if _is_array(request) or request["type"].upper() not in rows.request_types:
        types = " or ".join(rows.request_types)
        raise DataError(f"Column `{rows.request}` of {where} must be of type {types}, not {request['type']}.")
    for name in rows.reserved:
        if name in by_name:
            raise DataError(f"Column `{name}` of {where} has a name that is reserved for the output.")
    for name, column in by_name.items():
        kind = "ARRAY" if _is_array(column) else UNSUPPORTED_TYPES.get(column["type"].upper())
        if kind is not None:
            raise DataError(f"Column `{name}` of {where} is of type {kind}, which is not supported.")


def _is_array(column: dict[str, Any]) -> bool:
    return str(column.get("mode", "")).upper() == "REPEATED"


def _check_count(count: int, rows: RowFormat) -> int:
    if count > rows.most_requests:
        raise DataError(f"The input has more than {rows.most_requests:,} requests, the maximum of a batch.")
    return count
