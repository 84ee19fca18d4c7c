"""Reads CSV and JSON files row by row, and says which value of which row is not valid.

The engine reads files much faster, but it ends at the first value that it can't convert. So a load job reads its files in
this way if bad rows are allowed, if the engine has failed, or if a column has a type or an encoding that the engine can't read.
https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, legacy_type
from localcloud.bigquery.base.type_names import sql_type
from localcloud.bigquery.tables.files.csv_records import BadRecord, Dialect
from localcloud.bigquery.tables.files.text_values import (
    BadValue,
    Number,
    Problem,
    Reading,
    check_known,
    stored_text,
)
from localcloud.bigquery.tables.files.times import TimeForms

_BATCH_ROWS = 4096
_PROBLEMS_KEPT = 5
_BEGIN = "Error while reading data, error message:"
_JSON_WORDING: Mapping[Problem, str] = {
    Problem.UNKNOWN: "No such field: {field}.",
    Problem.NO_ARRAY: "Repeated field must be imported as a JSON array. Field: {field}; Value: {value}",
    Problem.ARRAY: "Array specified for non-repeated field: {field}.",
    Problem.NO_RECORD: "Field {field} is not a JSON object. Value: {value}",
    Problem.NULL: "Only optional fields can be set to NULL. Field: {field}; Value: NULL",
    Problem.OTHER_TYPE: "Could not convert value to {kind}. Field: {field}; Value: {value}",
    Problem.TOO_LONG: "Field {field}: {detail}",
}


@dataclass
class TextRows:
    """The rows of files as text, one column for each field (Arrow's PyCapsule interface).

    Attributes:
        paths: The files, and the URI of each; empty for an uploaded file.
        format: ``CSV`` or ``NEWLINE_DELIMITED_JSON``.
        options: The REST ``JobConfigurationLoad``.
        fields: The schema of the rows.
        bad: The number of rows that were left out.
        problems: The first of them, as in a job's ``status.errors``.
    """

    paths: Mapping[Path, str]
    format: str
    options: dict[str, Any]
    fields: Sequence[Field]
    bad: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)
    _positions: Sequence[int | None] | None = None

    @cached_property
    def _dialect(self) -> Dialect:
        return Dialect.of(self.options, self.format)

    @cached_property
    def _reading(self) -> Reading:
        return Reading(
            TimeForms.of(self.options), bool(self.options.get("ignoreUnknownValues")), json_texts=self.format == "CSV"
        )

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """The name and DuckDB type of each column."""
        return tuple((f["name"], "VARCHAR") for f in self.fields)

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema."""
        return pa.schema([pa.field(f["name"], pa.string()) for f in self.fields])

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return pa.RecordBatchReader.from_batches(self.schema, self._batches()).__arrow_c_stream__(requested_schema)

    def check(self) -> None:
        """Read all rows once. Raises ``QueryError`` if there are more bad rows than the job allows."""
        for _ in self._batches():
            pass

    def _batches(self) -> Iterator[pa.RecordBatch]:
        self.bad, self.problems = 0, []
        rows: list[list[str | None]] = []
        for values in self._good_rows():
            rows.append(values)
            if len(rows) == _BATCH_ROWS:
                yield self._batch(rows)
                rows = []
        yield self._batch(rows)

    def _batch(self, rows: list[list[str | None]]) -> pa.RecordBatch:
        columns = [pa.array([row[index] for row in rows], pa.string()) for index in range(len(self.fields))]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)

    def _good_rows(self) -> Iterator[list[str | None]]:
        allowed = int(self.options.get("maxBadRecords") or 0)
        number, skipped = 0, int(self.options.get("skipLeadingRows") or 0) if self.format == "CSV" else 0
        read = self._csv_rows if self.format == "CSV" else self._json_rows
        for path, uri in self.paths.items():
            self._read_header(path)
            for offset, record in self._dialect.records(path, skipped=skipped):
                number += 1
                try:
                    values = read(record, offset)
                except BadRecord as problem:
                    self.bad += 1
                    if len(self.problems) < _PROBLEMS_KEPT:
                        self.problems.append(_error(f"{problem}{f' File: {uri}' if uri else ''}", uri))
                    if self.bad > allowed:
                        raise self._too_many(number, allowed) from problem
                    continue
                yield values

    def _too_many(self, rows: int, allowed: int) -> QueryError:
        kind = "CSV" if self.format == "CSV" else "JSON"
        return QueryError(
            f"{_BEGIN} {kind} processing encountered too many errors, giving up. Rows: {rows}; errors: {self.bad}; max bad: "
            f"{allowed}; error percent: 0",
            reason="invalid",
            causes=self.problems,
        )

    # CSV

    def _read_header(self, path: Path) -> None:
        """Find the fields in the header of a CSV file, if the job says so.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad (sourceColumnMatch)
        """
        if self.format != "CSV" or self.options.get("sourceColumnMatch") != "NAME":
            return
        skipped = int(self.options.get("skipLeadingRows") or 0)
        if not skipped:
            raise QueryError(
                "sourceColumnMatch NAME needs skipLeadingRows, since it reads the header.", reason="invalid"
            )
        header = next(self._dialect.records(path, skipped=skipped - 1), (0, ""))[1]
        found = [name.strip().lower() for name, _ in self._dialect.cells(header, 0)]
        unknown = [name for name in found if name not in {f["name"].lower() for f in self.fields}]
        if unknown and not self.options.get("ignoreUnknownValues"):
            raise QueryError(f"{_BEGIN} No such field: {unknown[0]}.", reason="invalid")
        self._positions = [found.index(f["name"].lower()) if f["name"].lower() in found else None for f in self.fields]

    def _csv_rows(self, record: str, offset: int) -> list[str | None]:
        cells = self._dialect.cells(record, offset)
        width = len(self.fields)
        if self._positions is None:
            if len(cells) > width and not self.options.get("ignoreUnknownValues"):
                raise BadRecord(
                    f"{_BEGIN} Too many values in line. Found {len(cells)} column(s) while expected {width}. "
                    f"Line starting at location {offset}"
                )
            if len(cells) < width and not self.options.get("allowJaggedRows"):
                raise BadRecord(
                    f"{_BEGIN} CSV table references column position {len(cells)}, but line contains only {len(cells)} "
                    f"columns. Line starting at location {offset}"
                )
        at = self._positions or range(width)
        return [
            self._cell(f, *cells[index], index, offset)
            if index is not None and index < len(cells)
            else self._cell(f, None, False, index or 0, offset)
            for f, index in zip(self.fields, at, strict=True)
        ]

    def _cell(self, f: Field, cell: str | None, quoted: bool, index: int, offset: int) -> str | None:
        value = None if cell is None or self._is_null(f, cell, quoted) else cell
        try:
            return stored_text(f, value, self._reading)
        except BadValue as bad:
            if bad.problem is Problem.NULL:
                raise BadRecord(f"{_BEGIN} {_JSON_WORDING[bad.problem].format(field=f['name'])}") from bad
            raise BadRecord(
                f"{_BEGIN} Could not parse '{cell}' as {sql_type(f | {'type': legacy_type(f['type'])})} for field "
                f"{f['name']} (position {index}) starting at location {offset}  with message "
                f"'{bad.detail or 'Unable to parse'}'"
            ) from bad

    def _is_null(self, f: Field, cell: str, quoted: bool) -> bool:
        """Return whether a cell is NULL. In quotes, only an empty one is, and not in columns of texts.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad (nullMarker)
        """
        if not quoted:
            return cell in self._dialect.null_markers
        return not cell and "" in self._dialect.null_markers and legacy_type(f["type"]) not in ("STRING", "BYTES")

    # JSON

    def _json_rows(self, record: str, offset: int) -> list[str | None]:
        begin = f"{_BEGIN} JSON parsing error in row starting at position {offset}:"
        try:
            row = json.loads(record, parse_float=Number, parse_int=Number)
        except ValueError as error:
            raise BadRecord(f"{begin} Parser terminated before end of string") from error
        if not isinstance(row, dict):
            raise BadRecord(f"{begin} Start of array encountered without start of object.")
        try:
            return self._json_values(row)
        except BadValue as bad:
            what = _JSON_WORDING[bad.problem].format(
                field=bad.field, kind=bad.kind.lower(), value=bad.value, detail=bad.detail
            )
            raise BadRecord(f"{begin} {what}") from bad

    def _json_values(self, row: dict[str, Any]) -> list[str | None]:
        check_known(self.fields, row, "", self._reading)
        given = {name.lower(): value for name, value in row.items()}
        return [stored_text(f, given.get(f["name"].lower()), self._reading) for f in self.fields]


def _error(message: str, uri: str) -> dict[str, Any]:
    return {"reason": "invalid", "message": message} | ({"location": uri} if uri else {})
