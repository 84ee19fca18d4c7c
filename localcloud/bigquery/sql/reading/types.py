"""Finds the types of the parts of a statement, as far as sqlglot knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.optimizer.annotate_types import TypeAnnotator, swap_all
from sqlglot.optimizer.qualify import qualify
from sqlglot.schema import ensure_schema

_MARK = "typed_as"
# A DATE and a number of days are a DATE.
_COERCIONS = {
    **TypeAnnotator.BINARY_COERCIONS,
    **swap_all({(exp.DType.DATE, exp.DType.BIGINT): lambda date, _: date.type}),
}


@dataclass(frozen=True)
class _Mark:
    """The type of a part, and the columns of a query. Copies of the part share it."""

    kind: exp.DataType | None = None
    columns: list[exp.Expr] | None = None

    def __deepcopy__(self, memo: object) -> _Mark:
        return self


def mark_types(
    tree: exp.Expr,
    schema: Mapping[str, Any] | None,
    dialect: str = "bigquery",
    parameters: Mapping[str, exp.DataType] | None = None,
) -> bool:
    """Mark the parts of a statement with their types, which ``type_of`` returns.

    Nothing else changes: the resolver of sqlglot, which changes names, gets a copy.

    Args:
        tree: The statement.
        schema: The types of the columns of its tables, in nested mappings whose innermost keys are columns; or None.
        dialect: The dialect of the statement; the types of the columns are those of GoogleSQL.
        parameters: The types of parameters by their names.

    Returns:
        Whether any type is known.
    """
    marked = [node for node in tree.walk() if not isinstance(node, exp.Identifier)]
    for number, node in enumerate(marked):
        _lasting(node).meta[_MARK] = number
    kinds: dict[Any, exp.DataType] = {}
    columns: dict[Any, list[exp.Expr]] = {}
    for each in _resolved(tree, _types(schema or {}), dialect, parameters or {}):
        place = each.meta.get(_MARK)
        if place is None:
            continue
        kind = (each.parent or each).type if isinstance(each, exp.Identifier) else each.type
        if isinstance(each, exp.Select):
            columns[place] = each.expressions
        if kind is not None and isinstance(kind.this, exp.DType):
            kinds[place] = kind
    for number, node in enumerate(marked):
        _lasting(node).meta.pop(_MARK, None)
        node.meta.pop(_MARK, None)
        if number in kinds or number in columns:
            node.meta[_MARK] = _Mark(kinds.get(number), columns.get(number))
    return bool(kinds)


def keep_type(node: exp.Expr, replacement: exp.Expr) -> exp.Expr:
    """Return the replacement of a part, marked with the type of the part."""
    if (mark := node.meta.get(_MARK)) is not None:
        replacement.meta[_MARK] = mark
    return replacement


def type_of(node: exp.Expr | None) -> exp.DType | None:
    """Return the type with which ``mark_types`` has marked a node, or None; of a STRUCT or an ARRAY only that it is one."""
    kind = whole_type_of(node)
    return None if kind is None else kind.this


def whole_type_of(node: exp.Expr | None) -> exp.DataType | None:
    """Return the type with which ``mark_types`` has marked a node, with its fields or its elements; or None."""
    mark = node.meta.get(_MARK) if node is not None else None
    return mark.kind if isinstance(mark, _Mark) else None


def _resolved(
    tree: exp.Expr, schema: dict[str, Any], dialect: str, parameters: Mapping[str, exp.DataType]
) -> Iterator[exp.Expr]:
    """Yield the parts of a copy of a statement, with their types."""
    # The resolver does not reach a query in an UNNEST.
    hidden = [query for unnest in tree.find_all(exp.Unnest) for query in unnest.find_all(exp.Query)]
    for part in (tree, *hidden):
        try:
            typed = _with_types(_as_query(_without_parameters(part.copy(), parameters)), schema, dialect)
        except Exception:  # sqlglot's resolver raises many kinds, such as for ORDER BY 3 with a star
            continue
        yield from typed.walk()


def columns_of(query: exp.Select) -> list[exp.Column] | None:
    """Return the columns of a query that ``mark_types`` has marked, with those that its stars stand for.

    Returns:
        Columns with the type that ``whole_type_of`` returns; None if a column is not known.
    """
    mark = query.meta.get(_MARK)
    found = mark.columns if isinstance(mark, _Mark) else None
    if not found or any(each.is_star or not each.alias_or_name for each in found):
        return None
    columns = []
    for each in found:
        column = exp.column(exp.to_identifier(each.alias_or_name, quoted=True))
        column.meta[_MARK] = _Mark(each.type)
        columns.append(column)
    return columns


def _without_parameters(tree: exp.Expr, types: Mapping[str, exp.DataType]) -> exp.Expr:
    """Return a tree with typed NULLs in place of its parameters, whose types the resolver does not know."""
    for parameter in tree.find_all(exp.Parameter) if types else ():
        if (kind := types.get(parameter.name)) is not None:
            value = exp.Cast(this=exp.null(), to=kind.copy())
            value.meta.update(parameter.meta)
            parameter.replace(value)
    return tree


def _types(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema with types in place of their names."""
    return {
        name: _types(kind) if isinstance(kind, Mapping) else exp.DataType.build(kind, dialect="bigquery")
        for name, kind in schema.items()
    }


def _lasting(node: exp.Expr) -> exp.Expr:
    """Return the part of a node that the resolver keeps: it replaces a column whose name turns out to be that of a field."""
    return node.this if isinstance(node, exp.Column) and isinstance(node.this, exp.Identifier) else node


def _with_types(query: exp.Expr, schema: dict[str, Any], dialect: str) -> exp.Expr:
    """Return a query whose parts have the types that sqlglot finds."""
    qualified = qualify(
        query,
        schema=schema,
        dialect=dialect,
        validate_qualify_columns=False,
        expand_stars=True,
        expand_alias_refs=False,
        quote_identifiers=False,
        identify=False,
    )
    known = ensure_schema(schema, dialect=dialect)
    return TypeAnnotator(known, binary_coercions=_COERCIONS).annotate(qualified)


def _as_query(tree: exp.Expr) -> exp.Expr:
    """Return a query with the expressions of a statement: the resolver knows the columns of queries only."""
    match tree:
        case exp.Create() | exp.Insert() if isinstance(tree.expression, exp.Query):
            return tree.expression
        case exp.Update():
            values = [each.expression for each in tree.expressions]
            return _query(values, tree.this, tree.args.get("from_"), tree.args.get("where"))
        case exp.Delete():
            return _query([], tree.this, None, tree.args.get("where"))
        case exp.Merge():
            values = [tree.args["on"], *tree.args["whens"].expressions]
            return _query(values, tree.this, exp.From(this=tree.args["using"]), None)
    return tree


def _query(values: list[exp.Expr], table: exp.Expr, source: exp.From | None, where: exp.Where | None) -> exp.Select:
    query = exp.select(*(values or [exp.Literal.number(1)]), copy=False).from_(table, copy=False)
    if source is not None:
        query = query.join(source.this, join_type="CROSS", copy=False)
    if where is not None:
        query.set("where", where)
    return query
