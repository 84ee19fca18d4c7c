"""Rewrites GoogleSQL that DuckDB does not have or takes for something else: PIVOT, QUALIFY, MOD, DIV."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import is_number, is_text
from localcloud.bigquery.sql.reading.draft import Draft

_MAY_CONCERN = re.compile(
    r"\b(?:(?:UN)?PIVOT|QUALIFY|MOD|DIV|IGNORE\s+NULLS|(?:UNION|EXCEPT|INTERSECT)\s+(?:ALL|DISTINCT)|STRUCT\s*\()|[<>]\s*=?\s*[-\d.]|\d\s*<|(?:SELECT|[,\[(])\s*\(",
    re.IGNORECASE,
)
_ORDERS: tuple[type[exp.Expr], ...] = (exp.GT, exp.GTE, exp.LT, exp.LTE)

MACROS: tuple[str, ...] = (
    # DuckDB takes NaN for the largest number. The type is known when the statement is planned, so the test costs nothing.
    *(
        f"CREATE OR REPLACE MACRO {name}(a, b) AS CASE WHEN typeof(a) IN ('DOUBLE', 'FLOAT') THEN a {sign} b AND NOT isnan(a) "
        f"ELSE a {sign} b END"
        for name, sign in (("_exceeds", ">"), ("_reaches", ">="))
    ),
    "CREATE OR REPLACE MACRO _operands(a) AS format('{:g} / 0', a)",
)
"""The DuckDB macros that the rewritten SQL calls."""


def adjust(draft: Draft) -> None:
    """Give one statement of GoogleSQL a form whose meaning DuckDB keeps."""
    tree = draft.tree if _MAY_CONCERN.search(draft.text) is not None else None
    if tree is None:
        return
    changed = isinstance(tree, exp.Query) and _name_positions(tree)
    for united in list(tree.find_all(exp.SetOperation)):
        if (ordered := _ordered(united)) is not None:
            tree, changed = (ordered if united is tree else tree), True
            united.replace(ordered)
    for kinds, rewrite in _RULES:
        for node in reversed(list(tree.find_all(*kinds))):
            changed = rewrite(node) or changed
    compared = [_compare(node) for node in reversed(list(tree.find_all(*_ORDERS)))]
    if changed or any(compared):
        draft.changed(tree, keeps_types=not changed)


def _name_positions(tree: exp.Expr) -> bool:
    """Name the fields of the STRUCTs and tuples that a query returns ``_field_1`` and so on, as BigQuery's responses do."""
    changed = False
    for select in list(tree.find_all(exp.Select)):
        if _follows(select):
            continue  # the first query of a set operation gives the names
        for projection in select.expressions:
            value = projection.this if isinstance(projection, exp.Alias) else projection
            changed = name_position(value) or changed
    return changed


def _ordered(united: exp.SetOperation) -> exp.Select | None:
    """Return a query that orders a set operation by expressions, which DuckDB takes from a subquery only; None without any."""
    order = united.args.get("order")
    keys = [each.this for each in order.expressions] if order is not None else []
    if all(isinstance(key, exp.Literal) or (isinstance(key, exp.Column) and not key.table) for key in keys):
        return None
    inner = united.copy()
    outer = exp.select("*")
    for clause in ("with_", "order", "limit", "offset"):
        outer.set(clause, inner.args.get(clause))
        inner.set(clause, None)
    return outer.from_(inner.subquery("_united"))


def _follows(query: exp.Expr) -> bool:
    """Return whether a query is in a set operation, and not the first one."""
    while isinstance(query.parent, (exp.SetOperation, exp.Subquery)):
        if query.parent.args.get("expression") is query:
            return True
        query = query.parent
    return False


def name_position(value: exp.Expr) -> bool:
    """Name the fields of a STRUCT or tuple without names, and of those in it; return whether there is one."""
    if isinstance(value, exp.Array):
        named = [name_position(each) for each in list(value.expressions)]
        return any(named)
    if not isinstance(value, (exp.Tuple, exp.Struct)) or not value.expressions:
        return False
    if any(isinstance(each, (exp.PropertyEQ, exp.Alias)) for each in value.expressions):
        return False
    for each in list(value.expressions):
        name_position(each)
    fields = [
        exp.PropertyEQ(this=exp.to_identifier(f"_field_{number}"), expression=each.copy())
        for number, each in enumerate(value.expressions, 1)
    ]
    value.replace(exp.Struct(expressions=fields))
    return True


