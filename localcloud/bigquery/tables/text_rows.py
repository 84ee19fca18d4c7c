"""Reads CSV and JSON files row by row, and says which value of which row is not valid.

The engine reads files much faster, but it ends at the first value that it can't convert. So a load job reads its files in
this way if bad rows are allowed, if the engine has failed, or if a column has a type or an encoding that the engine can't read.
https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, legacy_type
from localcloud.bigquery.tables.text_values import BadValue, Number, stored_text

_BATCH_ROWS = 4096
_PROBLEMS_KEPT = 5
# https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad (encoding)
ENCODINGS = {
    "UTF-8": "utf-8-sig",
    "ISO-8859-1": "latin-1",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
    "UTF-32BE": "utf-32-be",
    "UTF-32LE": "utf-32-le",
}


def encoding_of(options: dict[str, Any]) -> str:
    """Return Python's name of the encoding of a load job's files. Raises ``QueryError`` if it is not known."""
    name = str(options.get("encoding") or "UTF-8").upper()
    if name not in ENCODINGS:
        raise QueryError(f"Unsupported encoding: {name}. Use one of {', '.join(ENCODINGS)}.", reason="invalid")
    return ENCODINGS[name]


class BadRow(Exception):
    """A row that can't be stored, with BigQuery's message."""


@dataclass
class TextRows:
    """The rows of files as text, one column for each field (Arrow's PyCapsule interface).

    Attributes:
        paths: The files.
        format: ``CSV`` or ``NEWLINE_DELIMITED_JSON``.
        options: The REST ``JobConfigurationLoad``.
        fields: The schema of the rows.
        bad: The number of rows that were left out.
        problems: The messages of the first of them.
    """

    paths: Sequence[Path]
    format: str
    options: dict[str, Any]
    fields: Sequence[Field]
    bad: int = 0
    problems: list[str] = field(default_factory=list)

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
        number = 0
        read = self._csv_rows if self.format == "CSV" else self._json_rows
        for path in self.paths:
            for offset, record in _records(path, encoding_of(self.options), self.options, self.format):
                number += 1
                try:
                    values = read(record, offset)
                except BadRow as problem:
                    self.bad += 1
                    if len(self.problems) < _PROBLEMS_KEPT:
                        self.problems.append(str(problem))
                    if self.bad > allowed:
                        raise self._too_many(number, allowed) from problem
                    continue
                yield values

    def _too_many(self, rows: int, allowed: int) -> QueryError:
        kind = "CSV" if self.format == "CSV" else "JSON"
        details = "; ".join(self.problems)
        return QueryError(
            f"Error while reading data, error message: {kind} processing encountered too many errors, giving up. Rows: "
            f"{rows}; errors: {self.bad}; max bad: {allowed}; error percent: 0; {details}",
            reason="invalid",
        )

    # CSV

    def _csv_rows(self, record: str, offset: int) -> list[str | None]:
        cells = _cells(record, self.options, offset)
        names = [f["name"] for f in self.fields]
        if len(cells) > len(names) and not self.options.get("ignoreUnknownValues"):
            raise BadRow(
                f"Error while reading data, error message: Too many values in line. Found {len(cells)} column(s) while "
                f"expected {len(names)}. Line starting at location {offset}"
            )
        if len(cells) < len(names) and not self.options.get("allowJaggedRows"):
            raise BadRow(
                f"Error while reading data, error message: CSV table references column position {len(cells)}, but line "
                f"contains only {len(cells)} columns. Line starting at location {offset}"
            )
        cells += [None] * (len(names) - len(cells))
        values = []
        for index, (f, cell) in enumerate(zip(self.fields, cells, strict=False)):
            try:
                is_null = cell is None or (cell == "" and self._reads_as_null(f))
                values.append(_required(f, None if is_null else stored_text(f, cell)))
            except BadValue as problem:
                kind = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}.get(
                    legacy_type(f["type"]), legacy_type(f["type"])
                )
                raise BadRow(
                    f"Error while reading data, error message: Could not parse '{cell}' as {kind} for field {f['name']} "
                    f"(position {index}) starting at location {offset}  with message '{problem}'"
                ) from problem
        return values

    def _reads_as_null(self, f: Field) -> bool:
        """Return whether a value in quotes that is empty is NULL in a column.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad (nullMarker)
        """
        return not self.options.get("nullMarker") and legacy_type(f["type"]) not in ("STRING", "BYTES")

    # JSON

    def _json_rows(self, record: str, offset: int) -> list[str | None]:
        begin = "Error while reading data, error message: JSON parsing error in row starting at position"
        try:
            row = json.loads(record, parse_float=Number, parse_int=Number)
        except ValueError as error:
            raise BadRow(f"{begin} {offset}: Parser terminated before end of string") from error
        if not isinstance(row, dict):
            raise BadRow(f"{begin} {offset}: Start of array encountered without start of object.")
        given = {name.lower(): value for name, value in row.items()}
        known = {f["name"].lower() for f in self.fields}
        for name in row:
            if name.lower() not in known and not self.options.get("ignoreUnknownValues"):
                raise BadRow(f"{begin} {offset}: No such field: {name}.")
        values = []
        for f in self.fields:
            value = given.get(f["name"].lower())
            try:
                values.append(_required(f, stored_text(f, value)))
            except BadValue as problem:
                kind = legacy_type(f["type"]).lower()
                raise BadRow(
                    f"{begin} {offset}: Could not convert value to {kind}. Field: {f['name']}; Value: {value}. {problem}"
                ) from problem
        return values


def _required(f: Field, text: str | None) -> str | None:
    if text is None and f.get("mode") == "REQUIRED":
        raise BadRow(
            "Error while reading data, error message: Only optional fields can be set to NULL. Field: "
            f"{f['name']}; Value: NULL"
        )
    return text


def _records(path: Path, encoding: str, options: dict[str, Any], kind: str) -> Iterator[tuple[int, str]]:
    """Yield each record of a file and the offset in bytes at which it begins."""
    quote = options.get("quote", '"') if kind == "CSV" else ""
    joins = bool(quote) and bool(options.get("allowQuotedNewlines"))
    skipped = int(options.get("skipLeadingRows") or 0) if kind == "CSV" else 0
    unpack = gzip.open if path.suffix == ".gz" else open
    with unpack(path, "rb") as content, io.TextIOWrapper(content, encoding=encoding, newline="") as lines:
        offset = start = 0
        record = ""
        try:
            for line in lines:
                record = record + line if record else line
                offset += len(line.encode(encoding.removesuffix("-sig")))
                if joins and record.count(quote) % 2:
                    continue
                text, begin = record.rstrip("\r\n"), start
                record, start = "", offset
                if skipped:
                    skipped -= 1
                elif text.strip():
                    yield begin, text
        except UnicodeDecodeError as error:
            raise QueryError(
                f"Error while reading data, error message: The file has bytes at location {start} that are not valid "
                f"{encoding.removesuffix('-sig').upper()}. Set encoding to the encoding of the file.",
                reason="invalid",
            ) from error
        if record:
            yield start, record.rstrip("\r\n")


def _cells(record: str, options: dict[str, Any], offset: int) -> list[str | None]:
    """Return the values of a CSV record; None for NULL."""
    delimiter = {"tab": "\t", "\\t": "\t", "": ","}.get(
        options.get("fieldDelimiter") or "", options.get("fieldDelimiter")
    )
    delimiter, quote = str(delimiter or ","), options.get("quote", '"')
    marker = options.get("nullMarker") or ""
    if not quote:
        return [None if cell == marker else cell for cell in record.split(delimiter)]
    q, d = re.escape(quote), re.escape(delimiter)
    pattern = re.compile(rf"{q}((?:[^{q}]|{q}{q})*){q}(?={d}|$)|([^{q}{d}]*)(?={d}|$)", re.DOTALL)
    cells: list[str | None] = []
    at = 0
    while True:
        match = pattern.match(record, at)
        if match is None:
            raise BadRow(
                "Error while reading data, error message: Data between close quote character "
                f"({quote}) and field separator. Line starting at location {offset}"
            )
        quoted, plain = match.groups()
        cells.append(quoted.replace(quote * 2, quote) if quoted is not None else None if plain == marker else plain)
        at = match.end()
        if at >= len(record):
            return cells
        at += len(delimiter)
