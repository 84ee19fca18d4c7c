"""Gives NaN the meaning that it has in GoogleSQL, and has not in DuckDB.

DuckDB takes NaN for the largest number, which is equal to itself. In GoogleSQL no comparison with NaN is true but ``!=``, NaN
is sorted before all other numbers, and the result of MIN, MAX, LEAST and GREATEST is NaN if one of the values is. Both put
the NaNs of GROUP BY and DISTINCT into one group.
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#floating_point_types

Only floating point numbers can be NaN, so that statements without them stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from sqlglot import exp

from localcloud.bigquery.sql.functions.nodes import columns_of, is_number
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import keep_type

# The place of NULL and NaN before or after the numbers: NULLs first when ascending, or last.
_RANKS = {"_nan_rank": (0, 1, 2), "_nan_rank_nulls_last": (2, 0, 1)}
# The macro that shows that a value, such as the prediction of a model, can be NaN. It returns the value.
FLOATS = "ml_floats"
_FLOAT_TYPE = "typeof(x) IN ('DOUBLE', 'FLOAT')"


def _macros() -> Iterator[str]:
    # The type is known when the statement is planned, so the test costs nothing for values of other types. TRY_CAST lets
    # DuckDB accept texts there, which are not tested.
    yield f"CREATE OR REPLACE MACRO _is_nan(x) AS CASE WHEN {_FLOAT_TYPE} THEN isnan(TRY_CAST(x AS DOUBLE)) ELSE false END"
    for name, (null, nan, number) in _RANKS.items():
        ranks = f"CASE WHEN x IS NULL THEN {null} WHEN isnan(TRY_CAST(x AS DOUBLE)) THEN {nan} ELSE {number} END"
        yield f"CREATE OR REPLACE MACRO {name}(x) AS CASE WHEN {_FLOAT_TYPE} THEN {ranks} ELSE 0 END"
    yield f"CREATE OR REPLACE MACRO {FLOATS}(x) AS x"


MACROS: tuple[str, ...] = tuple(_macros())
"""The DuckDB macros that the rewritten SQL calls."""

_NAMES_FLOATS = re.compile(rf"\bFLOAT64\b|\bIEEE_DIVIDE\b|\b{FLOATS}\b", re.IGNORECASE)
_FLOATS = frozenset({"FLOAT64", "FLOAT", "DOUBLE"})
_CALLS = frozenset({"IEEE_DIVIDE", FLOATS.upper()})


def treat_nan(draft: Draft) -> None:
    """Give one statement of GoogleSQL a form in which DuckDB treats NaN as GoogleSQL does."""
    floats = set(columns_of(draft.schema, _FLOATS))
    tree = draft.tree if floats or _NAMES_FLOATS.search(draft.text) is not None else None
    if tree is not None and _Change(tree, floats).run():
        draft.changed(tree, keeps_types=True)


class _Change:
    """The change of one statement."""

    def __init__(self, tree: exp.Expr, floats: set[str]) -> None:
        self._tree = tree
        self._floats = floats
        self._changed = False

    def run(self) -> bool:
        """Change the tree; return whether it has changed."""
        self._follow_aliases()
        for node in reversed(list(self._tree.walk())):
            match node:
                case exp.Min() | exp.Least():
                    self._keep_nan(node)
                case exp.EQ() | exp.NEQ():
                    self._compare(node)
                case exp.GT() | exp.GTE() | exp.LT() | exp.LTE():
                    self._order(node)
                case exp.Between():
                    self._limit(node)
                case exp.In():
                    self._look_up(node)
                case exp.Order():
                    self._sort(node)
        return self._changed

    def _follow_aliases(self) -> None:
        """Add the aliases of floating point numbers to the names of such columns."""
        aliases = list(self._tree.find_all(exp.Alias))
        while found := {each.alias.lower() for each in aliases if self._may_be_nan(each.this)} - self._floats:
            self._floats |= found
        for unnest in self._tree.find_all(exp.Unnest):
            alias = unnest.args.get("alias")
            if alias is not None and any(self._may_be_nan(each) for each in unnest.expressions):
                self._floats |= {each.name.lower() for each in (alias.this, *alias.args.get("columns", ())) if each}

    def _may_be_nan(self, value: exp.Expr | None) -> bool:
        match value:
            case None:
                return False
            case exp.Column():
                return value.name.lower() in self._floats
            case exp.Cast():
                return value.to.this in (exp.DType.DOUBLE, exp.DType.FLOAT)
            case exp.Anonymous():
                return value.name.upper() in _CALLS
            case exp.Paren() | exp.Neg() | exp.Abs() | exp.Min() | exp.Max() | exp.Sum() | exp.Avg() | exp.AnyValue():
                return self._may_be_nan(value.this)
            case (
                exp.Add()
                | exp.Sub()
                | exp.Mul()
                | exp.Div()
                | exp.Coalesce()
                | exp.Greatest()
                | exp.Least()
                | exp.Array()
            ):
                return any(self._may_be_nan(each) for each in value.iter_expressions())
            case exp.If() | exp.Case():
                return any(self._may_be_nan(each) for each in value.walk() if isinstance(each, (exp.Column, exp.Cast)))
            case exp.Bracket() | exp.Subquery() | exp.Window():
                return self._may_be_nan(value.this)
            case exp.Select():
                return len(value.expressions) == 1 and self._may_be_nan(value.expressions[0].unalias())
        return False

    def _replace(self, node: exp.Expr, replacement: exp.Expr) -> None:
        node.replace(keep_type(node, replacement))
        self._changed = True

    # Values

    def _keep_nan(self, node: exp.Min | exp.Least) -> None:
        """Let NaN be the result of MIN and LEAST, if it is one of the values: then MAX and GREATEST are NaN."""
        whole = node.parent if isinstance(node.parent, exp.Window) and node.parent.this is node else node
        if isinstance(node.parent, exp.Filter) or not self._may_be_nan(node):
            return
        if isinstance(node, exp.Min):
            found: exp.Expr = exp.LogicalOr(this=_is_nan(node.this))
            largest: exp.Expr = exp.Max(this=node.this.copy())
        else:
            found = exp.or_(*(_is_nan(each) for each in (node.this, *node.expressions)))
            largest = exp.Greatest(**dict(node.copy().args))
        if whole is not node:
            found, largest = _over(found, whole), _over(largest, whole)
        self._replace(whole, exp.If(this=found, true=largest, false=whole.copy()))

    # Comparisons

    def _compare(self, node: exp.EQ | exp.NEQ) -> None:
        left, right = node.this, node.expression
        is_assignment = isinstance(node.parent, exp.Update) and node.arg_key == "expressions"
        if is_assignment or not self._concerns(left, right):
            return
        checked = left
        join = node.find_ancestor(exp.Join, exp.Select)
        if isinstance(join, exp.Join):
            # A condition on the left side alone would let DuckDB compare each row with each.
            inner = not join.args.get("side")
            sides = [each for each in (left, right) if _is_of(each, join)]
            if not inner and (str(join.args["side"]).upper() != "LEFT" or len(sides) != 1):
                return
            checked = sides[0] if sides else left
        if isinstance(node, exp.EQ):
            self._replace(node, exp.Paren(this=exp.And(this=node.copy(), expression=exp.Not(this=_is_nan(checked)))))
            return
        both = exp.And(this=_is_nan(left), expression=_is_nan(right))
        self._replace(node, exp.Paren(this=exp.Or(this=node.copy(), expression=exp.Paren(this=both))))

    def _order(self, node: exp.Expr) -> None:
        """Call a macro for ``a > b``. ``adjustments`` does so for comparisons with a number."""
        left, right = node.this, node.expression
        if not self._concerns(left, right) or isinstance(node.find_ancestor(exp.Join, exp.Select), exp.Join):
            return
        if isinstance(node, (exp.LT, exp.LTE)):
            left, right = right, left
        name = "_exceeds" if isinstance(node, (exp.GT, exp.LT)) else "_reaches"
        self._replace(node, exp.Anonymous(this=name, expressions=[left.copy(), right.copy()]))

    def _limit(self, node: exp.Between) -> None:
        """Split BETWEEN if a limit may be NaN. DuckDB's result for a value that is NaN is right."""
        value, low, high = node.this, node.args["low"], node.args["high"]
        if not (self._may_be_nan(low) or self._may_be_nan(high)) or value.find(exp.Query) is not None:
            return
        if not isinstance(node.find_ancestor(exp.Join, exp.Select), exp.Join):
            reached = [
                exp.Anonymous(this="_reaches", expressions=[a.copy(), b.copy()])
                for a, b in pairwise((high, value, low))
            ]
            self._replace(node, exp.Paren(this=exp.and_(*reached)))

    def _look_up(self, node: exp.In) -> None:
        if self._may_be_nan(node.this):
            self._replace(node, exp.Paren(this=exp.And(this=node.copy(), expression=exp.Not(this=_is_nan(node.this)))))

    def _concerns(self, left: exp.Expr, right: exp.Expr) -> bool:
        literal = isinstance(left, (exp.Literal, exp.Null)) or isinstance(right, (exp.Literal, exp.Null))
        number = is_number(left) or is_number(right)
        constant = isinstance(left, exp.Cast) or isinstance(right, exp.Cast)
        if (literal or number) and not constant:
            return False
        return self._may_be_nan(left) or self._may_be_nan(right)

    # ORDER BY

    def _sort(self, order: exp.Order) -> None:
        query = order.parent
        if isinstance(query, exp.Select) and query.args.get("distinct") is None:
            named = {each.alias.lower(): each.this for each in query.expressions if isinstance(each, exp.Alias)}
            places = list(query.expressions)
        elif isinstance(query, exp.Query):
            return  # the keys of a set operation and of DISTINCT must be columns
        else:
            named, places = {}, []
            distinct = order.this is not None and order.this.find(exp.Distinct) is not None
            spec = query.args.get("spec") if isinstance(query, exp.Window) else None
            if distinct or (spec is not None and str(spec.args.get("kind")).upper() == "RANGE"):
                return
        keys: list[exp.Expr] = []
        for key in order.expressions:
            value = _meant(key.this, named, places) if isinstance(key, exp.Ordered) else None
            if isinstance(key, exp.Ordered) and value is not None and self._may_be_nan(value):
                keys.append(_nan_key(key, value))
            keys.append(key)
        if len(keys) > len(order.expressions):
            order.set("expressions", keys)
            self._changed = True