def _compare(node: exp.Expr) -> bool:
    """Call a macro for a comparison with a number that NaN does not meet in GoogleSQL, but does in DuckDB."""
    value, number = node.this, node.expression
    if isinstance(node, (exp.LT, exp.LTE)):
        value, number = number, value
    if not is_number(number) or is_number(value) or value.find(exp.Query) is not None:
        return False
    node.replace(_call("_exceeds" if isinstance(node, (exp.GT, exp.LT)) else "_reaches", value, number))
    return True


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _check_divisor(node: exp.Expr) -> bool:
    """Call a macro that reports a divisor of 0, for which DuckDB returns NULL."""
    divisor = node.expression
    nonzero = isinstance(divisor, exp.Literal) and not divisor.is_string and float(divisor.name) != 0
    if nonzero and isinstance(node, exp.Mod):
        return False
    node.replace(_call("_modulo" if isinstance(node, exp.Mod) else "_quotient", _bare(node.this), _bare(divisor)))
    return True


def _bare(node: exp.Expr) -> exp.Expr:
    return node.this if isinstance(node, exp.Paren) else node


def _ignore_nulls(node: exp.Expr) -> bool:
    """Filter the NULLs of ``ARRAY_AGG(DISTINCT x IGNORE NULLS)``."""
    aggregate = node.this
    if not isinstance(aggregate, exp.ArrayAgg):
        return False
    operand, limit = aggregate.this, None
    if isinstance(operand, exp.Limit):
        limit, operand = operand.expression, operand.this
        aggregate = exp.ArrayAgg(this=operand.copy())
    value = operand.this if isinstance(operand, exp.Order) else operand
    value = value.expressions[0] if isinstance(value, exp.Distinct) and value.expressions else value
    present = exp.Where(this=exp.Not(this=exp.Is(this=exp.Paren(this=value.copy()), expression=exp.Null())))
    result: exp.Expr = exp.Filter(this=aggregate.copy(), expression=present)
    if limit is not None:
        last = exp.Sub(this=limit.copy(), expression=exp.Literal.number(1))
        result = exp.Anonymous(this="_array_slice", expressions=[result, exp.Literal.number(0), last])
    node.replace(result)
    return True


def _expand_aliases(node: exp.Expr) -> bool:
    """Replace the aliases in QUALIFY, which DuckDB does not find inside a window."""
    select = node.parent
    if not isinstance(select, exp.Select):
        return False
    aliased = {each.alias.lower(): each.this for each in select.expressions if isinstance(each, exp.Alias)}
    changed = False
    for column in list(node.find_all(exp.Column)):
        value = aliased.get(column.name.lower()) if not column.table else None
        within = column.find_ancestor(exp.Window, exp.Select)
        if value is None or not isinstance(within, exp.Window) or value.find(exp.Window) is not None:
            continue
        column.replace(exp.Paren(this=value.copy()))
        changed = True
    return changed


# PIVOT


def _aggregate(node: exp.Expr) -> bool:
    """Replace PIVOT by aggregates with filters, whose columns have BigQuery's names.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#pivot_operator

    Raises:
        QueryError: One of several aggregates has no alias, which would tell their columns apart.
    """
    source = node.parent
    fields = list(node.args.get("fields") or [])
    if source is None or node.args.get("unpivot") or len(fields) != 1 or not isinstance(fields[0], exp.In):
        return False
    if len(source.args.get("pivots") or ()) != 1 or not isinstance(source, (exp.Table, exp.Subquery)):
        return False
    value, choices = fields[0].this, fields[0].expressions
    if not choices:
        return False
    if len(node.expressions) > 1 and not all(isinstance(each, exp.Alias) for each in node.expressions):
        raise QueryError(
            "PIVOT expression must specify an alias unless it is the only pivot expression in the PIVOT clause"
        )
    used = {column.name.lower(): column.name for column in value.find_all(exp.Column)}
    results = []
    for choice in choices:
        literal, name = _choice(choice)
        for each in node.expressions:
            aggregate, prefix = (each.this, f"{each.alias}_") if isinstance(each, exp.Alias) else (each, "")
            used |= {column.name.lower(): column.name for column in aggregate.find_all(exp.Column)}
            matches: exp.Expr = exp.EQ(this=value.copy(), expression=literal.copy())
            if isinstance(literal, exp.Null):
                matches = exp.Is(this=value.copy(), expression=exp.Null())
            filtered = exp.Filter(this=aggregate.copy(), expression=exp.Where(this=matches))
            results.append(
                exp.alias_(filtered, f"{prefix}{name}" if prefix else _standing_alone(name, literal), quoted=True)
            )
    others = exp.Star(**{"except_": [exp.to_identifier(name, quoted=True) for name in used.values()]})
    alias = node.args.get("alias")
    rows = source.copy()
    rows.set("pivots", None)
    rows.set("joins", None)
    grouped = exp.Select().select(others, *results, copy=False).from_(rows, copy=False)
    grouped.set("group", exp.Group(all=True))
    replacement = grouped.subquery(alias.this.name if isinstance(alias, exp.TableAlias) and alias.this else None)
    replacement.set("joins", source.args.get("joins"))
    source.replace(replacement)
    return True


