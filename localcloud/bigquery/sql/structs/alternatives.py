"""Gives one set of names to the STRUCTs of which a statement takes one, or that it compares, as GoogleSQL does.

The fields correspond by position, and the first STRUCT has the names: in set operations, in the elements of an array, and in
CASE, IF and COALESCE. DuckDB makes a STRUCT with the fields of all of them, and takes other names for another value.
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#supertypes
https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#set_operators
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import exp

from localcloud.bigquery.sql.reading.tokens import parsed
from localcloud.bigquery.sql.structs.positions import by_position

_MAY_CONCERN = re.compile(r"\bSTRUCT\b", re.IGNORECASE)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.In)
_CHOICES = (exp.SetOperation, exp.Array, exp.Case, exp.If, exp.Coalesce)


def with_alternatives(sql: str) -> str:
    """Return one statement of GoogleSQL in which STRUCTs correspond by position."""
    tree = parsed(sql) if _MAY_CONCERN.search(sql) is not None else None
    if tree is None:
        return sql
    changed = False
    for node in reversed(list(tree.find_all(*_COMPARISONS))):
        if not isinstance(node.parent, exp.Update):  # an assignment
            changed = _compare(node) or changed
    for choice in reversed(list(tree.find_all(*_CHOICES))):
        for values in _alternatives(choice):
            changed = _unite(values) or changed
    return tree.sql(dialect="bigquery") if changed else sql


def _compare(node: exp.Expr) -> bool:
    """Take the names from the constructors on both sides of a comparison."""
    operands = [node.this, *node.expressions] if isinstance(node, exp.In) else [node.this, node.expression]
    coerced = [_replace(operand, type_of(operand)) for operand in operands]
    return any(coerced)


def _unite(values: Sequence[exp.Expr]) -> bool:
    """Give the names of the first value to the others."""
    present = [value for value in values if not isinstance(value, exp.Null)]
    if len(present) < 2:
        return False
    target = type_of(present[0])
    changed = False
    for value in present[1:]:
        own = type_of(value)
        if own is not None and target is not None and own.sql() == target.sql():
            continue
        changed = (target is not None and _rename(value, target)) or _replace(value, target or own) or changed
    return changed


def _rename(value: exp.Expr, target: exp.DataType) -> bool:
    """Give the names of a type to a constructor of a STRUCT; return False for any other value."""
    if not isinstance(value, exp.Struct) or len(value.expressions) != len(target.expressions):
        return False
    fields = []
    for each, field in zip(value.expressions, target.expressions, strict=True):
        _, inner = _field(each)
        if not _rename(inner, field.args["kind"]):
            inner = by_position(inner, field.args["kind"])
        fields.append(exp.PropertyEQ(this=field.this.copy(), expression=inner.copy()))
    value.set("expressions", fields)
    return True


def _replace(value: exp.Expr, target: exp.DataType | None) -> bool:
    coerced = by_position(value, target)
    if coerced is not value:
        value.replace(coerced)
    return coerced is not value


def _alternatives(node: exp.Expr) -> Iterator[Sequence[exp.Expr]]:
    """Yield the values that get one type."""
    match node:
        case exp.SetOperation() if not isinstance(node.parent, exp.SetOperation):
            yield from _columns(list(_branches(node)))
        case exp.Array() if not isinstance(node.expressions[0] if node.expressions else None, exp.Query):
            yield node.expressions
        case exp.Case():
            results = [branch.args["true"] for branch in node.args["ifs"]]
            yield [*results, node.args["default"]] if node.args.get("default") else results
        case exp.If() if not isinstance(node.parent, exp.Case) and node.args.get("false"):
            yield [node.args["true"], node.args["false"]]
        case exp.Coalesce():
            yield [node.this, *node.expressions]


def _branches(query: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(query, exp.SetOperation):
        yield from _branches(query.this)
        yield from _branches(query.expression)
    elif isinstance(query, exp.Subquery):
        yield from _branches(query.this)
    else:
        yield query


def _columns(branches: list[exp.Expr]) -> Iterator[Sequence[exp.Expr]]:
    """Yield the values of each column of a set operation."""
    selects = [branch for branch in branches if isinstance(branch, exp.Select)]
    if len(selects) != len(branches) or len({len(select.expressions) for select in selects}) != 1:
        return
    if any(projection.is_star for select in selects for projection in select.expressions):
        return
    for values in zip(*(select.expressions for select in selects), strict=True):
        yield [value.unalias() for value in values]


def type_of(value: exp.Expr) -> exp.DataType | None:
    """Return the type of a constructor of STRUCTs with names; None for any other value."""
    match value:
        case exp.Paren():
            return type_of(value.this)
        case exp.Cast() if value.to.find(exp.ColumnDef) is not None:
            return value.to
        case exp.Struct():
            return _struct([_field(each) for each in value.expressions])
        case exp.Array():
            return _array(value)
    return None


def _array(value: exp.Array) -> exp.DataType | None:
    first = next((each for each in value.expressions if not isinstance(each, exp.Null)), None)
    element = None if first is None else type_of(first)
    if isinstance(first, exp.Select) and first.args.get("kind") == "STRUCT":
        element = _struct([(each.alias_or_name, each.unalias()) for each in first.expressions])
    return None if element is None else exp.DataType(this=exp.DType.ARRAY, expressions=[element], nested=True)


def _field(written: exp.Expr) -> tuple[str, exp.Expr]:
    """Return the name of a field in a constructor, which may be empty, and its value."""
    if isinstance(written, exp.PropertyEQ):
        return written.this.name, written.expression
    return written.alias, written.unalias()


def _struct(fields: list[tuple[str, exp.Expr]]) -> exp.DataType | None:
    """Return the type of a STRUCT, in which fields of other types count as INT64; None if a field has no name."""
    if not all(name and not value.is_star for name, value in fields):
        return None
    number = exp.DataType.build("INT64", dialect="bigquery")
    columns = [
        exp.ColumnDef(this=exp.to_identifier(name, quoted=True), kind=type_of(value) or number.copy())
        for name, value in fields
    ]
    return exp.DataType(this=exp.DType.STRUCT, expressions=columns, nested=True)
