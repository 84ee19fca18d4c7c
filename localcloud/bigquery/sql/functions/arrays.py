"""Takes parts of arrays, searches and generates them as GoogleSQL does, and finds the most frequent values.

Offsets count from 0, and negative ones from the end.
https://cloud.google.com/bigquery/docs/reference/standard-sql/array_functions
https://cloud.google.com/bigquery/docs/reference/standard-sql/approximate_aggregate_functions#approx_top_count
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import Rule, call, integer, is_number, is_text, number
from localcloud.bigquery.sql.reading.types import type_of

_DECIMALS = frozenset({exp.DType.DECIMAL, exp.DType.BIGDECIMAL})
_OFFSET = "(CASE WHEN {0} < 0 THEN len(elements) + {0} ELSE {0} END)"
# NULL is a value too, and a key of DuckDB's histogram cannot be NULL unless it is in a struct.
_HISTOGRAM = "histogram({'value': x})"
_COUNTS = f"list_transform(map_values({_HISTOGRAM}), lambda count: CAST(count AS BIGINT))"
_BY_COUNT = f"list_reverse(list_grade_up({_COUNTS}))[1:number]"
# The weights of equal values are beside each other in the sorted list, so one pass adds them up.
_SUMS = """list_reduce(list_sort(list([{'value': x, 'sum': weight}])), lambda sums, next:
    CASE WHEN sums[-1].value IS NOT DISTINCT FROM next[1].value
    THEN sums[1:-2] || [{'value': next[1].value,
        'sum': CASE WHEN sums[-1].sum IS NULL THEN next[1].sum ELSE sums[-1].sum + coalesce(next[1].sum, 0) END}]
    ELSE sums || next END)"""
MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _array_slice(elements, first, last) AS CASE WHEN first IS NULL OR last IS NULL THEN NULL "
    f"WHEN greatest({_OFFSET.format('first')}, 0) > {_OFFSET.format('last')} THEN elements[1:0] "
    f"ELSE elements[greatest({_OFFSET.format('first')}, 0) + 1:{_OFFSET.format('last')} + 1] END",
    *(
        f"CREATE OR REPLACE MACRO {prefix}_array_{name}(elements) AS "
        f"CASE WHEN len(elements) = 0 THEN {otherwise} ELSE elements[{place}] END"
        for name, place in (("first", 1), ("last", -1))
        for prefix, otherwise in (
            ("", f"bqemu_fail('ARRAY_{name.upper()} cannot get the {name} element of an empty array')"),
            ("_safe", "NULL"),
        )
    ),
    # DuckDB joins with a separator that is a literal only.
    "CREATE OR REPLACE MACRO _array_to_string(elements, separator) AS "
    "CASE WHEN elements IS NULL OR separator IS NULL THEN NULL WHEN list_count(elements) = 0 THEN '' "
    "ELSE list_reduce(list_filter(elements, lambda each: each IS NOT NULL), "
    "lambda before, each: before || separator || each) END",
    "CREATE OR REPLACE MACRO _array_to_string_with(elements, separator, missing) AS CASE WHEN missing IS NOT NULL "
    "THEN _array_to_string(list_transform(elements, lambda each: coalesce(each, missing)), separator) END",
    "CREATE OR REPLACE MACRO _series(first, last, step) AS CASE WHEN step = 0 THEN "
    "bqemu_fail('Sequence step cannot be 0.') ELSE list_transform("
    "range(CAST(0 AS BIGINT), CAST(floor((last - first) / step) AS BIGINT) + 1), place -> first + step * place) END",
    "CREATE OR REPLACE MACRO _stepped(elements, step) AS "
    "CASE WHEN step = 0 THEN bqemu_fail('Sequence step cannot be 0.') ELSE elements END",
    "CREATE OR REPLACE MACRO _corr(x, y) AS CASE WHEN regr_count(x, y) > 1 THEN corr(x, y) END",
    "CREATE OR REPLACE MACRO _corr_of_pairs(result, pairs) AS CASE WHEN pairs > 1 THEN result END",
    "CREATE OR REPLACE MACRO _array_includes(elements, x) AS CASE WHEN elements IS NOT NULL AND x IS NOT NULL "
    "THEN list_contains(elements, x) END",
    "CREATE OR REPLACE MACRO _array_includes_any(elements, found) AS list_has_any(elements, found)",
    "CREATE OR REPLACE MACRO _array_includes_all(elements, found) AS "
    "list_has_all(elements, found) AND list_count(found) = len(found)",
    "CREATE OR REPLACE MACRO _array_is_distinct(elements) AS len(elements) = "
    "len(list_distinct(elements)) + least(len(elements) - list_count(elements), 1)",
    "CREATE OR REPLACE MACRO _approx_top_count(x, number) AS list_transform("
    f"list_zip(list_select(map_keys({_HISTOGRAM}), {_BY_COUNT}), list_select({_COUNTS}, {_BY_COUNT})), "
    "lambda pair: {'value': pair[1].value, 'count': pair[2]})",
    f"CREATE OR REPLACE MACRO _approx_top_sum(x, weight, number) AS list_select({_SUMS}, list_grade_up("
    f"list_transform({_SUMS}, lambda each: CAST(each.sum AS DOUBLE)), 'DESC', 'NULLS LAST')[1:number])",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = (
    "ARRAY_SLICE",
    "ARRAY_FIRST",
    "ARRAY_LAST",
    r"ARRAY_INCLUDES\w*",
    "ARRAY_IS_DISTINCT",
    "APPROX_TOP_COUNT",
    "APPROX_TOP_SUM",
    r"GENERATE_(?:TIMESTAMP_|DATE_)?ARRAY",
    "ARRAY_CONCAT",
    "CORR",
    "COUNTIF",
)
"""Regular expressions of the names of the functions that ``RULES`` and ``BY_NAME`` may replace."""


def _times(node: exp.Expr) -> exp.Expr | None:
    """Call a macro for a step between times that may be 0; DuckDB returns no elements."""
    step = node.args.get("step")
    if not isinstance(step, exp.Interval) or step.this is None:
        return None
    if not isinstance(step.this, exp.Literal):
        return call("_stepped", node, step.this)
    return call("_stepped", node, number(0)) if step.this.name == "0" else None


def joined(node: exp.Expr) -> exp.Expr | None:
    """Return the call that joins texts with a separator that is not a literal, or None."""
    if is_text(node.expression) and node.args.get("null") is None:
        return None
    missing = node.args.get("null")
    return call("_array_to_string" + ("_with" if missing else ""), node.this, node.expression, missing)


def _concatenated(node: exp.Expr) -> exp.Expr | None:
    """Join arrays so that the result is NULL if one is; DuckDB takes NULL for an empty array."""
    result: exp.Expr = node.this
    for each in node.expressions:
        result = call("_joined", result, each)
    return result if node.expressions else None


def _numbers(node: exp.Expr) -> exp.Expr | None:
    """Call macros for numbers that are not integers, which DuckDB's function does not accept, and for steps that may be 0."""
    given = [node.args["start"], node.args["end"], node.args.get("step") or number(1)]
    kinds = {type_of(each) for each in given if not is_number(each)}
    has_fraction = any(is_number(each) and integer(each) is None for each in given)
    if exp.DType.DOUBLE in kinds or (has_fraction and not kinds & _DECIMALS):
        return call("_series", *(exp.cast(each.copy(), "FLOAT64", dialect="bigquery") for each in given))
    if kinds & _DECIMALS:
        kind = "BIGNUMERIC" if exp.DType.BIGDECIMAL in kinds else "NUMERIC"
        return call("_series", *(exp.cast(each.copy(), kind, dialect="bigquery") for each in given))
    return None if integer(given[-1]) else call("_stepped", node, given[-1])


