"""Types and values between DuckDB, Arrow and BigQuery's REST resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import duckdb
import pyarrow as pa
from bqemulator.api.routes.tabledata import _build_arrow_schema
from bqemulator.storage.arrow_bridge import bq_rows_to_arrow
from bqemulator.storage.type_map import bq_schema_to_duckdb_columns
from bqemulator.types.range_type import detect_range_element

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.type_names import sql_type

Field = dict[str, Any]

# DuckDB's type ids, and the type names of TableFieldSchema.
# https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema
_BIGQUERY_TYPE: dict[str, str] = {
    "tinyint": "INTEGER",
    "smallint": "INTEGER",
    "integer": "INTEGER",
    "bigint": "INTEGER",
    "hugeint": "INTEGER",
    "utinyint": "INTEGER",
    "usmallint": "INTEGER",
    "uinteger": "INTEGER",
    "ubigint": "INTEGER",
    "uhugeint": "INTEGER",
    "float": "FLOAT",
    "double": "FLOAT",
    "boolean": "BOOLEAN",
    "varchar": "STRING",
    "enum": "STRING",
    "uuid": "STRING",
    "blob": "BYTES",
    "bit": "STRING",
    "date": "DATE",
    "time": "TIME",
    "time with time zone": "TIME",
    "timestamp": "DATETIME",
    "timestamp_s": "DATETIME",
    "timestamp_ms": "DATETIME",
    "timestamp_ns": "DATETIME",
    "timestamp with time zone": "TIMESTAMP",
    "interval": "INTERVAL",
    "geometry": "GEOGRAPHY",
}

# The DuckDB type that stores a column of a BigQuery type.
_STORED_TYPE: dict[str, str] = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "DATE": "DATE",
    "TIME": "TIME",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMPTZ",
    "INTERVAL": "INTERVAL",
    "GEOGRAPHY": "GEOMETRY",
    "JSON": "JSON",
}

# Bytes of one value: https://cloud.google.com/bigquery/pricing#data
_VALUE_BYTES: dict[str, int] = {
    "INTEGER": 8,
    "FLOAT": 8,
    "NUMERIC": 16,
    "BIGNUMERIC": 32,
    "BOOLEAN": 1,
    "DATE": 8,
    "TIME": 8,
    "DATETIME": 8,
    "TIMESTAMP": 8,
    "INTERVAL": 16,
}
# Ends the engine's name of a column that has the same name as another one of its query.
_MARK = "\N{INVISIBLE SEPARATOR}"
_LEGACY_NAME = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}


def legacy_type(name: str) -> str:
    """Return the REST name of a type that is given by its REST or SQL name, such as ``INTEGER`` for ``INT64``."""
    return _LEGACY_NAME.get(name.upper(), name.upper())


def field_of(name: str, duckdb_type: Any) -> Field:
    """Return the REST field of a DuckDB column.

    Args:
        name: The column's name.
        duckdb_type: A ``DuckDBPyType``, or a type's name as ``DESCRIBE`` prints it.

    Raises:
        QueryError: It is an array of arrays.
    """
    kind = duckdb.sqltype(duckdb_type) if isinstance(duckdb_type, str) else duckdb_type
    mode = "NULLABLE"
    if kind.id in ("list", "array"):
        mode, kind = "REPEATED", dict(kind.children)["child"]
    if kind.id in ("list", "array"):
        # https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#array_type
        element = sql_type(field_of(name, kind))
        raise QueryError(
            f"Cannot construct array with element type {element} because nested arrays are not supported",
            location="query",
        )
    text = str(kind)
    if kind.id == "struct":
        ranged = detect_range_element(text)
        if ranged is not None:
            return {"name": name, "type": "RANGE", "mode": mode, "rangeElementType": {"type": ranged[0]}}
        return {"name": name, "type": "RECORD", "mode": mode, "fields": [field_of(*child) for child in kind.children]}
    if kind.id == "map":
        return {"name": name, "type": "RECORD", "mode": "REPEATED", "fields": [field_of(*c) for c in kind.children]}
    if kind.id == "decimal":
        scale = dict(kind.children)["scale"]
        return {"name": name, "type": "BIGNUMERIC" if scale > 9 else "NUMERIC", "mode": mode}
    return {"name": name, "type": "JSON" if text == "JSON" else _BIGQUERY_TYPE.get(kind.id, "STRING"), "mode": mode}


def stored_type(duckdb_type: Any) -> str:
    """Return the DuckDB type in which a table stores values of ``duckdb_type``: the one of the column's BigQuery type."""
    kind = duckdb.sqltype(duckdb_type) if isinstance(duckdb_type, str) else duckdb_type
    if kind.id in ("list", "array"):
        return f"{stored_type(dict(kind.children)['child'])}[]"
    if kind.id == "struct":
        return "STRUCT(" + ", ".join(f"{quote(n)} {stored_type(child)}" for n, child in kind.children) + ")"
    if kind.id in ("map", "decimal"):
        return str(kind)
    return _STORED_TYPE[field_of("", kind)["type"]]


