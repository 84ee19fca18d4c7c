"""The names of types in GoogleSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SQL_NAME = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def declared_type(f: Mapping[str, Any]) -> str:
    """Return the GoogleSQL type with which a column is declared: with lengths and digits, such as ``STRING(3)``."""
    kind = str(f["type"])
    name = _SQL_NAME.get(kind, kind)
    numbers = [str(f[key]) for key in ("maxLength", "precision", "scale") if f.get(key)]
    if name == "RECORD":
        name = "STRUCT<" + ", ".join(f"{child['name']} {declared_type(child)}" for child in f["fields"]) + ">"
    elif f.get("rangeElementType"):
        name = f"RANGE<{f['rangeElementType']['type']}>"
    elif numbers:
        name = f"{name}({', '.join(numbers)})"
    return f"ARRAY<{name}>" if f.get("mode") == "REPEATED" else name


def sql_type(f: Mapping[str, Any]) -> str:
    """Return the GoogleSQL type of a field."""
    kind = str(f["type"])
    name = _SQL_NAME.get(kind, kind)
    if name == "RECORD":
        name = "STRUCT<" + ", ".join(f"`{child['name']}` {sql_type(child)}" for child in f["fields"]) + ">"
    return f"ARRAY<{name}>" if f.get("mode") == "REPEATED" else name
