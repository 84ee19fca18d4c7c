"""Rejects arrays with NULL as an element, which a query may have, but not its result or a table.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#array_nulls
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import quote

_MESSAGE = "Array cannot have a null element; error in writing field "
WITHOUT_NULLS, HAS_NULL = "_without_nulls", "_written_null"
FIELD, FIELDS, ELEMENTS = "_written_field", "_written_fields", "_written_elements"
MACROS = (
    f"CREATE OR REPLACE MACRO {WITHOUT_NULLS}(a, has_null, name) AS "
    f"CASE WHEN has_null THEN error('{_MESSAGE}' || name) ELSE a END",
    f"CREATE OR REPLACE MACRO {HAS_NULL}(a) AS len(a) <> list_count(a)",
    f"CREATE OR REPLACE MACRO {FIELD}(a, number) AS struct_extract_at(a, number)",
    f"CREATE OR REPLACE MACRO {FIELDS}(a, number) AS list_transform(a, lambda each: struct_extract_at(each, number))",
    f"CREATE OR REPLACE MACRO {ELEMENTS}(a, number) AS "
    "flatten(list_transform(a, lambda each: struct_extract_at(each, number)))",
)
"""The DuckDB macros that check what a statement writes: for the field of a STRUCT, for the fields of the STRUCTs in an array,
and for the elements of their arrays."""


def reject_null_elements(batch: pa.RecordBatch, names: Sequence[str]) -> None:
    """Raise ``QueryError`` if a column of a result has such an array."""
    for name, column in zip(names, batch.columns, strict=True):
        if _has_null_element(column):
            raise QueryError(f"{_MESSAGE}{name}", location="query")


def without_null_elements(duckdb_sql: str, columns: Sequence[tuple[str, str]]) -> str:
    """Return a query that fails for such an array in one of its columns.

    Args:
        duckdb_sql: The query in DuckDB's SQL.
        columns: The names and DuckDB types of its columns.
    """
    if len({name.lower() for name, _ in columns}) < len(columns):
        return duckdb_sql
    checked = [
        f"CASE WHEN {has_null} THEN error('{_MESSAGE}{_text(name)}') ELSE {quote(name)} END AS {quote(name)}"
        for name, kind in columns
        if "[]" in kind and (has_null := _has_null(quote(name), duckdb.sqltype(kind)))
    ]
    return f"SELECT * REPLACE ({', '.join(checked)}) FROM ({duckdb_sql})" if checked else duckdb_sql


def _has_null(value: str, kind: Any) -> str:
    """Return DuckDB's condition that a value of a ``DuckDBPyType`` has such an array; an empty text if it has no arrays."""
    if kind.id in ("list", "array"):
        inner = _has_null("element", dict(kind.children)["child"])
        within = f" OR list_bool_or(list_transform({value}, lambda element: {inner}))" if inner else ""
        return f"(len({value}) <> list_count({value}){within})"
    if kind.id == "struct":
        found = [_has_null(f"struct_extract({value}, '{_text(name)}')", child) for name, child in kind.children]
        return " OR ".join(each for each in found if each)
    return ""


def _text(name: str) -> str:
    return name.replace("'", "''")


def _has_null_element(values: pa.Array) -> bool:
    if pa.types.is_list(values.type):
        elements = values.flatten()
        return elements.null_count > 0 or _has_null_element(elements)
    if pa.types.is_struct(values.type):
        return any(_has_null_element(values.field(index)) for index in range(values.type.num_fields))
    return False