def columns_of(fields: Sequence[Field]) -> list[tuple[str, str]]:
    """Return the name and DuckDB type of each column of a REST schema."""
    return [(field["name"], _declared_type(field)) for field in fields]


def within_digits(kind: str) -> str:
    """Return a type of bqemulator as DuckDB has it: its decimals have 38 digits, BigQuery's 76."""
    return kind.replace("DECIMAL(76, 38)", "DECIMAL(38, 18)")


def _declared_type(field: Field) -> str:
    if legacy_type(field["type"]) != "RECORD":
        return within_digits(bq_schema_to_duckdb_columns([dict(field)])[0][1])
    children = ", ".join(f"{quote(name)} {kind}" for name, kind in columns_of(field.get("fields") or ()))
    return f"STRUCT({children})" + ("[]" if field.get("mode") == "REPEATED" else "")


def quote(name: str) -> str:
    """Return ``name`` as a quoted DuckDB identifier."""
    return '"' + name.replace('"', '""') + '"'


def marked_name(name: str, taken: Iterable[str]) -> str:
    """Return a name for a column whose name is among ``taken``; ``plain_name`` returns the column's own name again."""
    used = {each.lower() for each in taken}
    while name.lower() in used:
        name += _MARK
    return name


def plain_name(name: str) -> str:
    """Return a column's own name."""
    return name.rstrip(_MARK)


def unique_names(names: Sequence[str]) -> list[str]:
    """Return the names of a result's columns: ``id``, ``id_1``, ``id_2`` for three columns that are named ``id``.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#duplicate_aliases
    """
    plain = [plain_name(name) for name in names]
    taken: set[str] = set()
    found = []
    for name in plain:
        unique, number = name, 0
        while unique.lower() in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique.lower())
        found.append(unique)
    return found


def value_bytes(field: Field) -> int | None:
    """Return the logical size of a value in bytes, None where it depends on the value (STRING, BYTES, RECORD, ...)."""
    return _VALUE_BYTES.get(legacy_type(field["type"])) if field.get("mode") != "REPEATED" else None


def arrow_schema_of(fields: Sequence[Field]) -> pa.Schema:
    """Return the Arrow schema whose values have the Python types of a REST schema's rows."""
    return _build_arrow_schema([dict(field) for field in fields])


def table_of(fields: Sequence[Field], rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows of Python or JSON values as an Arrow table.

    Raises:
        ValueError: A value does not fit its field.
        TypeError: A value has the wrong type.
    """
    return bq_rows_to_arrow([{"json": row} for row in rows], arrow_schema_of(fields))


def select_rows(fields: Sequence[Field], source: str) -> str:
    """Return a query that selects the columns of Arrow rows, which DuckDB knows as ``source``.

    A GEOGRAPHY is hexadecimal WKB in Arrow, which has no type for it.
    """
    parts = []
    for f in fields:
        name = quote(f["name"])
        parts.append(f"ST_GeomFromHEXWKB({name}) AS {name}" if f["type"].upper() == "GEOGRAPHY" else name)
    return f"SELECT {', '.join(parts)} FROM {source}"


def batches_of(
    fields: Sequence[Field], rows: Iterable[dict[str, Any]], size: int = 8192, characters: int = 16 << 20
) -> Iterator[pa.RecordBatch]:
    """Yield rows of Python values as Arrow record batches.

    Args:
        fields: The REST fields of the columns.
        rows: The rows.
        size: The most rows of a batch.
        characters: The characters of texts from which a batch is complete, since rows may be long.
    """
    pending: list[dict[str, Any]] = []
    length = 0
    for row in rows:
        pending.append(row)
        length += sum(len(value) for value in row.values() if isinstance(value, str))
        if len(pending) == size or length >= characters:
            yield from table_of(fields, pending).combine_chunks().to_batches()
            pending, length = [], 0
    if pending:
        yield from table_of(fields, pending).combine_chunks().to_batches()
