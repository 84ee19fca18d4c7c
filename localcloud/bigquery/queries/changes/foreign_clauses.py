"""Rejects clauses of INSERT, UPDATE, DELETE and MERGE that the engine has and GoogleSQL has not.

https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.sql.reading.tokens import tokens

# The clauses in sqlglot's tree, and the words with which they start in the text.
_CLAUSES = {
    "using": ("USING",),
    "returning": ("RETURNING",),
    "conflict": ("ON",),
    "overwrite": ("OVERWRITE",),
    "alternative": ("OR",),
    "by_name": ("BY",),
    "order": ("ORDER", "ORDER BY"),
    "limit": ("LIMIT",),
}


def reject_foreign_clauses(statement: Statement) -> None:
    """Raise ``QueryError`` if a statement that changes rows has a clause that GoogleSQL does not have."""
    tree = statement.tree
    if not isinstance(tree, (exp.Insert, exp.Update, exp.Delete, exp.Merge)):
        return
    found = tokens(statement.sql)
    if found and found[0].is_word("WITH"):
        verb = statement.kind.partition("_")[0]
        raise QueryError(
            f'Syntax error: Expected "(" or "," or keyword SELECT but got keyword {verb}', location="query"
        )
    for name, words in _CLAUSES.items():
        if not tree.args.get(name) or (name == "using" and isinstance(tree, exp.Merge)):
            continue
        depth = 0
        for token in found:
            depth += token.is_symbol("(") - token.is_symbol(")")
            if not depth and token.is_word(*words):
                word = token.text.upper().split()[0]
                raise QueryError(f"Syntax error: Expected end of input but got keyword {word}", location="query")
