"""Refuses fields of datasets and tables that change what BigQuery does, and that the local BigQuery does not carry out.

docs/bigquery.md lists them for users.
"""

from __future__ import annotations

from typing import Any

from localcloud.bigquery.base.errors import QueryError

# For each field: the values that change nothing.
DATASET_FIELDS: dict[str, tuple[Any, ...]] = {
    "defaultCollation": ("",),
    "defaultRoundingMode": ("ROUNDING_MODE_UNSPECIFIED", "ROUND_HALF_AWAY_FROM_ZERO"),
    "isCaseInsensitive": (False,),
}
TABLE_FIELDS: dict[str, tuple[Any, ...]] = {
    "biglakeConfiguration": (),
    "defaultCollation": ("",),
    "defaultRoundingMode": ("ROUNDING_MODE_UNSPECIFIED", "ROUND_HALF_AWAY_FROM_ZERO"),
    "tableConstraints": ({},),
    "tableReplicationInfo": (),
}
COLUMN_FIELDS: dict[str, tuple[Any, ...]] = {
    "collation": ("",),
    "dataPolicies": ([],),
    "foreignTypeDefinition": ("",),
    "policyTags": ({}, {"names": []}),
    "roundingMode": ("ROUNDING_MODE_UNSPECIFIED", "ROUND_HALF_AWAY_FROM_ZERO"),
    "timestampPrecision": ("6", 6),
}


def reject_dataset_fields(dataset: dict[str, Any]) -> None:
    """Reject a dataset resource with a field that is not supported. Raises ``QueryError``."""
    _reject("Dataset", dataset, DATASET_FIELDS)


def reject_table_fields(table: dict[str, Any]) -> None:
    """Reject a table resource with a field that is not supported, or with such a column. Raises ``QueryError``."""
    _reject("Table", table, TABLE_FIELDS)
    for column in (table.get("schema") or {}).get("fields") or ():
        _reject(f"Column {column.get('name')}", column, COLUMN_FIELDS)


def _reject(what: str, resource: dict[str, Any], fields: dict[str, tuple[Any, ...]]) -> None:
    for name, harmless in fields.items():
        value = resource.get(name)
        if value is not None and value not in harmless:
            raise QueryError(f"{what}: {name} is not supported by the local BigQuery.", reason="notImplemented")
