"""Gives a STRUCT the names of its target by position, as GoogleSQL does. DuckDB matches the fields of STRUCTs by name.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#struct_type
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft

# The call that stands for a coercion until the translation, with the type of the target as a text.
COERCION = "_by_position"


def by_position(value: exp.Expr, target: exp.DataType | None) -> exp.Expr:
    """Return a value that is coerced to a type by position; the value itself if the type has no STRUCT."""
    if target is None or not has_struct(target) or _is_nameless(value):
        return value
    kind = exp.Literal.string(target.sql(dialect="bigquery"))
    return exp.Anonymous(this=COERCION, expressions=[value.copy(), kind])


def target_of(value: exp.Expr) -> exp.DataType | None:
    """Return the type to which ``by_position`` has coerced a value; None for any other value."""
    if not isinstance(value, exp.Anonymous) or value.name != COERCION:
        return None
    return exp.DataType.build(value.expressions[1].name, dialect="bigquery")


def has_struct(kind: exp.DataType) -> bool:
    """Return whether a type is or has a STRUCT."""
    return any(each.this == exp.DType.STRUCT for each in kind.find_all(exp.DataType))


def fields_of(kind: exp.DataType) -> list[tuple[str, exp.DataType]]:
    """Return the names of the fields of a STRUCT, which may be empty, and their types; none for another type."""
    if kind.this != exp.DType.STRUCT:
        return []
    return [
        (each.name, each.args["kind"]) if isinstance(each, exp.ColumnDef) else ("", each) for each in kind.expressions
    ]


def query_by_position(query: exp.Expr, targets: Sequence[exp.DataType | None]) -> bool:
    """Coerce the columns of a query, in place; return False if their expressions are not all written (``*``)."""
    return change_columns(query, [partial(by_position, target=target) for target in targets])


def change_columns(query: exp.Expr, changes: Sequence[Callable[[exp.Expr], exp.Expr]]) -> bool:
    """Change the columns of a query, in place; return False if their expressions are not all written (``*``)."""
    if isinstance(query, exp.SetOperation):
        return change_columns(query.this, changes) and change_columns(query.expression, changes)
    if isinstance(query, exp.Subquery):
        return change_columns(query.this, changes)
    if not isinstance(query, exp.Select) or query.args.get("kind") or len(query.expressions) != len(changes):
        return False
    if any(projection.is_star for projection in query.expressions):
        return False
    columns = []
    for projection, change in zip(query.expressions, changes, strict=True):
        value = projection.unalias()
        changed = change(value)
        name = projection.alias_or_name
        columns.append(projection if changed is value else exp.alias_(changed, name, quoted=True) if name else changed)
    query.set("expressions", columns)
    return True


def carry_out_coercions(draft: Draft) -> None:
    """Put DuckDB's functions in place of the coercions of a statement of GoogleSQL."""
    tree = draft.tree if COERCION in draft.text else None
    if tree is None:
        return
    calls = [each for each in tree.find_all(exp.Anonymous) if each.name == COERCION]
    for call in reversed(calls):
        value, kind = call.expressions
        call.replace(coerced_by_position(value, exp.DataType.build(kind.name, dialect="bigquery")))
    draft.changed(tree)


def coerced_by_position(value: exp.Expr, target: exp.DataType) -> exp.Expr:
    """Return the value with STRUCTs without names, which a cast to the target converts by position."""
    return _coerced(value.copy(), target, 0)


def _is_nameless(value: exp.Expr) -> bool:
    """Return whether a value is NULL, DEFAULT, or a constructor without names, which DuckDB takes by position."""
    match value:
        case exp.Tuple() | exp.Array() | exp.Paren():
            return all(_is_nameless(each) for each in value.iter_expressions())
        case exp.Column():
            return value.sql() == "DEFAULT"
    return isinstance(value, (exp.Null, exp.Literal, exp.Boolean))


def _coerced(value: exp.Expr, target: exp.DataType, depth: int) -> exp.Expr:
    """Return the value with STRUCTs without names, which DuckDB converts by position."""
    if not has_struct(target):
        return value
    element = exp.to_identifier(f"_element_{depth}")
    if target.this == exp.DType.ARRAY:
        return _for_each(value, element, _coerced(element.copy(), target.expressions[0], depth + 1))
    kinds = [kind for _, kind in fields_of(target)]
    if not any(has_struct(kind) for kind in kinds):
        return exp.Anonymous(this="struct_values", expressions=[value])
    fields = [
        _coerced(_call("struct_extract_at", element.copy(), exp.Literal.number(number)), kind, depth + 1)
        for number, kind in enumerate(kinds, 1)
    ]
    missing = exp.Is(this=element.copy(), expression=exp.Null())
    whole = exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=_call("row", *fields))
    # The value is in a list of its own, so that it is computed once.
    return _call("list_extract", _for_each(_call("list_value", value), element, whole), exp.Literal.number(1))


def _for_each(values: exp.Expr, element: exp.Identifier, result: exp.Expr) -> exp.Expr:
    return _call("list_transform", values, exp.Lambda(this=result, expressions=[element]))


def _call(name: str, *arguments: exp.Expr) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))
