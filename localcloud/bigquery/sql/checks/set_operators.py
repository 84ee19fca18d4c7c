"""Rejects different set operators beside each other without brackets, whose order GoogleSQL does not define.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#set_operators
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError


def reject_mixed_operators(tree: exp.Expr) -> None:
    """Raise ``QueryError`` if a query of a statement has different set operators without brackets."""
    for operation in tree.find_all(exp.SetOperation):
        for side in (operation.this, operation.expression):
            if isinstance(side, exp.SetOperation) and _operator(side) != _operator(operation):
                raise QueryError(
                    "Syntax error: Different set operations cannot be used in the same query without using parentheses for "
                    "grouping",
                    location="query",
                )


def _operator(operation: exp.SetOperation) -> tuple[str, bool, bool]:
    return operation.key, bool(operation.args.get("distinct")), bool(operation.args.get("by_name"))
