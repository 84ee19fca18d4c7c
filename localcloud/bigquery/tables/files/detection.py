"""Detects the schema of CSV and JSON files by their first rows.

https://cloud.google.com/bigquery/docs/schema-detect
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, legacy_type, unique_names
from localcloud.bigquery.base.type_names import sql_type
from localcloud.bigquery.tables.files.csv_records import BadRecord, Dialect, delimiter_of
from localcloud.bigquery.tables.files.text_values import Number
from localcloud.bigquery.tables.files.times import TimeForms

SAMPLE_ROWS = 500
# https://cloud.google.com/bigquery/docs/schema-detect#csv_delimiter
_DELIMITERS = (",", "|", "\t")
_WHOLE, _DECIMAL = re.compile(r"[-+]?\d+"), re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_INT64 = range(-(2**63), 2**63)
# A column has the wider type of two that one of its values has.
_WIDER = {frozenset({"INTEGER", "FLOAT"}): "FLOAT", frozenset({"DATE", "TIMESTAMP"}): "TIMESTAMP"}
_STANDARD = re.compile(r"[^A-Za-z0-9_]")
# https://cloud.google.com/bigquery/docs/schemas#flexible-column-names
_FLEXIBLE = re.compile(r"[!\"$()*,./;?@\[\\\]^`{}~]")
_MAPS: Mapping[str, re.Pattern[str]] = {"V1": _STANDARD, "V2": _FLEXIBLE}


@dataclass(frozen=True)
class Detected:
    """What was detected in a file.

    Attributes:
        fields: The REST fields of the rows.
        options: The job's configuration, with the delimiter and the rows to skip.
        named: Whether the names of the fields are those of the file.
    """

    fields: tuple[Field, ...]
    options: dict[str, Any]
    named: bool = True


def detect(path: Path, kind: str, options: dict[str, Any]) -> Detected:
    """Return the schema of a file.

    Args:
        path: The file.
        kind: ``CSV`` or ``NEWLINE_DELIMITED_JSON``.
        options: The REST ``JobConfigurationLoad``.

    Raises:
        QueryError: The file can't be read, or a header has names that columns can't have.
    """
    if kind == "CSV":
        return _csv(path, options)
    return Detected(_json(path, options), options)


# CSV


def _csv(path: Path, options: dict[str, Any]) -> Detected:
    # Cells in quotes may have line breaks: https://cloud.google.com/bigquery/docs/schema-detect#csv_newlines
    options = options | {"allowQuotedNewlines": True}
    given = options.get("skipLeadingRows")
    skipped = int(given or 0)
    dialect = Dialect.of(options, "CSV")
    sample = list(islice(dialect.records(path, skipped=max(0, skipped - 1)), SAMPLE_ROWS + 1))
    if not delimiter_of(options):
        dialect = replace(dialect, delimiter=_delimiter(dialect, [record for _, record in sample]))
    rows = _rows(dialect, sample)
    first, others = (rows[0], rows[1:]) if rows else ([], [])
    times = TimeForms.of(options)
    width = max((len(row) for row in rows), default=1)
    kinds = [_column_kind((row[index] for row in others if index < len(row)), times) for index in range(width)]
    texts = bool(first) and all(cell is None or text_kind(cell, times) == "STRING" for cell in first)
    # https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad (skipLeadingRows)
    explicit_none = given is not None and not skipped
    header = texts and not explicit_none and any(kind != "STRING" for kind in kinds)
    if not header and not skipped:
        kinds = [_column_kind((row[index] for row in rows if index < len(row)), times) for index in range(width)]
    found = first if header else []
    names = [
        (found[index] if index < len(found) else None) or f"{sql_type({'type': kind}).lower()}_field_{index}"
        for index, kind in enumerate(kinds)
    ]
    fields = tuple(
        {"name": name, "type": kind, "mode": "NULLABLE"}
        for name, kind in zip(column_names(names, options), kinds, strict=True)
    )
    changed = options | {
        "fieldDelimiter": dialect.delimiter,
        "skipLeadingRows": max(skipped, 1) if header else skipped,
    }
    return Detected(fields, changed, header)


def _rows(dialect: Dialect, sample: Sequence[tuple[int, str]]) -> list[list[str | None]]:
    """Return the cells of the records that can be taken apart, None for those that are NULL."""
    rows: list[list[str | None]] = []
    for offset, record in sample:
        try:
            cells = dialect.cells(record, offset)
        except BadRecord:
            continue  # it is reported when the file is read
        rows.append([None if cell in dialect.null_markers or not cell else cell for cell, _ in cells])
    return rows


def _delimiter(dialect: Dialect, records: Sequence[str]) -> str:
    """Return the delimiter that takes all records apart into the same number of cells, and into the most."""

    def widths(delimiter: str) -> tuple[int, int]:
        rows = _rows(replace(dialect, delimiter=delimiter), [(0, record) for record in records])
        found = {len(row) for row in rows} or {1}
        return (max(found) if len(found) == 1 and found != {1} else 0), max(found)

    return max(_DELIMITERS, key=widths)


def _column_kind(cells: Iterable[str | None], times: TimeForms) -> str:
    kind: str | None = None
    for cell in cells:
        if cell is not None:
            kind = _common(kind, text_kind(cell, times))
    return kind or "STRING"


def text_kind(text: str, times: TimeForms) -> str:
    """Return the REST name of the type that a text is detected as."""
    text = text.strip()
    if _WHOLE.fullmatch(text):
        return "INTEGER" if int(text) in _INT64 else "FLOAT"
    if _DECIMAL.fullmatch(text):
        return "FLOAT"
    if text.lower() in ("true", "false"):
        return "BOOLEAN"
    return next((kind for kind in ("DATE", "TIME", "TIMESTAMP") if _is_time(times, kind, text)), "STRING")


def _is_time(times: TimeForms, kind: str, text: str) -> bool:
    try:
        times.read(kind, text)
    except (ValueError, OverflowError):
        return False
    return True


def _common(one: str | None, other: str) -> str:
    return other if one in (None, other) else _WIDER.get(frozenset({str(one), other}), "STRING")


def column_names(names: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """Return the names of columns for those of a file, as ``columnNameCharacterMap`` says. Spaces become underscores.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#ColumnNameCharacterMap

    Raises:
        QueryError: ``STRICT`` is given, and a column can't have a name of the file.
    """
    given = options.get("columnNameCharacterMap") or "V1"
    if given == "STRICT":
        bad = next((name for name in names if _FLEXIBLE.search(name)), None)
        if bad is not None:
            raise QueryError(
                f"Invalid field name {json.dumps(bad)}. Set columnNameCharacterMap to V1 or V2.", reason="invalid"
            )
        return unique_names(names)
    changed = [_MAPS.get(given, _STANDARD).sub("_", name) for name in names]
    if given != "V2":
        changed = [f"_{name}" if name[:1].isdigit() else name for name in changed]
    return unique_names(changed)


# JSON


def _json(path: Path, options: dict[str, Any]) -> tuple[Field, ...]:
    times, fields = TimeForms.of(options), dict[str, Field]()
    for _, record in islice(Dialect.of(options, "NEWLINE_DELIMITED_JSON").records(path), SAMPLE_ROWS):
        try:
            row = json.loads(record, parse_float=Number, parse_int=Number)
        except ValueError:
            continue  # it is reported when the file is read
        if isinstance(row, dict):
            _merge(fields, row, times)
    return tuple(_finished(f) for f in fields.values())


def _merge(fields: dict[str, Field], row: Mapping[str, Any], times: TimeForms) -> None:
    """Widen the fields of a record, by their names in lower case, so that they fit an object."""
    for name, value in row.items():
        f = fields.setdefault(name.lower(), {"name": name, "type": None, "mode": "NULLABLE", "fields": {}})
        if isinstance(value, list):
            f["mode"] = "REPEATED"
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                f["type"] = "RECORD"
                _merge(f["fields"], each, times)
            elif each is not None and f["type"] != "RECORD":
                f["type"] = _common(f["type"], _value_kind(each, times))


def _value_kind(value: Any, times: TimeForms) -> str:
    return "BOOLEAN" if isinstance(value, bool) else text_kind(value, times) if isinstance(value, str) else "STRING"


def _finished(f: Field) -> Field:
    if f["type"] != "RECORD":
        return {"name": f["name"], "type": f["type"] or "STRING", "mode": f["mode"]}
    if not f["fields"]:
        raise QueryError(f"Unsupported empty struct type for field '{f['name']}'", reason="invalid")
    return f | {"fields": [_finished(inner) for inner in f["fields"].values()]}


def with_known(detected: Detected, known: Sequence[Field]) -> tuple[Field, ...]:
    """Return the detected fields, with the types of the columns that the table has already.

    A file without a header has the table's columns in their order.
    """
    if not detected.named and len(detected.fields) == len(known):
        return tuple(known)
    return _with_types(detected.fields, known)


def _with_types(fields: Sequence[Field], known: Sequence[Field]) -> tuple[Field, ...]:
    by_name = {f["name"].lower(): f for f in known}
    found: list[Field] = []
    for f in fields:
        old = by_name.get(f["name"].lower())
        if old is None:
            found.append(f)
        elif legacy_type(old["type"]) == "RECORD" and f["type"] == "RECORD":
            found.append(old | {"fields": list(_with_types(f["fields"], old.get("fields") or ()))})
        else:
            found.append(old)
    return tuple(found)
