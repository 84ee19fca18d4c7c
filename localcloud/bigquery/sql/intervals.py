"""Writes intervals as text in GoogleSQL's format, such as ``1-2 3 4:5:6.789``.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_functions#cast_as_string
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import columns_of
from localcloud.bigquery.sql.tokens import parsed

# DuckDB plans the branch for other types too, which cannot become intervals directly.
_VALUE = "TRY_CAST(CAST(x AS VARCHAR) AS INTERVAL)"
_MONTHS = f"(datepart('year', {_VALUE}) * 12 + datepart('month', {_VALUE}))"
_MICROS = (
    f"(datepart('hour', {_VALUE}) * 3600000000 + datepart('minute', {_VALUE}) * 60000000 "
    f"+ datepart('microsecond', {_VALUE}))"
)
_FRACTION = f"(abs({_MICROS}) % 1000000)"
MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _text_of(x) AS CASE WHEN typeof(x) = 'INTERVAL' THEN "
    f"CASE WHEN {_MONTHS} < 0 THEN '-' ELSE '' END || abs({_MONTHS}) // 12 || '-' || abs({_MONTHS}) % 12 || ' ' || "
    f"datepart('day', {_VALUE}) || ' ' || CASE WHEN {_MICROS} < 0 THEN '-' ELSE '' END || "
    f"abs({_MICROS}) // 3600000000 || ':' || "
    f"abs({_MICROS}) // 60000000 % 60 || ':' || abs({_MICROS}) // 1000000 % 60 || CASE WHEN {_FRACTION} = 0 THEN '' "
    f"WHEN {_FRACTION} % 1000 = 0 THEN '.' || lpad(CAST({_FRACTION} // 1000 AS VARCHAR), 3, '0') "
    f"ELSE '.' || lpad(CAST({_FRACTION} AS VARCHAR), 6, '0') END ELSE CAST(x AS VARCHAR) END",
)
"""The DuckDB macros that the rewritten SQL calls."""


def with_interval_texts(sql: str, schema: Mapping[str, Any] | None) -> str:
    """Return one statement of GoogleSQL that calls a macro where it casts an interval to a STRING.

    Args:
        sql: The statement.
        schema: The types of the columns of its tables, in nested mappings whose innermost keys are columns; or None.
    """
    columns = set(columns_of(schema, frozenset({"INTERVAL"})))
    if "CAST" not in sql.upper() or not (columns or "INTERVAL" in sql.upper()):
        return sql
    tree = parsed(sql)
    if tree is None:
        return sql
    for alias in tree.find_all(exp.Alias):
        if _may_be_interval(alias.this, columns):
            columns.add(alias.alias.lower())
    found = [
        cast
        for cast in tree.find_all(exp.Cast)
        if cast.to.this == exp.DType.TEXT and _may_be_interval(cast.this, columns)
    ]
    for cast in reversed(found):
        cast.replace(exp.Anonymous(this="_text_of", expressions=[cast.this.copy()]))
    return tree.sql(dialect="bigquery") if found else sql


def _may_be_interval(value: exp.Expr, columns: set[str]) -> bool:
    match value:
        case exp.Column():
            return value.name.lower() in columns
        case exp.Cast():
            return bool(value.to.this == exp.DType.INTERVAL)
        case exp.Paren() | exp.Neg():
            return _may_be_interval(value.this, columns)
        case exp.Add() | exp.Sub() | exp.Mul() | exp.Div():
            sides = [_may_be_interval(each, columns) for each in (value.this, value.expression)]
            return all(sides) if isinstance(value, (exp.Add, exp.Sub)) else sides[0]
    return isinstance(value, (exp.Interval, exp.MakeInterval, exp.JustifyDays, exp.JustifyHours, exp.JustifyInterval))
