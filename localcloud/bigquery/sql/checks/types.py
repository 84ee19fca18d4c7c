"""Rejects values of types that GoogleSQL does not convert by itself, but DuckDB does.

Only types that sqlglot knows are checked: those of columns, literals, casts and many functions.
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.coercions import not_comparable
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.tokens import position, tokens
from localcloud.bigquery.sql.reading.types import columns_of, whole_type_of

_COMPARISONS = {exp.EQ: "=", exp.NEQ: "!=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<="}
_CONDITIONS = {exp.Where: "WHERE clause", exp.Having: "HAVING clause", exp.Qualify: "QUALIFY clause"}
_CONNECTORS = {exp.And: "AND", exp.Or: "OR", exp.Not: "NOT"}
# Functions whose arguments have one type.
_ALIKE = {exp.Coalesce: "COALESCE", exp.Nullif: "NULLIF", exp.Greatest: "GREATEST", exp.Least: "LEAST"}
_NUMBERS = frozenset({"INT64", "FLOAT64", "NUMERIC", "BIGNUMERIC"})
_TEXTS = frozenset({"STRING", "BYTES"})
# Functions whose first argument has one of these types.
_FIRST_ARGUMENTS = {
    exp.Length: ("LENGTH", _TEXTS),
    exp.Lower: ("LOWER", _TEXTS),
    exp.Upper: ("UPPER", _TEXTS),
    exp.Substring: ("SUBSTR", _TEXTS),
    exp.Split: ("SPLIT", _TEXTS),
    exp.GroupConcat: ("STRING_AGG", _TEXTS),
    exp.RegexpLike: ("REGEXP_CONTAINS", _TEXTS),
    exp.RegexpExtract: ("REGEXP_EXTRACT", _TEXTS),
    exp.RegexpReplace: ("REGEXP_REPLACE", _TEXTS),
    exp.Left: ("LEFT", _TEXTS),
    exp.Right: ("RIGHT", _TEXTS),
    exp.Pad: ("RPAD", _TEXTS),
    exp.Repeat: ("REPEAT", _TEXTS),
    exp.Replace: ("REPLACE", _TEXTS),
    exp.Reverse: ("REVERSE", _TEXTS),
    exp.StartsWith: ("STARTS_WITH", _TEXTS),
    exp.EndsWith: ("ENDS_WITH", _TEXTS),
    exp.StrPosition: ("STRPOS", _TEXTS),
    exp.Initcap: ("INITCAP", frozenset({"STRING"})),
    exp.Soundex: ("SOUNDEX", frozenset({"STRING"})),
    exp.Abs: ("ABS", _NUMBERS),
    exp.Ceil: ("CEIL", _NUMBERS),
    exp.Floor: ("FLOOR", _NUMBERS),
    exp.Round: ("ROUND", _NUMBERS),
    exp.Trunc: ("TRUNC", _NUMBERS),
    exp.Sqrt: ("SQRT", _NUMBERS),
    exp.Mod: ("MOD", _NUMBERS - {"FLOAT64"}),
    exp.IntDiv: ("DIV", _NUMBERS - {"FLOAT64"}),
    exp.Sum: ("SUM", _NUMBERS | {"INTERVAL"}),
    exp.Avg: ("AVG", _NUMBERS | {"INTERVAL"}),
    exp.CountIf: ("COUNTIF", frozenset({"BOOL"})),
    exp.LogicalAnd: ("LOGICAL_AND", frozenset({"BOOL"})),
    exp.LogicalOr: ("LOGICAL_OR", frozenset({"BOOL"})),
}
# What a literal of a STRING may stand for.
_LITERALS = frozenset({"BYTES", "DATE", "DATETIME", "TIME", "TIMESTAMP", "INTERVAL", "RANGE"})
_TIMES = frozenset({"DATE", "DATETIME", "TIMESTAMP"})
# The types to which a value can be cast, beside its own and STRING.
# https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#conversion_table
_CASTS = {
    "INT64": _NUMBERS | {"BOOL"},
    "FLOAT64": _NUMBERS,
    "NUMERIC": _NUMBERS,
    "BIGNUMERIC": _NUMBERS,
    "BOOL": frozenset({"INT64"}),
    "BYTES": frozenset(),
    "DATE": _TIMES,
    "DATETIME": _TIMES | {"TIME"},
    "TIME": frozenset(),
    "TIMESTAMP": _TIMES | {"TIME"},
}
_SETS_OF_KEYS = ("rollup", "cube", "grouping_sets")
_NOT_GROUPED = frozenset({"GEOGRAPHY", "JSON"})
_PARTS_OF_DAYS = frozenset({"HOUR", "MINUTE", "SECOND", "MILLISECOND", "MICROSECOND"})
_CHECKED: tuple[Any, ...] = (*_COMPARISONS, *_CONDITIONS, *_CONNECTORS, *_ALIKE, *_FIRST_ARGUMENTS)
_CHECKED += (
    exp.Array,
    exp.Between,
    exp.Case,
    exp.Cast,
    exp.Distinct,
    exp.Extract,
    exp.Group,
    exp.If,
    exp.In,
    exp.Join,
    exp.Like,
    exp.SetOperation,
    exp.TryCast,
    exp.Window,
)


def reject_wrong_types(draft: Draft) -> None:
    """Reject a statement of GoogleSQL with operands or arguments of types that do not go together.

    Raises:
        QueryError: An operator, a function, a clause or a cast has a value of a wrong type.
    """
    checked = list(draft.tree.find_all(*_CHECKED)) if draft.tree is not None else []
    if not checked or not draft.mark_types():
        return
    for node in checked:
        message = _comparison(node, draft.text) or _problem(node)
        if message is not None:
            raise QueryError(message, location="query")


def _extraction(node: exp.Extract) -> str | None:
    part = node.this.name.upper()
    if part in _PARTS_OF_DAYS and _name(node.expression) == "DATE":
        return f"EXTRACT from DATE does not support the {part} date part"
    return None


def _comparison(node: exp.Expr, sql: str) -> str | None:
    """Return what is wrong with a comparison, with the place of the first operator of its kind."""
    operator = next((text for kind, text in _COMPARISONS.items() if isinstance(node, kind)), None)
    if operator is None or _alike((node.this, node.expression)):
        return None
    start = next((token.start for token in tokens(sql) if token.kind == "symbol" and token.text in (operator, "<>")), 0)
    return not_comparable(operator, (_shown(node.this), _shown(node.expression)), position(sql, start))


def _problem(node: exp.Expr) -> str | None:
    kind: Any = type(node)
    if isinstance(node, exp.SetOperation):
        return _set_operation(node)
    if isinstance(node, exp.Cast):
        return _cast(node)
    if isinstance(node, exp.Extract):
        return _extraction(node)
    if isinstance(node, exp.Window):
        return _window(node)
    if isinstance(node, (exp.Distinct, exp.Group)):
        return _grouping(node)
    if kind in _CONDITIONS or isinstance(node, exp.Join):
        condition = node.args.get("on") if isinstance(node, exp.Join) else node.this
        if (name := _name(condition)) not in (None, "BOOL"):
            clause = "JOIN ON clause" if isinstance(node, exp.Join) else _CONDITIONS[kind]
            return f"{clause} should return type BOOL, but returns {name}"
    if kind in _CONNECTORS and any(_name(each) not in (None, "BOOL") for each in node.iter_expressions()):
        return _signature(f"operator {_CONNECTORS[kind]}", node.iter_expressions())
    if isinstance(node, exp.In) and not all(_alike((node.this, each)) for each in node.expressions):
        return f"No matching signature for operator IN for argument types {_shown(node.this)} and {{{_list(node.expressions)}}}"
    if isinstance(node, exp.Between):
        return _unless_alike("operator BETWEEN", (node.this, node.args["low"], node.args["high"]))
    if kind in _ALIKE:
        return _unless_alike(f"function {_ALIKE[kind]}", [each for each in node.iter_expressions() if each is not None])
    if isinstance(node, exp.Like) and not isinstance(node.expression, (exp.Any, exp.All)):
        sides = (node.this, node.expression)
        return None if all(_name(side) in (None, *_TEXTS) for side in sides) else _signature("operator LIKE", sides)
    if isinstance(node, exp.Array) and not _alike(node.expressions):
        return f"Array elements of types {{{_list(node.expressions)}}} do not have a common supertype"
    if kind in _FIRST_ARGUMENTS:
        name, accepted = _FIRST_ARGUMENTS[kind]
        name = "LPAD" if node.args.get("is_left") else name
        value = node.this.this if isinstance(node.this, (exp.Order, exp.Limit)) else node.this
        if (given := _name(value)) is not None and given not in accepted:
            what = "aggregate function" if isinstance(node, exp.AggFunc) else "function"
            return f"No matching signature for {what} {name} for argument types: {given}"
    return _choice(node)


def _choice(node: exp.Expr) -> str | None:
    """Return what is wrong with an IF or a CASE."""
    if isinstance(node, exp.If) and not isinstance(node.parent, exp.Case):
        values = [node.args["true"], *filter(None, [node.args.get("false")])]
        if _name(node.this) not in (None, "BOOL") or not _alike(values):
            return _signature("function IF", (node.this, *values))
    if isinstance(node, exp.Case):
        results = [each.args["true"] for each in node.args["ifs"]] + list(filter(None, [node.args.get("default")]))
        conditions = [each.this for each in node.args["ifs"]]
        what = "No matching signature for operator CASE; all"
        if not _alike(results):
            return f"{what} THEN/ELSE arguments must be coercible to a common type but found: {_list(results)}"
        if node.this is None and any(_name(each) not in (None, "BOOL") for each in conditions):
            return f"{what} WHEN argument types must be BOOL but found: {_list(conditions)}"
    return None


def _set_operation(node: exp.SetOperation) -> str | None:
    if node.args.get("by_name"):
        return None
    sides = [side.unnest() for side in (node.this, node.expression)]
    columns = [_columns(side) for side in sides]
    if not all(columns) or len(columns[0]) != len(columns[1]):
        return None
    what = f"{node.key.upper()}{' DISTINCT' if node.args.get('distinct') else ' ALL'}"
    for number, (left, right) in enumerate(zip(*columns, strict=True), 1):
        if not _alike((left, right)):
            return f"Column {number} in {what} has incompatible types: {_list((left, right))}"
    return None


def _columns(query: exp.Expr) -> list[exp.Expr]:
    """Return the columns of a query; none if they are not known. A literal stands for itself."""
    if not isinstance(query, exp.Select) or query.args.get("kind"):
        return []
    if any(each.is_star for each in query.expressions):
        return [] if query.find(exp.Pivot) is not None else list(columns_of(query) or [])
    found = columns_of(query)
    values = [each.unalias() for each in query.expressions]
    if found is None or len(found) != len(values):
        return [each if isinstance(each, (exp.Literal, exp.Boolean)) else exp.Null() for each in values]
    return [
        value if isinstance(value, exp.Null) or (isinstance(value, exp.Literal) and value.is_string) else column
        for value, column in zip(values, found, strict=True)
    ]


def _grouping(node: exp.Distinct | exp.Group) -> str | None:
    """Return what is wrong with the types of GROUP BY, of SELECT DISTINCT, or of an aggregate function with DISTINCT.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#groupable_data_types
    """
    query = node.parent
    if isinstance(node, exp.Group):
        kind = next(_not_grouped(_keys(node, query.expressions if isinstance(query, exp.Select) else [])), None)
        return None if kind is None else f"Grouping by expressions of type {kind} is not allowed"
    if isinstance(query, exp.Select):
        kind = next(_not_grouped(_columns(query)), None)
        return None if kind is None else f"A column of type {kind} cannot be used in SELECT DISTINCT"
    kind = next(_not_grouped(node.expressions), None)
    return None if kind is None else f"Aggregate functions with DISTINCT cannot be used with arguments of type {kind}"


def _keys(group: exp.Expr, columns: Sequence[exp.Expr]) -> Iterator[exp.Expr]:
    """Yield the expressions that a query with these columns is grouped by, for keys that are their numbers or aliases, too."""
    if group.args.get("all"):
        yield from (each.unalias() for each in columns if each.find(exp.AggFunc) is None)
    for key in [*group.expressions, *(each for kind in _SETS_OF_KEYS for each in group.args.get(kind) or ())]:
        if isinstance(key, (exp.Rollup, exp.Cube, exp.GroupingSets, exp.Tuple)):
            yield from _keys(key, columns)
        elif isinstance(key, exp.Literal) and key.is_int and 0 < int(key.name) <= len(columns):
            yield columns[int(key.name) - 1].unalias()
        else:
            aliased = (each.this for each in columns if isinstance(each, exp.Alias) and key.sql() == each.alias)
            yield next(aliased, key)


def _not_grouped(values: Iterable[exp.Expr]) -> Iterator[str]:
    """Yield the types of values that BigQuery does not group by."""
    for value in values:
        kind = whole_type_of(value)
        if kind is not None and (name := kind.sql(dialect="bigquery")) in _NOT_GROUPED:
            yield name


def _window(node: exp.Window) -> str | None:
    """Return what is wrong with the types of a window.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/window-function-calls#window_frame_clause
    """
    keys = node.args.get("partition_by") or ()
    if any(_name(each) == "FLOAT64" for each in keys):
        return "Partitioning by expressions of type FLOAT64 is not allowed"
    if (given := next(_not_grouped(keys), None)) is not None:
        return f"Partitioning by expressions of type {given} is not allowed"
    frame, order = node.args.get("spec"), node.args.get("order")
    if frame is None or order is None or frame.args.get("kind") != "RANGE":
        return None
    bounds = [each for key in ("start", "end") if isinstance(each := frame.args.get(key), exp.Expr)]
    if not bounds:
        return None
    key = _name(order.expressions[0].this)
    if key is not None and key not in _NUMBERS:
        return (
            "ORDER BY key must be numeric in a RANGE-based window with OFFSET PRECEDING or OFFSET FOLLOWING boundaries, but "
            f"has type {key}"
        )
    if key == "INT64" and any(isinstance(bound, exp.Literal) and not bound.is_int for bound in bounds):
        return (
            "Window framing expression has type FLOAT64 that cannot coerce to the type of the ORDER BY expression, which is "
            "INT64"
        )
    return None


def _cast(node: exp.Cast) -> str | None:
    given, target = _name(node.this), _named(node.to)
    if given is None or target is None or target in (given, "STRING") or node.args.get("format"):
        return None
    allowed = _CASTS.get(given)
    if allowed is None or target in allowed:
        return None
    return f"Invalid cast from {given} to {target}"


def _unless_alike(what: str, values: Iterable[exp.Expr]) -> str | None:
    values = list(values)
    return None if _alike(values) else _signature(what, values)


def _alike(values: Iterable[exp.Expr]) -> bool:
    """Return whether the values whose types are known have one type, or types that GoogleSQL coerces to one."""
    known = [(each, name) for each in values if (name := _name(each)) is not None]
    return all(_go_together(*left, *right) for left, right in pairwise(known))


def _go_together(left: exp.Expr, left_name: str, right: exp.Expr, right_name: str) -> bool:
    if (
        left_name == right_name
        or {left_name, right_name} <= _NUMBERS
        or {left_name, right_name} <= {"DATE", "DATETIME"}
    ):
        return True
    if left_name == "STRING" and right_name in _LITERALS:
        return isinstance(left, exp.Literal)
    return right_name == "STRING" and left_name in _LITERALS and isinstance(right, exp.Literal)


def _signature(what: str, values: Iterable[exp.Expr]) -> str:
    return f"No matching signature for {what} for argument types: {_list(values)}"


def _list(values: Iterable[exp.Expr]) -> str:
    return ", ".join(_shown(each) for each in values)


def _shown(value: exp.Expr) -> str:
    kind = whole_type_of(value)
    return "NULL" if kind is None else kind.sql(dialect="bigquery")


def _name(value: exp.Expr | None) -> str | None:
    """Return the name of a value's type in GoogleSQL, without parameters; None if it is not known or not a scalar."""
    if value is None or isinstance(value, (exp.Null, exp.Parameter, exp.Placeholder)):
        return None
    kind = whole_type_of(value)
    return None if kind is None else _named(kind)


def _named(kind: exp.DataType) -> str | None:
    name = kind.sql(dialect="bigquery").partition("(")[0]
    return name if name in _CASTS or name == "STRING" else None
