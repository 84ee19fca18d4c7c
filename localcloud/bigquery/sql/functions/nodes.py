"""Helps to replace nodes of a statement by calls of macros."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import exp

Rule = Callable[[exp.Expr], exp.Expr | None]
"""Takes a node and returns its replacement, or None to keep the node."""


def call(name: str, *arguments: exp.Expr | None) -> exp.Anonymous:
    """Return a call of a macro; arguments that are None are left out."""
    return exp.Anonymous(this=name, expressions=[each.copy() for each in arguments if each is not None])


def number(value: int) -> exp.Expr:
    """Return the literal of an integer."""
    return exp.Literal.number(value)


def is_text(node: exp.Expr | None) -> bool:
    """Return whether a node is the literal of a STRING."""
    return isinstance(node, exp.Literal) and node.is_string


def is_number(node: exp.Expr | None) -> bool:
    """Return whether a node is the literal of a number."""
    node = node.this if isinstance(node, exp.Neg) else node
    return isinstance(node, exp.Literal) and not node.is_string


def integer(node: exp.Expr | None) -> int | None:
    """Return the value of the literal of an integer, or None."""
    if isinstance(node, exp.Neg):
        value = integer(node.this)
        return None if value is None else -value
    return int(node.name) if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit() else None


def columns_of(schema: Mapping[str, Any] | None, kinds: frozenset[str]) -> frozenset[str]:
    """Return the names in lower case of the columns of some types, and of those of arrays of them.

    Args:
        schema: The types of the columns of tables, in nested mappings whose innermost keys are columns; or None.
        kinds: The types, in upper case.
    """
    found: set[str] = set()
    for name, kind in (schema or {}).items():
        if isinstance(kind, Mapping):
            found |= columns_of(kind, kinds)
        elif str(kind).upper().removeprefix("ARRAY<").removesuffix(">") in kinds:
            found.add(str(name).lower())
    return frozenset(found)
