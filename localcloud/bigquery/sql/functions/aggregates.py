"""Aggregates texts, BYTES and arrays as GoogleSQL does, and the rows with the largest or smallest value of HAVING MAX and MIN.

NULLs are left out before LIMIT counts.
https://cloud.google.com/bigquery/docs/reference/standard-sql/aggregate_functions
https://cloud.google.com/bigquery/docs/reference/standard-sql/aggregate-function-calls
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import Rule, call, number
from localcloud.bigquery.sql.functions.texts.byte_strings import is_bytes

MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _joined_bytes(elements, separator) AS "
    "list_reduce(elements, lambda before, each: before || separator || each)",
    "CREATE OR REPLACE MACRO _chosen(pairs, key) AS "
    "list_transform(list_filter(pairs, lambda pair: pair.key = key), lambda pair: pair.value)",
    "CREATE OR REPLACE MACRO _count_of_chosen(elements) AS coalesce(list_count(elements), 0)",
    "CREATE OR REPLACE MACRO _sum_of_chosen(elements) AS CASE WHEN typeof(elements) = 'BIGINT[]' "
    "THEN cast_to_type(list_sum(elements), elements[1]) ELSE list_sum(elements) END",
    *(
        f"CREATE OR REPLACE MACRO _{name}_of_chosen(elements) AS list_aggregate(elements, '{name}')"
        for name in ("avg", "min", "max", "bool_and", "bool_or")
    ),
)
"""The DuckDB macros that the rewritten SQL calls. They call those of ``arrays``."""

WORDS = ("STRING_AGG", "ARRAY_CONCAT_AGG")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""

# The macros for aggregates with HAVING MAX or HAVING MIN; none for ARRAY_AGG, which returns the values.
_OF_CHOSEN: dict[type[exp.Expr], str | None] = {
    exp.ArrayAgg: None,
    exp.Avg: "_avg_of_chosen",
    exp.Count: "_count_of_chosen",
    exp.LogicalAnd: "_bool_and_of_chosen",
    exp.LogicalOr: "_bool_or_of_chosen",
    exp.Max: "_max_of_chosen",
    exp.Min: "_min_of_chosen",
    exp.Sum: "_sum_of_chosen",
}


def _aggregate_chosen(node: exp.Expr) -> exp.Expr | None:
    """Aggregate the values of the rows in which the expression of HAVING MAX or MIN is the largest or smallest."""
    having = node.this
    if not isinstance(having, exp.HavingMax):
        if isinstance(having, exp.Expr) and isinstance(node, exp.AggFunc) and having.find(exp.HavingMax) is not None:
            raise QueryError("HAVING MAX and HAVING MIN are not supported with ORDER BY or LIMIT")
        return None
    if isinstance(node.parent, (exp.IgnoreNulls, exp.Window)) or isinstance(having.this, exp.Distinct):
        raise QueryError("HAVING MAX and HAVING MIN are not supported with DISTINCT, IGNORE NULLS or OVER")
    value = number(1) if isinstance(having.this, exp.Star) else having.this.copy()
    pair = exp.Struct(
        expressions=[
            exp.PropertyEQ(this=exp.to_identifier("value"), expression=value),
            exp.PropertyEQ(this=exp.to_identifier("key"), expression=having.expression.copy()),
        ]
    )
    key = (exp.Max if having.args.get("max") else exp.Min)(this=having.expression.copy())
    chosen = call("_chosen", exp.ArrayAgg(this=pair), key)
    macro = _OF_CHOSEN[type(node)]
    return chosen if macro is None else call(macro, chosen)


def _limited(node: exp.Expr) -> tuple[exp.Expr, exp.Expr]:
    """Return what an aggregate takes, and the array of its values that are not NULL, up to its LIMIT."""
    operand, limit = node.this, None
    if isinstance(operand, exp.Limit):
        operand, limit = operand.this, operand.expression
    value = operand.this if isinstance(operand, exp.Order) else operand
    value = value.expressions[0] if isinstance(value, exp.Distinct) else value
    present = exp.Where(this=exp.Not(this=exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null())))
    elements: exp.Expr = exp.Filter(this=exp.ArrayAgg(this=operand.copy()), expression=present)
    if limit is not None:
        elements = call("_array_slice", elements, number(0), exp.Sub(this=limit.copy(), expression=number(1)))
    return value, elements


def _join(node: exp.Expr) -> exp.Expr | None:
    value, elements = _limited(node)
    if isinstance(node.parent, (exp.Filter, exp.Window)):
        return None
    if is_bytes(value):
        return call("_joined_bytes", elements, node.args.get("separator") or exp.ByteString(this=",", is_bytes=True))
    if not isinstance(node.this, exp.Limit):
        return None
    return call("_array_to_string", elements, node.args.get("separator") or exp.Literal.string(","))


def _concatenate(node: exp.Expr) -> exp.Expr | None:
    return call("flatten", _limited(node)[1]) if isinstance(node.this, exp.Limit) else None


RULES: dict[type[exp.Expr], Rule] = {
    **dict.fromkeys(_OF_CHOSEN, _aggregate_chosen),
    exp.ArrayConcatAgg: _concatenate,
    exp.GroupConcat: _join,
}
"""What replaces the nodes of each type."""