def _order_unpivoted(node: exp.Expr) -> bool:
    """Put the column of names behind the columns of values, where DuckDB puts it before them and makes texts of numbers.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unpivot_operator
    """
    source = node.parent
    fields = list(node.args.get("fields") or [])
    if not isinstance(source, (exp.Table, exp.Subquery)) or not node.args.get("unpivot") or len(fields) != 1:
        return False
    if len(source.args.get("pivots") or ()) != 1:
        return False
    alias = node.args.get("alias")
    rows = source.copy()
    rows.set("joins", None)
    rows.args["pivots"][0].set("alias", None)
    name = fields[0].this
    others = exp.Star(**{"except_": [name.copy()]})
    names: exp.Expr = exp.column(name.copy())
    if all(_is_integer(each.args.get("alias")) for each in fields[0].expressions):
        names = exp.alias_(exp.cast(names, "INT64", dialect="bigquery"), name.copy())
    ordered = exp.Select().select(others, names, copy=False).from_(rows, copy=False)
    replacement = ordered.subquery(alias.this.name if isinstance(alias, exp.TableAlias) and alias.this else None)
    replacement.set("joins", source.args.get("joins"))
    source.replace(replacement)
    return True


def _is_integer(alias: Any) -> bool:
    return isinstance(alias, exp.Literal) and not alias.is_string


def _choice(choice: exp.Expr) -> tuple[exp.Expr, str]:
    """Return a value of PIVOT's list and the name of its columns."""
    if isinstance(choice, (exp.PivotAlias, exp.Alias)):
        alias = choice.args["alias"]
        return choice.this, alias.name if isinstance(alias, exp.Expr) else str(alias)
    return choice, _name_of(choice)


def _standing_alone(name: str, value: exp.Expr) -> str:
    """Return the name of a column that does not begin with the name of its aggregate."""
    return f"_{name}" if name[:1].isdigit() and not is_text(value) else name


def _name_of(value: exp.Expr) -> str:
    """Return the name of the column for a value, behind that of its aggregate.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#rules_pivot_column

    Raises:
        QueryError: The value is an expression, which has no name.
    """
    if isinstance(value, exp.Null):
        return "NULL"
    if isinstance(value, exp.Boolean):
        return str(value.this).upper()
    if isinstance(value, exp.Neg):
        return f"minus_{_name_of(value.this)}"
    if isinstance(value, exp.Cast) and value.to.this == exp.DType.DATE:
        return str(value.this.name).replace("-", "_")
    if isinstance(value, exp.Cast) and is_text(value.this):
        value = exp.Literal.number(value.this.name)
    if not isinstance(value, exp.Literal):
        raise QueryError(
            "Generating an implicit alias for this PIVOT value is not supported; please provide an explicit alias"
        )
    return value.name if value.is_string else value.name.replace("-", "minus_").replace(".", "_point_")


_RULES: tuple[tuple[tuple[type[exp.Expr], ...], Callable[[exp.Expr], bool]], ...] = (
    ((exp.Pivot,), _aggregate),
    ((exp.Pivot,), _order_unpivoted),
    ((exp.Qualify,), _expand_aliases),
    ((exp.IgnoreNulls,), _ignore_nulls),
    ((exp.Mod, exp.IntDiv), _check_divisor),
)
