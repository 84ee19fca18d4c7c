"""The rows of the views about tables, columns, keys, routines and datasets.

https://cloud.google.com/bigquery/docs/information-schema-intro
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bqemulator.catalog.models import DatasetMeta, RoutineMeta, TableMeta

from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.base.type_names import declared_type
from localcloud.bigquery.job.jobs import milliseconds
from localcloud.bigquery.queries.catalog_views.ddl import ddl_of
from localcloud.bigquery.queries.catalog_views.options import options_of
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_TIME
from localcloud.bigquery.tables.columns.field_settings import rest_fields
from localcloud.bigquery.tables.columns.keys import keys_of
from localcloud.bigquery.tables.files.stored_definitions import stored_definition
from localcloud.bigquery.tables.partitions import Partitions
from localcloud.bigquery.tables.routines.types import type_text
from localcloud.bigquery.tables.sizes import Sizes
from localcloud.bigquery.tables.writing.destinations import Destinations

Row = dict[str, Any]
# https://cloud.google.com/bigquery/docs/information-schema-tables (the numbers of `type` in __TABLES__)
_TYPE_NUMBERS = {"TABLE": 1, "CLONE": 1, "SNAPSHOT": 1, "VIEW": 2, "EXTERNAL": 3, "MATERIALIZED_VIEW": 2}
_TYPE_NAMES = {"TABLE": "BASE TABLE", "CLONE": "CLONE", "MATERIALIZED_VIEW": "MATERIALIZED VIEW"}
_WITH_ROWS = ("TABLE", "CLONE", "SNAPSHOT")
_DAY_MS = 24 * 60 * 60 * 1000


def name_of(table: TableMeta) -> TableName:
    """Return the name of a table."""
    return TableName(table.project_id, table.dataset_id, table.table_id)


def table_rows(view: str, table: TableMeta, destinations: Destinations) -> Iterator[Row]:
    """Yield the rows of a view about tables for one table."""
    match view:
        case "COLUMNS":
            yield from _columns(table)
        case "PARTITIONS":
            yield from _partitions(table, destinations)
        case "TABLES":
            yield _table(table, destinations)
        case "TABLE_OPTIONS":
            for name, kind, value in options_of(table):
                yield _names(table) | _option(name, kind, value)
        case "VIEWS" | "MATERIALIZED_VIEWS":
            yield from _view_rows(view, table, destinations)
        case "COLUMN_FIELD_PATHS":
            for field in rest_fields(table):
                yield from _paths(_names(table) | {"column_name": field["name"]}, field, "")
        case "TABLE_CONSTRAINTS" | "KEY_COLUMN_USAGE" | "CONSTRAINT_COLUMN_USAGE":
            yield from _key_rows(view, table, destinations)
        case "TABLE_STORAGE":
            if table.table_type != "VIEW":
                yield _storage(table, destinations)
        case _:
            yield _summary(table, destinations)


def _names(table: TableMeta) -> Row:
    return {"table_catalog": table.project_id, "table_schema": table.dataset_id, "table_name": table.table_id}


def _view_rows(view: str, table: TableMeta, destinations: Destinations) -> Iterator[Row]:
    """Yield the row of a view, or of a materialized one, whose rows are always current."""
    if view == "VIEWS" and table.table_type == "VIEW":
        yield _names(table) | {"view_definition": table.view_query, "use_standard_sql": "YES"}
    elif view == "MATERIALIZED_VIEWS" and table.table_type == "MATERIALIZED_VIEW":
        now = destinations.context.clock.now()
        yield _names(table) | {"last_refresh_time": now, "refresh_watermark": now}


def _columns(table: TableMeta) -> Iterator[Row]:
    """Yield the columns of a table; one that is partitioned by ingestion time has a hidden one."""
    partitions = Partitions.of(table)
    clustered = [each.lower() for each in table.clustering.fields] if table.clustering is not None else []
    known = {"is_generated": "NEVER", "is_hidden": "NO", "is_system_defined": "NO", "is_partitioning_column": "NO"}
    for position, field in enumerate(rest_fields(table), 1):
        name = field["name"].lower()
        divides = partitions is not None and (partitions.column or "").lower() == name
        yield (
            _names(table)
            | known
            | {
                "column_name": field["name"],
                "ordinal_position": position,
                "is_nullable": "NO" if field.get("mode") == "REQUIRED" else "YES",
                "data_type": declared_type(field),
                "is_partitioning_column": "YES" if divides else "NO",
                "clustering_ordinal_position": clustered.index(name) + 1 if name in clustered else None,
                "collation_name": "NULL",
                "column_default": field.get("defaultValueExpression") or "NULL",
            }
        )
    if partitions is not None and partitions.ingested:
        hidden = dict.fromkeys(("is_hidden", "is_system_defined", "is_partitioning_column"), "YES")
        named = {"column_name": PARTITION_TIME, "is_nullable": "YES", "data_type": "TIMESTAMP"}
        yield _names(table) | known | hidden | named | {"collation_name": "NULL", "column_default": "NULL"}


def _partitions(table: TableMeta, destinations: Destinations) -> Iterator[Row]:
    """Yield the partitions of a table; one without partitions has a row without an id."""
    if table.table_type not in _WITH_ROWS:
        return
    names = table.project_id, table.dataset_id, table.table_id
    found = destinations.context.catalog.list_partitions(*names) if Partitions.of(table) is not None else ()
    size, rows = Sizes(destinations.context).table(name_of(table)), destinations.count(name_of(table))
    known = {"last_modified_time": table.last_modified_time, "storage_tier": "ACTIVE"}
    for each in found:
        share = {"total_rows": each.total_rows, "total_logical_bytes": round(size * each.total_rows / rows)}
        yield _names(table) | known | {"partition_id": each.partition_id} | share
    if Partitions.of(table) is None:
        yield _names(table) | known | {"total_rows": rows, "total_logical_bytes": size}


def _ddl(table: TableMeta, destinations: Destinations) -> str | None:
    """Return the statement that creates a table; None for an object table."""
    name, external = name_of(table), None
    if table.table_type == "EXTERNAL" and (external := stored_definition(destinations.engine, name)) is None:
        return None
    return ddl_of(table, keys_of(destinations.engine, name), external)


def _table(table: TableMeta, destinations: Destinations) -> Row:
    kind = _TYPE_NAMES.get(table.table_type, table.table_type)
    base = (table.base_table or "").split(".", 2) if table.snapshot_time is not None else []
    return (
        _names(table)
        | dict(zip(("base_table_catalog", "base_table_schema", "base_table_name"), base, strict=False))
        | {
            "table_type": kind,
            "is_insertable_into": "YES" if kind in ("BASE TABLE", "CLONE") else "NO",
            "is_fine_grained_mutations_enabled": "NO",
            "is_typed": "NO",
            "is_change_history_enabled": "NO",
            "creation_time": table.creation_time,
            "snapshot_time_ms": table.snapshot_time,
            "ddl": _ddl(table, destinations),
            "default_collation_name": "NULL",
        }
    )


def _paths(names: Row, field: Field, before: str) -> Iterator[Row]:
    path = before + field["name"]
    yield names | {
        "field_path": path,
        "data_type": declared_type(field),
        "description": field.get("description"),
        "collation_name": "NULL",
    }
    for inner in field.get("fields") or ():
        yield from _paths(names, inner, f"{path}.")


def _key_rows(view: str, table: TableMeta, destinations: Destinations) -> Iterator[Row]:
    keys = keys_of(destinations.engine, name_of(table))
    constraint = {"constraint_catalog": table.project_id, "constraint_schema": table.dataset_id}
    found: list[tuple[str, str, Sequence[str], TableName, Sequence[str]]] = []
    if keys.primary:
        found.append(("pk$", "PRIMARY KEY", keys.primary, name_of(table), keys.primary))
    found += [(key.name, "FOREIGN KEY", key.columns, key.table, key.referenced) for key in keys.foreign]
    for name, kind, columns, other, referenced in found:
        named = constraint | {"constraint_name": f"{table.table_id}.{name}"}
        if view == "TABLE_CONSTRAINTS":
            yield (
                named
                | _names(table)
                | {
                    "constraint_type": kind,
                    "is_deferrable": "NO",
                    "initially_deferred": "NO",
                    "enforced": "NO",
                }
            )
        elif view == "KEY_COLUMN_USAGE":
            for position, column in enumerate(columns, 1):
                yield (
                    named
                    | _names(table)
                    | {
                        "column_name": column,
                        "ordinal_position": position,
                        "position_in_unique_constraint": position if kind == "FOREIGN KEY" else None,
                    }
                )
        else:
            for column in referenced:
                yield named | {
                    "table_catalog": other.project,
                    "table_schema": other.dataset,
                    "table_name": other.table,
                    "column_name": column,
                }


def _summary(table: TableMeta, destinations: Destinations) -> Row:
    is_view = table.table_type == "VIEW"
    return {
        "project_id": table.project_id,
        "dataset_id": table.dataset_id,
        "table_id": table.table_id,
        "creation_time": milliseconds(table.creation_time),
        "last_modified_time": milliseconds(table.last_modified_time),
        "row_count": 0 if is_view else destinations.count(name_of(table)),
        "size_bytes": 0 if is_view else Sizes(destinations.context).table(name_of(table)),
        "type": _TYPE_NUMBERS.get(table.table_type, 1),
    }


def _storage(table: TableMeta, destinations: Destinations) -> Row:
    size = Sizes(destinations.context).table(name_of(table))
    partitioned = table.time_partitioning is not None or table.range_partitioning is not None
    partitions = (
        destinations.context.catalog.list_partitions(table.project_id, table.dataset_id, table.table_id)
        if partitioned
        else ()
    )
    return _names(table) | {
        "project_id": table.project_id,
        "creation_time": table.creation_time,
        "total_rows": destinations.count(name_of(table)),
        "total_partitions": len(partitions),
        "total_logical_bytes": size,
        "active_logical_bytes": size,
        "long_term_logical_bytes": 0,
        "storage_last_modified_time": table.last_modified_time,
        "deleted": False,
        "table_type": _TYPE_NAMES.get(table.table_type, table.table_type),
    }


def routine_rows(view: str, routine: RoutineMeta) -> Iterator[Row]:
    """Yield the rows of a view about routines for one routine."""
    names = {
        "specific_catalog": routine.project_id,
        "specific_schema": routine.dataset_id,
        "specific_name": routine.routine_id,
    }
    if view == "ROUTINE_OPTIONS":
        if routine.description is not None:
            yield names | _option("description", "STRING", _quoted(routine.description))
        return
    if routine.routine_type == "SCALAR_FUNCTION" and routine.return_type is not None:
        yield names | {"ordinal_position": 0, "is_result": "YES", "data_type": type_text(routine.return_type)}
    is_procedure = routine.routine_type == "PROCEDURE"
    for position, argument in enumerate(routine.arguments, 1):
        yield names | {
            "ordinal_position": position,
            "parameter_mode": argument.mode if is_procedure else None,
            "is_result": "NO",
            "parameter_name": argument.name,
            "data_type": type_text(argument.data_type) or "ANY TYPE",
            "is_aggregate": None if is_procedure else "NO",
        }


def dataset_rows(dataset: DatasetMeta) -> Iterator[Row]:
    """Yield the options of a dataset."""
    names = {"catalog_name": dataset.project_id, "schema_name": dataset.dataset_id}
    yield names | _option("location", "STRING", _quoted(dataset.location))
    for name, text in (("description", dataset.description), ("friendly_name", dataset.friendly_name)):
        if text is not None:
            yield names | _option(name, "STRING", _quoted(text))
    if dataset.labels:
        pairs = ", ".join(f"STRUCT({_quoted(key)}, {_quoted(value)})" for key, value in dataset.labels.items())
        yield names | _option("labels", "ARRAY<STRUCT<STRING, STRING>>", f"[{pairs}]")
    for name, period in (
        ("default_table_expiration_days", dataset.default_table_expiration_ms),
        ("default_partition_expiration_days", dataset.default_partition_expiration_ms),
    ):
        if period is not None:
            yield names | _option(name, "FLOAT64", str(period / _DAY_MS))


def _option(name: str, kind: str, value: str) -> Row:
    return {"option_name": name, "option_type": kind, "option_value": value}


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"'))
