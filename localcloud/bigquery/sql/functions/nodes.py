"""Helps to replace nodes of a statement by calls of macros."""

from __future__ import annotations

from collections.abc import Callable

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


def integer(node: exp.Expr | None) -> int | None:
    """Return the value of the literal of an integer, or None."""
    if isinstance(node, exp.Neg):
        value = integer(node.this)
        return None if value is None else -value
    return int(node.name) if isinstance(node, exp.Literal) and not node.is_string and node.name.isdigit() else None
