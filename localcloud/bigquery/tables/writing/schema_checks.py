"""Checks of the schema, partitioning and clustering of rows against those of the table that a job writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from bqemulator.catalog.models import TableMeta

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, legacy_type
from localcloud.bigquery.base.type_names import sql_type
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.pseudo_columns import check_column_name
from localcloud.bigquery.tables.partitions import Partitions, layout_of_rest
from localcloud.bigquery.tables.writing.dispositions import Disposition

_LONGEST_NAME = 300
# https://cloud.google.com/bigquery/docs/schemas#flexible-column-names
_NOT_IN_NAMES = re.compile(r"[!\"$()*,./;?@\[\\\]^`{}~]")
_MODES = ("NULLABLE", "REQUIRED", "REPEATED")
# https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema (type)
_TYPES = frozenset(
    {
        *("STRING", "BYTES", "INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC", "BOOLEAN", "DATE", "TIME", "DATETIME"),
        *("TIMESTAMP", "INTERVAL", "RANGE", "GEOGRAPHY", "JSON", "RECORD"),
    }
)

# https://cloud.google.com/bigquery/docs/clustered-tables#cluster_column_types
_CLUSTERED_TYPES = frozenset(
    ("STRING", "INTEGER", "NUMERIC", "BIGNUMERIC", "BOOLEAN", "DATE", "DATETIME", "TIMESTAMP", "GEOGRAPHY", "RANGE")
)
_MOST_CLUSTERED = 4


def reject_duplicates(columns: Sequence[tuple[str, Any]]) -> None:
    """Reject a result with two columns of the same name. Raises ``QueryError``."""
    seen: set[str] = set()
    double = sorted({name for name, _ in columns if name.lower() in seen or seen.add(name.lower())})  # type: ignore[func-returns-value]
    if double:
        raise QueryError(
            f"Duplicate column names in the result are not supported when a destination table is present. Found "
            f"duplicate(s): {', '.join(double)}"
        )


def check_fields(fields: Sequence[Field], prefix: str = "", *, in_array: bool = False) -> None:
    """Reject fields of a schema that no table can have.

    Args:
        fields: The fields.
        prefix: The path of the record that has the fields, or an empty string.
        in_array: Whether the fields are within an array.

    https://cloud.google.com/bigquery/docs/schemas#column_names

    Raises:
        QueryError: A name, type or mode is not valid, a record has no fields, or a text in an array has a maximum length.
    """
    for f in fields:
        name = str(f.get("name") or "")
        check_column_name(name)
        if not 0 < len(name) <= _LONGEST_NAME or _NOT_IN_NAMES.search(name):
            raise QueryError(
                f'Invalid field name "{name}". Fields must contain the allowed characters, and be at most 300 characters '
                "long. For allowed characters, please refer to https://cloud.google.com/bigquery/docs/schemas#column_names",
                reason="invalid",
            )
        kind, mode = legacy_type(str(f.get("type") or "")), str(f.get("mode") or "NULLABLE").upper()
        if kind not in _TYPES:
            raise QueryError(f"Invalid value for type: {f.get('type')} is not a valid value", reason="invalid")
        if mode not in _MODES:
            raise QueryError(f"Invalid value for mode: {f.get('mode')} is not a valid value", reason="invalid")
        if kind == "RECORD" and not f.get("fields"):
            raise QueryError(f"Field {prefix}{name} is type RECORD but has no schema", reason="invalid")
        repeated = in_array or mode == "REPEATED"
        if repeated and f.get("maxLength"):
            # The engine has no functions over elements in the constraints of a table.
            raise QueryError(
                f"The maximum length of {prefix}{name}, which is in an array, is not supported by the local BigQuery.",
                reason="notImplemented",
            )
        check_fields(f.get("fields") or (), f"{prefix}{name}.", in_array=repeated)


def updated_schema(
    table: TableName, existing: list[Field], new: Sequence[Field], updates: frozenset[str], *, loaded: bool = True
) -> list[Field]:
    """Return the schema of a table after rows with the schema ``new`` are added.

    Args:
        table: The table, for error messages.
        existing: The fields of the table.
        new: The fields of the rows.
        updates: The ``schemaUpdateOptions`` of the job.
        loaded: Whether the rows are those of a load job, for error messages.

    Raises:
        QueryError: The rows do not fit. https://cloud.google.com/bigquery/docs/managing-table-schemas
    """
    return _updated(table, existing, new, updates, prefix="", loaded=loaded)


def _updated(
    table: TableName,
    existing: Sequence[Field],
    new: Sequence[Field],
    updates: frozenset[str],
    *,
    prefix: str,
    loaded: bool,
) -> list[Field]:
    """Return the updated fields of a table, or of the record with the path ``prefix`` in it. Raises ``QueryError``."""
    by_name = {f["name"].lower(): f for f in new}
    fields = []
    for old in existing:
        other = by_name.pop(old["name"].lower(), None)
        path, mode = f"{prefix}{old['name']}", old.get("mode", "NULLABLE")
        if other is None:
            if mode == "REQUIRED":
                raise _mismatch(table, f"Field {path} is missing in new schema")
        else:
            before, after = legacy_type(old["type"]), legacy_type(other["type"])
            if before != after:
                raise _mismatch(table, f"Field {path} has changed type from {before} to {after}")
            changed = other.get("mode") or "NULLABLE"
            if changed != mode and not (mode == "NULLABLE" and changed == "REQUIRED"):
                relaxes = mode == "REQUIRED" and changed == "NULLABLE" and "ALLOW_FIELD_RELAXATION" in updates
                if not relaxes:
                    raise _mismatch(table, f"Field {path} has changed mode from {mode} to {changed}")
                old = old | {"mode": "NULLABLE"}
            if before == "RECORD":
                inner, others = old.get("fields") or (), other.get("fields") or ()
                old = old | {"fields": _updated(table, inner, others, updates, prefix=f"{path}.", loaded=loaded)}
        fields.append(old)
    for added in by_name.values():
        path = f"{prefix}{added['name']}"
        if "ALLOW_FIELD_ADDITION" not in updates:
            raise QueryError(
                f"Provided Schema does not match Table {table}. Cannot add fields (field: {path})"
                if loaded
                else f"Invalid schema update. Cannot add fields (field: {path})",
                reason="invalid",
            )
        if added.get("mode") == "REQUIRED":
            raise _mismatch(table, f"Cannot add required fields to an existing schema. (field: {path})")
        fields.append(added | {"mode": "REPEATED" if added.get("mode") == "REPEATED" else "NULLABLE"})
    return fields


def check_partitioning(table: TableName, partition: str | None, disposition: Disposition, existing: TableMeta) -> None:
    """Reject a job that expects another partitioning than the table has. Raises ``QueryError``."""
    partitions = Partitions.of(existing)
    given: str | None = None
    if disposition.layout.get("timePartitioning") or disposition.layout.get("rangePartitioning"):
        wanted = layout_of_rest(disposition.layout, None)
        given = Partitions(wanted["range_partitioning"] or wanted["time_partitioning"]).specification
    elif partition is not None and partitions is None:
        given = "interval(type:day)"
    expected = "none" if partitions is None else partitions.specification
    if given is not None and given.lower() != expected.lower():
        raise QueryError(
            f"Incompatible table partitioning specification. Expects partitioning specification {expected}, but input "
            f"partitioning specification is {given}",
            reason="invalid",
        )
    if partition is not None and partitions is not None:
        partitions.check_id(table, partition)


def check_layout(layout: dict[str, Any], fields: Sequence[Field]) -> None:
    """Reject a layout whose fields the schema does not have, or has with another type. Raises ``QueryError``."""
    known = {f["name"].lower() for f in fields}
    partition = (layout.get("timePartitioning") or layout.get("rangePartitioning") or {}).get("field")
    if partition and partition.lower() not in known:
        raise QueryError("The field specified for partitioning cannot be found in the schema.", reason="invalid")
    kind = next((str(f["type"]) for f in fields if partition and f["name"].lower() == partition.lower()), None)
    if kind is not None and layout.get("timePartitioning") and kind not in ("TIMESTAMP", "DATE", "DATETIME"):
        raise QueryError(
            "The field specified for time partitioning can only be of type TIMESTAMP, DATE or DATETIME. The type found is: "
            f"{kind}.",
            reason="invalid",
        )
    if kind == "DATE" and (layout.get("timePartitioning") or {}).get("type") == "HOUR":
        raise QueryError(
            "The field specified for HOUR time partitioning can only be of type TIMESTAMP or DATETIME. The type found is: "
            "DATE.",
            reason="invalid",
        )
    if kind is not None and layout.get("rangePartitioning") and kind not in ("INTEGER", "INT64"):
        raise QueryError(
            f"The field specified for range partitioning can only be of type INTEGER. The type found is: {kind}.",
            reason="invalid",
        )
    check_clustering((layout.get("clustering") or {}).get("fields") or (), fields)


def check_clustering(names: Sequence[str], fields: Sequence[Field]) -> None:
    """Reject clustering by columns that a table does not have, or of types without an order. Raises ``QueryError``.

    https://cloud.google.com/bigquery/docs/creating-clustered-tables#limitations
    """
    if len(names) > _MOST_CLUSTERED:
        raise QueryError(
            f"A table can be clustered by at most {_MOST_CLUSTERED} fields, and not by {len(names)}.", reason="invalid"
        )
    known = {f["name"].lower(): f for f in fields}
    seen: set[str] = set()
    for name in names:
        field = known.get(name.lower())
        if field is None:
            raise QueryError(
                f"The field specified for clustering cannot be found in the schema. Invalid field: {name}",
                reason="invalid",
            )
        if field.get("mode") == "REPEATED" or legacy_type(field["type"]) not in _CLUSTERED_TYPES:
            raise QueryError(
                f"Field {name} has type {sql_type(field)}, which is not supported for clustering.", reason="invalid"
            )
        if name.lower() in seen:
            raise QueryError(f"The field {name} is specified for clustering twice.", reason="invalid")
        seen.add(name.lower())


def _mismatch(table: TableName, what: str) -> QueryError:
    return QueryError(f"Provided Schema does not match Table {table}. {what}", reason="invalid")