def _corr(node: exp.Expr) -> exp.Expr | None:
    """Return NULL for one pair, where DuckDB returns NaN."""
    return None if isinstance(node.parent, exp.Window) else call("_corr", node.this, node.expression)


def _corr_in_window(node: exp.Expr) -> exp.Expr | None:
    """Return NULL for one pair of a window, where DuckDB returns NaN."""
    correlation = node.this
    if not isinstance(correlation, exp.Corr):
        return None
    pairs = node.copy()
    pairs.set("this", call("regr_count", correlation.this, correlation.expression))
    return call("_corr_of_pairs", node, pairs)


def _count_if(node: exp.Expr) -> exp.Expr | None:
    """Count in a window, for which DuckDB has no COUNTIF."""
    if not isinstance(node.parent, exp.Window) or isinstance(node.this, exp.Distinct):
        return None
    return exp.Count(this=exp.If(this=node.this.copy(), true=exp.Literal.number(1)))


def _in_utc(node: exp.Expr) -> exp.Expr | None:
    """Convert the ends to TIMESTAMP, since DuckDB takes a literal for a DATETIME."""
    for name in ("start", "end"):
        node.set(name, exp.cast(node.args[name].copy(), "TIMESTAMP", dialect="bigquery"))
    return _times(node) or node


RULES: dict[type[exp.Expr], Rule] = {
    exp.ArrayConcat: _concatenated,
    exp.Corr: _corr,
    exp.Window: _corr_in_window,
    exp.CountIf: _count_if,
    exp.GenerateSeries: _numbers,
    exp.ArrayFirst: lambda node: call("_array_first", node.this),
    exp.ArrayLast: lambda node: call("_array_last", node.this),
    exp.ArraySlice: lambda node: call("_array_slice", node.this, node.args["start"], node.args["end"]),
    exp.ApproxTopK: lambda node: call("_approx_top_count", node.this, node.expression),
    exp.ApproxTopSum: lambda node: call("_approx_top_sum", node.this, node.expression, node.args["count"]),
    exp.GenerateDateArray: _times,
    exp.GenerateTimestampArray: _in_utc,
}
"""What replaces the nodes of each type."""

BY_NAME = {
    "ARRAY_INCLUDES": {2: "_array_includes"},
    "ARRAY_INCLUDES_ANY": {2: "_array_includes_any"},
    "ARRAY_INCLUDES_ALL": {2: "_array_includes_all"},
    "ARRAY_IS_DISTINCT": {1: "_array_is_distinct"},
}
"""The macros for functions that sqlglot does not know, by name and number of arguments."""
