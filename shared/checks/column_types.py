"""The types of columns, which a TableFieldSchema names in another way than SQL.

https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.checks.identifiers import column_sql

_STANDARD_NAMES = {"INTEGER": "INT64", "INT": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}


def standard_name(name: str) -> str:
    """Return the name of a type in SQL, such as ``INT64`` for ``INTEGER``."""
    return _STANDARD_NAMES.get(name, name)


def sql_type(column: Mapping[str, Any]) -> str:
    """Return the type of a column, given as a TableFieldSchema, as SQL declares it."""
    kind = standard_name(str(column["type"]))
    if kind == "STRUCT":
        fields = ", ".join(f"{column_sql(each['name'])} {sql_type(each)}" for each in column.get("fields", ()))
        kind = f"STRUCT<{fields}>"
    return f"ARRAY<{kind}>" if column.get("mode") == "REPEATED" else kind
