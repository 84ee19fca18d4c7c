"""Rejects window functions in forms that GoogleSQL does not have. DuckDB has most of them.

https://cloud.google.com/bigquery/docs/reference/standard-sql/window-function-calls
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.clauses.named_windows import named_windows, whole_window

# https://cloud.google.com/bigquery/docs/reference/standard-sql/numbering_functions
# https://cloud.google.com/bigquery/docs/reference/standard-sql/navigation_functions
_RANKS: dict[type[exp.Expr], str] = {
    exp.Rank: "rank",
    exp.DenseRank: "dense_rank",
    exp.PercentRank: "percent_rank",
    exp.CumeDist: "cume_dist",
    exp.Ntile: "ntile",
    exp.Lead: "lead",
    exp.Lag: "lag",
}
_VALUES: dict[type[exp.Expr], str] = {
    exp.FirstValue: "first_value",
    exp.LastValue: "last_value",
    exp.NthValue: "nth_value",
}
_PERCENTILES: dict[type[exp.Expr], str] = {exp.PercentileCont: "percentile_cont", exp.PercentileDisc: "percentile_disc"}
# https://cloud.google.com/bigquery/docs/reference/standard-sql/approximate_aggregate_functions
_WITHOUT_WINDOW: dict[type[exp.Expr], str] = {
    exp.ApproxDistinct: "APPROX_COUNT_DISTINCT",
    exp.ApproxQuantiles: "APPROX_QUANTILES",
    exp.ApproxTopK: "APPROX_TOP_COUNT",
    exp.ApproxTopSum: "APPROX_TOP_SUM",
    exp.ArrayConcatAgg: "ARRAY_CONCAT_AGG",
}
# The bounds of a frame, from the first row to the last.
_BOUNDS = ("UNBOUNDED PRECEDING", "OFFSET PRECEDING", "CURRENT ROW", "OFFSET FOLLOWING", "UNBOUNDED FOLLOWING")
_WITH_ORDER: dict[type[exp.Expr], str] = {**_RANKS, **_VALUES}
_WITHOUT_FRAME: dict[type[exp.Expr], str] = {**_RANKS, **_PERCENTILES, exp.RowNumber: "row_number"}


def reject_wrong_windows(tree: exp.Expr) -> None:
    """Raise ``QueryError`` if a window function of a statement has a form that GoogleSQL does not have."""
    for select in tree.find_all(exp.Select):
        _reject_wrong_names(select.args.get("windows") or ())
    for window in tree.find_all(exp.Window):
        message = _reference_problem(window)
        if message is None and window.arg_key != "windows":
            message = _problem(window) or _argument_problem(window.this)
        message = message or _frame_problem(window.args.get("spec"))
        if message is not None:
            raise QueryError(message, location="query")


def _reject_wrong_names(windows: Sequence[exp.Window]) -> None:
    """Reject a WINDOW clause with a name twice, or with a window that names a later one. Raises ``QueryError``."""
    names: set[str] = set()
    for window in windows:
        if window.alias and window.alias.lower() not in names:
            raise QueryError(f"Unrecognized window alias {window.alias}", location="query")
        if window.name.lower() in names:
            raise QueryError(f"Duplicate window alias {window.name}", location="query")
        names.add(window.name.lower())


def _reference_problem(window: exp.Window) -> str | None:
    """Return what is wrong with a window that names another one."""
    if not window.alias:
        return None
    if window.args.get("partition_by"):
        return "If a window has a PARTITION BY, it cannot reference a named window"
    named = named_windows(window.find_ancestor(exp.Select))
    other = named.get(window.alias.lower())
    if other is None:
        return f"Unrecognized window alias {window.alias}"
    inherited = whole_window(other, named)
    if "order" in inherited and window.args.get("order"):
        return "If a window inherits an ORDER BY from its referenced window, it cannot have an inline ORDER BY"
    if "spec" in inherited and (window.args.get("order") or window.args.get("spec")):
        return (
            "If a window has an inline ORDER BY or window frame clause, it cannot reference another window that contains or "
            "inherits a window frame clause"
        )
    return None


def _problem(window: exp.Window) -> str | None:
    """Return what is wrong with the clauses of a window for its function."""
    function = window.this
    if isinstance(function, (exp.IgnoreNulls, exp.RespectNulls)):
        function = function.this
        if type(function) in _RANKS:
            return f"IGNORE NULLS and RESPECT NULLS are not allowed for analytic function {function.key.upper()}"
    named = named_windows(window.find_ancestor(exp.Select))
    parts = whole_window(window, named)
    kind: type[exp.Expr] = type(function)
    if kind in _WITHOUT_WINDOW:
        return f"Aggregate function {_WITHOUT_WINDOW[kind]} does not support an OVER clause"
    if kind in _WITH_ORDER and "order" not in parts:
        return f"Window ORDER BY is required for analytic function {_WITH_ORDER[kind]}"
    if kind in _PERCENTILES and "order" in parts:
        return f"Window ORDER BY is not allowed for analytic function {_PERCENTILES[kind]}"
    if kind in _WITHOUT_FRAME and "spec" in parts:
        return f"Window framing clause is not allowed for analytic function {_WITHOUT_FRAME[kind]}"
    argument = function.args.get("this")
    if isinstance(argument, (exp.Limit, exp.Order)):
        what = "LIMIT" if isinstance(argument, exp.Limit) else "ORDER BY"
        return f"{what} in arguments is not supported on analytic functions"
    if isinstance(argument, exp.Distinct) and "order" in parts:
        return "Window ORDER BY is not allowed if DISTINCT is specified"
    return None


def _argument_problem(function: exp.Expr) -> str | None:
    """Return what is wrong with the arguments of a navigation or numbering function, which do not depend on the row."""
    name = function.key.upper()
    match function:
        case exp.IgnoreNulls() | exp.RespectNulls():
            return _argument_problem(function.this)
        case exp.Lead() | exp.Lag():
            if _reads_rows(function.args.get("default")):
                return f"The third argument (the default expression) to {name} must be constant"
            if _is_negative(function.args.get("offset")):
                return f"The offset to the function {name} must not be negative"
            return _constant_problem(function.args.get("offset"), f"Argument 2 to {name}")
        case exp.NthValue():
            place = function.args.get("offset")
            if _is_negative(place) or (isinstance(place, exp.Literal) and place.name == "0"):
                return "Argument 2 to NTH_VALUE must be at least 1"
            return _constant_problem(place, "Argument 2 to NTH_VALUE")
        case exp.Ntile():
            return _constant_problem(function.this, "The argument to NTILE")
    return None


def _constant_problem(value: exp.Expr | None, what: str) -> str | None:
    if isinstance(value, exp.Literal) and not value.is_int:
        return f"{what} must be of type INT64"
    if isinstance(value, exp.Null):
        return f"{what} must be non-NULL"
    return f"{what} must be a literal or query parameter" if _reads_rows(value) else None


def _frame_problem(frame: exp.Expr | None) -> str | None:
    """Return what is wrong with the frame of a window."""
    if not isinstance(frame, exp.WindowSpec):
        return None
    kind = frame.text("kind").upper()
    if kind not in ("ROWS", "RANGE"):
        return f'Syntax error: Expected ")" or keyword RANGE or keyword ROWS but got keyword {kind}'
    if frame.args.get("exclude") is not None:
        return 'Syntax error: Expected ")" but got keyword EXCLUDE'
    bounds = [value for key in ("start", "end") if isinstance(value := frame.args.get(key), exp.Expr)]
    for bound in bounds:
        if _reads_rows(bound):
            return "Window framing expression must be a literal or parameter"
        if isinstance(bound, exp.Null):
            return "Window framing expression cannot be NULL"
        if _is_negative(bound):
            return "Window framing expression cannot evaluate to a negative value"
        if isinstance(bound, exp.Interval):
            return (
                "ORDER BY key must be numeric in a RANGE-based window with OFFSET PRECEDING or OFFSET FOLLOWING boundaries, "
                "and the offset a number, not an INTERVAL"
            )
        if kind == "ROWS" and isinstance(bound, exp.Literal) and not bound.is_int:
            written = "STRING" if bound.is_string else "FLOAT64"
            return f"Window framing expression for ROWS can only be of integer type, but has type {written}"
    return _order_problem(frame)


def _order_problem(frame: exp.WindowSpec) -> str | None:
    """Return what is wrong with the order of the bounds of a frame.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/window-function-calls#def_window_frame
    """
    start, end = _bound(frame, "start"), _bound(frame, "end")
    starting, ending = "Starting window framing expression cannot be", "Ending window framing expression cannot be"
    if start == _BOUNDS[-1]:
        return f"{starting} {start}"
    if end == _BOUNDS[0]:
        return f"{ending} {end}"
    if _BOUNDS.index(start) <= _BOUNDS.index(end):
        return None
    if frame.args.get("end") is None:
        return f"{starting} {start} because the implicit ending window framing expression is {end}"
    if start == "CURRENT ROW":
        return f"{starting} {start} when the ending window framing expression is {end}"
    return f"{ending} {end} when the starting window framing expression is {start}"


def _bound(frame: exp.WindowSpec, key: str) -> str:
    """Return a bound of a frame in the words of GoogleSQL's messages; without an end, it is CURRENT ROW."""
    bound, side = frame.args.get(key), frame.text(f"{key}_side")
    if bound is None or bound == "CURRENT ROW":
        return "CURRENT ROW"
    return f"{'UNBOUNDED' if bound == 'UNBOUNDED' else 'OFFSET'} {side}"


def _reads_rows(value: exp.Expr | None) -> bool:
    return value is not None and value.find(exp.Column, exp.Query) is not None


def _is_negative(value: exp.Expr | None) -> bool:
    return isinstance(value, exp.Neg) and isinstance(value.this, exp.Literal)
