"""Lets an INSERT read all rows before it writes any, where its query unites queries over the table that it writes to.

DuckDB runs the parts of a UNION one after the other, so that a later part would read what an earlier one has written.
https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#insert_statement
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp

_MAY_READ_ITSELF = re.compile(r"\A\s*INSERT\b.*\b(?:UNION|EXCEPT|INTERSECT)\b", re.IGNORECASE | re.DOTALL)
_ROWS = "_rows_to_insert"


def reading_first(duckdb_sql: str) -> str:
    """Return the DuckDB SQL of a statement, whose query is carried out as a whole before its rows are written."""
    if _MAY_READ_ITSELF.match(duckdb_sql) is None:
        return duckdb_sql
    tree = sqlglot.parse_one(duckdb_sql, read="duckdb")
    source = tree.expression
    target = tree.find(exp.Table)
    if not isinstance(tree, exp.Insert) or target is None or not isinstance(source, exp.Query):
        return duckdb_sql
    read = {_name(table) for table in source.find_all(exp.Table)}
    if source.find(exp.SetOperation) is None or _name(target) not in read:
        return duckdb_sql
    tree.set("expression", exp.select("*").from_(_ROWS).with_(_ROWS, as_=source.copy(), materialized=True))
    return tree.sql(dialect="duckdb")


def _name(table: exp.Table) -> str:
    return ".".join(part.name.lower() for part in table.parts)
