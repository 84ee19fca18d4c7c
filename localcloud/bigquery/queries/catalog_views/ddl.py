"""Writes the statement that would create a table or view again, which is the column ``ddl`` of INFORMATION_SCHEMA.TABLES.

https://cloud.google.com/bigquery/docs/information-schema-tables
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from bqemulator.catalog.models import RangePartitioning, TableMeta, TimePartitioning

from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.base.type_names import declared_type
from localcloud.bigquery.queries.catalog_views.options import options_of, quoted
from localcloud.bigquery.tables.columns.field_settings import rest_fields
from localcloud.bigquery.tables.columns.keys import Keys

_KINDS = {
    "EXTERNAL": "EXTERNAL TABLE",
    "VIEW": "VIEW",
    "MATERIALIZED_VIEW": "MATERIALIZED VIEW",
    "SNAPSHOT": "SNAPSHOT TABLE",
}


# The fields of a definition that are clauses of the statement, or follow from it.
_NOT_OPTIONS = frozenset({"autodetect", "connectionId", "schema", "useAvroLogicalTypes"})
_OPTIONS = {"sourceFormat": "format", "sourceUris": "uris"}


def ddl_of(table: TableMeta, keys: Keys, external: Mapping[str, Any] | None = None) -> str:
    """Return the statement that creates a table with its columns, keys, partitions and options, or a view with its query.

    Args:
        table: The table.
        keys: Its keys.
        external: The REST ``ExternalDataConfiguration`` of an external table over files.
    """
    kind = _KINDS.get(table.table_type, "TABLE")
    parts = [f"CREATE {kind} `{table.project_id}.{table.dataset_id}.{table.table_id}`"]
    if kind in ("TABLE", "EXTERNAL TABLE"):
        listed = [_column(each, "  ") for each in rest_fields(table)] + list(_keys(keys))
        parts += ["(\n" + ",\n".join(listed) + "\n)"] if listed else []
        parts += _layout(table)
    elif kind == "SNAPSHOT TABLE" and table.base_table:
        parts.append(f"CLONE `{table.base_table}`")
    options = [f"  {name}={value}" for name, _, value in options_of(table, pair="")]
    if external is not None:
        options += [f"  {name}={value}" for name, value in sorted(_options_of_files(external))]
    if options:
        parts.append("OPTIONS(\n" + ",\n".join(options) + "\n)")
    if kind.endswith("VIEW"):
        parts.append(f"AS {(table.view_query or '').strip().rstrip(';')}")
    return "\n".join(parts) + ";"


def _options_of_files(definition: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the names and values of the options that read the files, which the API has in words such as ``nullMarker``."""
    for name, value in definition.items():
        if isinstance(value, dict) and name.endswith("Options"):
            yield from _options_of_files(value)
        elif name not in _NOT_OPTIONS:
            number = int(value) if name == "skipLeadingRows" else value  # an int64, which is a text in the API
            option = _OPTIONS.get(name) or re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
            yield option, json.dumps(number, ensure_ascii=False)


def _column(field: Field, indent: str) -> str:
    parts = [indent + field["name"], declared_type(field)]
    if field.get("mode") == "REQUIRED":
        parts.append("NOT NULL")
    if field.get("defaultValueExpression"):
        parts.append(f"DEFAULT {field['defaultValueExpression']}")
    if field.get("description"):
        parts.append(f"OPTIONS(description={quoted(field['description'])})")
    return " ".join(parts)


def _keys(keys: Keys) -> Iterator[str]:
    if keys.primary:
        yield f"  PRIMARY KEY ({', '.join(keys.primary)}) NOT ENFORCED"
    for key in keys.foreign:
        other = f"{key.table.project}.{key.table.dataset}.{key.table.table}"
        yield (
            f"  CONSTRAINT `{key.name}` FOREIGN KEY ({', '.join(key.columns)}) "
            f"REFERENCES `{other}`({', '.join(key.referenced)}) NOT ENFORCED"
        )


def _layout(table: TableMeta) -> list[str]:
    parts = []
    match table.range_partitioning or table.time_partitioning:
        case RangePartitioning(field=column, start=start, end=end, interval=interval):
            parts.append(f"PARTITION BY RANGE_BUCKET({column}, GENERATE_ARRAY({start}, {end}, {interval}))")
        case TimePartitioning(type=unit, field=column):
            parts.append(f"PARTITION BY {_time_partition(table, column, unit)}")
    if table.clustering is not None and table.clustering.fields:
        parts.append(f"CLUSTER BY {', '.join(table.clustering.fields)}")
    return parts


def _time_partition(table: TableMeta, column: str | None, unit: str) -> str:
    if not column:
        return "DATE(_PARTITIONTIME)" if unit == "DAY" else f"TIMESTAMP_TRUNC(_PARTITIONTIME, {unit})"
    kind = next((each.type for each in table.schema_.fields if each.name.lower() == column.lower()), "DATE")
    if unit == "DAY":
        return column if kind == "DATE" else f"DATE({column})"
    return f"{kind}_TRUNC({column}, {unit})"
