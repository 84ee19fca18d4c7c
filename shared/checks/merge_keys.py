"""The key columns of a merge: whether rows can be found by them, known before a job is paid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.checks.column_types import standard_name
from shared.errors import Rejected

# The types by which BigQuery cannot group rows, and so not find a row by its key:
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/data-types#groupable_data_types
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/window-function-calls#def_window_spec
_NOT_KEYS = frozenset({"FLOAT64", "JSON", "GEOGRAPHY"})


def check_key(key: Sequence[str], columns: Sequence[Mapping[str, Any]], rows: str) -> None:
    """Raise ``Rejected`` unless rows can be found by the columns of a key.

    Args:
        key: The field ``output.key``.
        columns: The columns of the rows, each as a TableFieldSchema; none if they are not known.
        rows: What the rows are, for errors: "the requests".
    """
    known = {str(column["name"]).lower(): column for column in columns}
    for index, name in enumerate(key):
        field = f"output.key[{index}]"
        if name.lower() in {before.lower() for before in key[:index]}:
            raise Rejected(f"the key column {name} is there twice: leave one out", field=field, code="duplicate_column")
        if known and name.lower() not in known:
            raise Rejected(
                f"the key column {name} is not a column of {rows}; these are {', '.join(known)}",
                field=field,
                code="unknown_column",
            )
        kind = type_of(known.get(name.lower(), {}))
        if kind in _NOT_KEYS:
            raise Rejected(
                f"the key column {name} is of type {kind}, by which BigQuery cannot find a row: choose another column, or "
                "convert it to STRING",
                field=field,
                code="wrong_type",
            )


def type_of(column: Mapping[str, Any]) -> str:
    """Return the type of a column, given as a TableFieldSchema, as SQL writes it; an empty text if it is not known."""
    return "ARRAY" if column.get("mode") == "REPEATED" else standard_name(str(column.get("type") or ""))
