"""Compares ranges whose start or end is unbounded, and writes ranges.

A bound that is NULL is unbounded.
https://cloud.google.com/bigquery/docs/reference/standard-sql/range-functions
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import Rule, call
from localcloud.bigquery.sql.reading.types import type_of

_OVERLAP = 'coalesce(a."start" < b."end", TRUE) AND coalesce(b."start" < a."end", TRUE)'
MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _range_start(a, b) AS CASE WHEN a >= b "
    "THEN bqemu_fail('Range start element must be smaller than range end element') ELSE a END",
    'CREATE OR REPLACE MACRO _range_has(r, x) AS CASE WHEN r IS NOT NULL AND x IS NOT NULL THEN coalesce(r."start" <= x, TRUE) '
    'AND coalesce(x < r."end", TRUE) END',
    "CREATE OR REPLACE MACRO _range_covers(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN "
    '(a."start" IS NULL OR coalesce(a."start" <= b."start", FALSE)) '
    'AND (a."end" IS NULL OR coalesce(b."end" <= a."end", FALSE)) END',
    # The points are a literal in most queries, which DuckDB sorts once.
    "CREATE OR REPLACE MACRO _range_bucket(x, points) AS CASE WHEN x IS NULL OR points IS NULL OR _is_nan(x) THEN NULL "
    "WHEN list_count(points) < len(points) OR list_sort(points) <> points "
    "THEN bqemu_fail('Elements in input array to RANGE_BUCKET must be in ascending order') "
    "ELSE len(list_filter(points, lambda point: point <= x)) END",
    f"CREATE OR REPLACE MACRO _ranges_overlap(a, b) AS CASE WHEN a IS NOT NULL AND b IS NOT NULL THEN {_OVERLAP} END",
    "CREATE OR REPLACE MACRO _ranges_intersect(a, b) AS CASE WHEN a IS NULL OR b IS NULL THEN NULL "
    f"WHEN NOT ({_OVERLAP}) THEN bqemu_fail('Provided RANGE inputs do not overlap') "
    'ELSE {\'start\': greatest(a."start", b."start"), \'end\': least(a."end", b."end")} END',
)
"""The DuckDB macros that the rewritten SQL calls. They call those of ``nan``."""

WORDS = (r"RANGE(?:_\w+)?",)
"""Regular expressions of the names of the functions that ``RULES`` and ``BY_NAME`` may replace."""


def _with_type(node: exp.Anonymous) -> exp.Expr | None:
    """Give an unbounded end of a range the type of the other one, and check the order of two ends."""
    bounds = node.expressions
    if len(bounds) == 2 and not any(isinstance(bound, exp.Null) for bound in bounds):
        bounds[0].replace(call("_range_start", *(bound.copy() for bound in bounds)))
        return node
    missing = [place for place, bound in enumerate(bounds) if isinstance(bound, exp.Null)]
    if len(bounds) != 2 or len(missing) != 1:
        return None
    bounds[missing[0]].replace(exp.Case(ifs=[exp.If(this=exp.false(), true=bounds[1 - missing[0]].copy())]))
    return node


def _contains(node: exp.Expr) -> exp.Expr | None:
    if isinstance(node, exp.Anonymous) and node.name.upper() == "RANGE":
        return _with_type(node)
    if not isinstance(node, exp.Anonymous) or node.name.upper() != "RANGE_CONTAINS" or len(node.expressions) != 2:
        return None
    other = node.expressions[1]
    is_range = type_of(other) == exp.DType.RANGE or (isinstance(other, exp.Cast) and other.to.this == exp.DType.RANGE)
    is_range = is_range or (isinstance(other, exp.Anonymous) and other.name.upper() == "RANGE")
    return call("_range_covers" if is_range else "_range_has", *node.expressions)


RULES: dict[type[exp.Expr], Rule] = {
    exp.Anonymous: _contains,
    exp.RangeBucket: lambda node: call("_range_bucket", node.this, node.expression),
}
"""What replaces the nodes of each type."""

BY_NAME = {"RANGE_OVERLAPS": {2: "_ranges_overlap"}, "RANGE_INTERSECT": {2: "_ranges_intersect"}}
"""The macros for functions that sqlglot does not know, by name and number of arguments."""