def _nan_key(key: exp.Ordered, value: exp.Expr) -> exp.Ordered:
    """Return a key that sorts NaN before all numbers, and NULL where ``key`` sorts it."""
    descending = bool(key.args.get("desc"))
    first = key.args.get("nulls_first")
    usual = first is None or bool(first) is not descending
    rank = _call("_nan_rank" if usual else "_nan_rank_nulls_last", value)
    return exp.Ordered(this=rank, desc=descending, nulls_first=not descending)


def _meant(value: exp.Expr, named: dict[str, exp.Expr], places: list[exp.Expr]) -> exp.Expr | None:
    """Return the expression that a key of ORDER BY names by its alias or its place."""
    if isinstance(value, exp.Literal) and not value.is_string:
        place = int(value.name) if value.name.isdigit() else 0
        before = places[: max(place, 0)]
        return before[-1].unalias() if len(before) == place and place and not any(e.is_star for e in before) else None
    if isinstance(value, exp.Column) and not value.table and value.name.lower() in named:
        return named[value.name.lower()]
    return value


def _is_nan(value: exp.Expr) -> exp.Anonymous:
    return _call("_is_nan", value)


def _call(macro: str, value: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=macro, expressions=[value.copy()])


def _over(function: exp.Expr, window: exp.Expr) -> exp.Expr:
    """Return a function over the same window as another one."""
    other = window.copy()
    other.set("this", function)
    return other


def _is_of(value: exp.Expr, join: exp.Join) -> bool:
    """Return whether all columns of a value are those of the joined table."""
    columns = list(value.find_all(exp.Column))
    return bool(columns) and all(column.table.lower() == join.alias_or_name.lower() for column in columns)
