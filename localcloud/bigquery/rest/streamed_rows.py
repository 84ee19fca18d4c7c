"""Reads the rows of tabledata.insertAll, and says what is wrong with each.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.tables.files.text_values import BadValue, Number, Problem, Reading, check_known, stored_text

_WORDING: Mapping[Problem, str] = {
    Problem.UNKNOWN: "no such field: {field}.",
    Problem.NO_ARRAY: "Repeated field must be imported as a JSON array. Field: {field}.",
    Problem.ARRAY: "Array specified for non-repeated field: {field}.",
    Problem.NO_RECORD: "This field: {field} is not a record.",
    Problem.NULL: "Missing required field: {field}.",
    Problem.OTHER_TYPE: "Cannot convert value to {kind} (bad value): {value}",
    Problem.TOO_LONG: "Field {field}: {detail}",
}
Row = dict[str, str | None]


@dataclass
class StreamedRows:
    """The rows of a call.

    Attributes:
        rows: The texts of the columns of each row that can be stored, by the index of the row.
        errors: The errors of each other row, by its index.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    errors: dict[int, list[dict[str, Any]]] = field(default_factory=dict)


def read_rows(fields: Sequence[Field], given: Sequence[Mapping[str, Any]], *, ignore_unknown: bool) -> StreamedRows:
    """Return the rows of a call that can be stored, and the errors of the others.

    Args:
        fields: The REST fields of the table.
        given: The JSON objects of the rows.
        ignore_unknown: Whether fields that the table does not have are left out.
    """
    reading = Reading(ignore_unknown=ignore_unknown, json_texts=True)
    found = StreamedRows()
    for index, row in enumerate(given):
        by_name = {name.lower(): _as_in_file(value) for name, value in row.items()}
        errors = _unknown(fields, row, reading)
        texts: Row = {}
        for f in fields:
            # A column with a default value has it in a row that does not name the column.
            if f.get("defaultValueExpression") and f["name"].lower() not in by_name:
                continue
            try:
                texts[f["name"]] = stored_text(f, by_name.get(f["name"].lower()), reading)
            except BadValue as bad:
                errors.append(_error(bad))
        if errors:
            found.errors[index] = errors
        else:
            found.rows[index] = texts
    return found


def tables_of(fields: Sequence[Field], rows: Sequence[Row]) -> Iterator[tuple[list[Field], pa.Table]]:
    """Yield the rows as Arrow tables of texts, with the fields of their columns: one for rows with the same columns."""
    groups: dict[frozenset[str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[frozenset(row)].append(row)
    for names, group in groups.items():
        chosen = [f for f in fields if f["name"] in names]
        columns = [pa.array([row[f["name"]] for row in group], pa.string()) for f in chosen]
        yield chosen, pa.table(columns, names=[f["name"] for f in chosen])


def _unknown(fields: Sequence[Field], row: Mapping[str, Any], reading: Reading) -> list[dict[str, Any]]:
    errors = []
    for name, value in row.items():
        try:
            check_known(fields, {name: value}, "", reading)
        except BadValue as bad:
            errors.append(_error(bad))
    return errors


def _error(bad: BadValue) -> dict[str, Any]:
    message = _WORDING[bad.problem].format(field=bad.field, kind=bad.kind.lower(), value=bad.value, detail=bad.detail)
    return {"reason": "invalid", "location": bad.field, "debugInfo": "", "message": message}


def _as_in_file(value: Any) -> Any:
    """Return a JSON value as the reader of JSON files does: numbers as they are written."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Number(repr(value))
    if isinstance(value, list):
        return [_as_in_file(each) for each in value]
    if isinstance(value, dict):
        return {name: _as_in_file(each) for name, each in value.items()}
    return value
