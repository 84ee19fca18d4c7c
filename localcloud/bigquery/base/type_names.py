"""The names of types in GoogleSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_STANDARD_NAMES = {
    # https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types
    **dict.fromkeys(("BIGINT", "BYTEINT", "INT", "INTEGER", "SMALLINT", "TINYINT"), "INT64"),
    "BIGDECIMAL": "BIGNUMERIC",
    "BOOLEAN": "BOOL",
    "DECIMAL": "NUMERIC",
    # https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema
    "FLOAT": "FLOAT64",
    "RECORD": "STRUCT",
}


def standard_name(name: str) -> str:
    """Return the name in upper case that GoogleSQL's documentation uses for a type, such as ``INT64`` for ``Integer``."""
    return _STANDARD_NAMES.get(name.upper(), name.upper())


def declared_type(f: Mapping[str, Any]) -> str:
    """Return the GoogleSQL type with which a column is declared: with lengths and digits, such as ``STRING(3)``."""
    name = standard_name(str(f["type"]))
    numbers = [str(f[key]) for key in ("maxLength", "precision", "scale") if f.get(key)]
    if name == "STRUCT":
        name = "STRUCT<" + ", ".join(f"{child['name']} {declared_type(child)}" for child in f["fields"]) + ">"
    elif f.get("rangeElementType"):
        name = f"RANGE<{f['rangeElementType']['type']}>"
    elif numbers:
        name = f"{name}({', '.join(numbers)})"
    return f"ARRAY<{name}>" if f.get("mode") == "REPEATED" else name


def sql_type(f: Mapping[str, Any]) -> str:
    """Return the GoogleSQL type of a field."""
    name = standard_name(str(f["type"]))
    if name == "STRUCT":
        name = "STRUCT<" + ", ".join(f"`{child['name']}` {sql_type(child)}" for child in f["fields"]) + ">"
    return f"ARRAY<{name}>" if f.get("mode") == "REPEATED" else name
