"""Finds the types of the operands in a statement, as far as sqlglot knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

_TYPED = "typed_as"


def mark_types(tree: exp.Expr, schema: Mapping[str, Any] | None, kinds: tuple[type[exp.Expr], ...]) -> bool:
    """Mark the nodes of some kinds, and their operands, with their types, which ``type_of`` returns.

    sqlglot knows the types of most queries. Those of DML stay unknown.

    Args:
        tree: The statement.
        schema: The types of the columns of its tables, in nested mappings whose innermost keys are columns; or None.
        kinds: The kinds of nodes.

    Returns:
        Whether the types are known.
    """
    marked = list(
        {id(each): each for node in tree.find_all(*kinds) for each in (node, *node.iter_expressions())}.values()
    )
    for place, node in enumerate(marked):
        node.meta[_TYPED] = place
    try:
        typed = _with_types(tree, dict(schema or {}))
    except Exception:  # sqlglot's resolver raises many kinds, such as for ORDER BY 3 with a star
        typed = None
    found: dict[Any, exp.DType] = {}
    for each in typed.walk() if typed is not None else ():
        if _TYPED in each.meta and each.type is not None and isinstance(each.type.this, exp.DType):
            found[each.meta[_TYPED]] = each.type.this
    for node in marked:
        node.meta[_TYPED] = found.get(node.meta[_TYPED])
    return bool(found)


def type_of(node: exp.Expr | None) -> exp.DType | None:
    """Return the type with which ``mark_types`` has marked a node, or None."""
    kind = node.meta.get(_TYPED) if node is not None else None
    return kind if isinstance(kind, exp.DType) else None


def _with_types(tree: exp.Expr, schema: dict[str, Any]) -> exp.Expr:
    """Return a copy of a statement whose parts have the types that sqlglot finds."""
    typed = tree.copy()
    if isinstance(typed, exp.Query):
        typed = qualify(
            typed,
            schema=schema,
            dialect="bigquery",
            validate_qualify_columns=False,
            expand_stars=False,
            expand_alias_refs=False,
            quote_identifiers=False,
            identify=False,
        )
    return annotate_types(typed, schema=schema, dialect="bigquery")
