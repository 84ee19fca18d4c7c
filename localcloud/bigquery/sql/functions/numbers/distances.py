"""Computes the distances of vectors with GoogleSQL's errors; a sparse vector is an array of pairs of a key and a number.

https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions#cosine_distance
https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions#euclidean_distance
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import Rule, call

_KEYS = "list_distinct(list_transform(x || y, lambda pair: pair.key))"
# The number of each key in a vector, or 0.
_FOUND = "list_filter({}, lambda pair: pair.key = key)[1].value"
_DENSE = f"list_transform({_KEYS}, lambda key: coalesce({_FOUND}, CAST(0 AS DOUBLE)))"
_REPEATED = "len(list_distinct(list_transform({0}, lambda pair: pair.key))) < len({0})"
MACROS: tuple[str, ...] = (
    # The distance of opposite vectors is 2 too.
    "CREATE OR REPLACE MACRO _cosine_distance(x, y) AS CASE WHEN list_cosine_distance(x, y) = 2 "
    "AND list_dot_product(x, y) = 0 THEN bqemu_fail('Cannot compute cosine distance against zero vector') "
    "ELSE list_cosine_distance(x, y) END",
    *(
        f"CREATE OR REPLACE MACRO _sparse_{name}(x, y) AS CASE WHEN {_REPEATED.format('x')} OR {_REPEATED.format('y')} "
        "THEN bqemu_fail('Duplicate index found in the input array') "
        f"ELSE {function}({_DENSE.format('x')}, {_DENSE.format('y')}) END"
        for name, function in (("cosine_distance", "_cosine_distance"), ("euclidean_distance", "list_distance"))
    ),
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("COSINE_DISTANCE", "EUCLIDEAN_DISTANCE")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def _sparse(name: str, node: exp.Expr) -> exp.Expr | None:
    """Return the call for two literals of sparse vectors, or None for other vectors."""
    vectors = [_pairs(each) for each in (node.this, node.expression)]
    return None if None in vectors else call(f"_sparse_{name}", *vectors)


def _pairs(vector: exp.Expr) -> exp.Expr | None:
    """Return the literal of a sparse vector whose pairs have names, or None."""
    pairs = vector.expressions if isinstance(vector, exp.Array) else []
    if not pairs or not all(isinstance(each, (exp.Struct, exp.Tuple)) and len(each.expressions) == 2 for each in pairs):
        return None
    named = []
    for pair in pairs:
        key, value = (
            each.expression if isinstance(each, exp.PropertyEQ) else each.unalias() for each in pair.expressions
        )
        fields = (("key", key), ("value", exp.cast(value.copy(), "FLOAT64", dialect="bigquery")))
        named.append(
            exp.Struct(
                expressions=[exp.PropertyEQ(this=exp.to_identifier(n), expression=each.copy()) for n, each in fields]
            )
        )
    return exp.Array(expressions=named)


RULES: dict[type[exp.Expr], Rule] = {
    exp.CosineDistance: lambda node: (
        _sparse("cosine_distance", node) or call("_cosine_distance", *node.iter_expressions())
    ),
    exp.EuclideanDistance: lambda node: _sparse("euclidean_distance", node),
}
"""What replaces the nodes of each type."""
