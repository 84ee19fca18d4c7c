"""Names the type of a value, as TYPEOF does.

https://cloud.google.com/bigquery/docs/reference/standard-sql/utility-functions#typeof
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import duckdb
from sqlglot import exp

from localcloud.bigquery.sql.errors.wording import TYPE_BY_DUCKDBS
from localcloud.bigquery.sql.functions.adjustments import name_position
from localcloud.bigquery.sql.functions.nodes import Rule, call

_FUNCTION = "bqemu_type_name"
_NUMERIC_SCALE = 9
# The names that fields without a name get.
_POSITION = re.compile(r"_field_\d+")
MACROS: tuple[str, ...] = (f"CREATE OR REPLACE MACRO _type_name(x) AS {_FUNCTION}(typeof(x))",)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("TYPEOF",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python function that the macro calls."""
    text: Any = ["VARCHAR"]
    connection.create_function(_FUNCTION, type_name, text, "VARCHAR")


@lru_cache(maxsize=256)
def type_name(duckdb_type: str) -> str:
    """Return the GoogleSQL name of a DuckDB type; that of NULL is INT64."""
    return _name_of(duckdb.sqltype(duckdb_type.replace('"NULL"', "BIGINT")))


def _name_of(kind: Any) -> str:
    match kind.id:
        case "list":
            return f"ARRAY<{_name_of(kind.children[0][1])}>"
        case "decimal":
            return "NUMERIC" if dict(kind.children)["scale"] <= _NUMERIC_SCALE else "BIGNUMERIC"
        case "struct" if [name for name, _ in kind.children] == ["start", "end"]:
            return f"RANGE<{_name_of(kind.children[0][1])}>"
        case "struct":
            fields = ((_POSITION.sub("", name), _name_of(child)) for name, child in kind.children)
            return f"STRUCT<{', '.join(f'{name} {child}'.strip() for name, child in fields)}>"
    return TYPE_BY_DUCKDBS.get(str(kind), str(kind))


def _name(node: exp.Expr) -> exp.Expr:
    name_position(node.this)
    return call("_type_name", node.this)


RULES: dict[type[exp.Expr], Rule] = {exp.Typeof: _name}
"""What replaces the nodes of each type."""
