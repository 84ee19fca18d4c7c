"""What is around the call of a table function in its statement: the query that reads it, and the tables beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.calls import Span
from localcloud.bigquery.sql.checks.ambiguity import reject_ambiguous
from localcloud.bigquery.sql.reading.sources import name_of, visible_sources
from localcloud.bigquery.sql.reading.tokens import parsed

# The name of the table in place of a call. It is not longer than the first word of a call, such as ML.PREDICT.
_DATASET, _TABLE = "_ml", "call"


def reject_ambiguous_columns(sql: str, call: Span, columns: Sequence[str]) -> None:
    """Raise ``QueryError`` if a statement names a column that a call returns twice, or a whole row with both.

    Args:
        sql: The statement.
        call: The call of a table function.
        columns: The names of the columns that it returns.
    """
    statement = _with_table(sql, call)
    tree = parsed(statement)
    if tree is None:
        return
    reject_ambiguous(statement, tree, lambda table: columns if _is_place(table) else ())
    aliases = {table.alias.lower() for table in tree.find_all(exp.Table) if _is_place(table) and table.alias}
    for column in tree.find_all(exp.Column):
        if not column.table and column.name.lower() in aliases:
            raise QueryError(
                f"The row {column.name}, which has two columns of the same name, is not supported as a value by the local "
                "BigQuery; name its columns",
                reason="notImplemented",
                location="query",
            )


def is_correlated(sql: str, call: Span, name: str, columns_of: Callable[[exp.Expr], Iterable[str]]) -> bool:
    """Return whether a name in the arguments of a call is that of a table around the call, or of one of its columns.

    Args:
        sql: The statement.
        call: The call of a table function.
        name: The name.
        columns_of: Returns the names of the columns of a source in lower case.
    """
    tree = parsed(_with_table(sql, call))
    place = None if tree is None else next(filter(_is_place, tree.find_all(exp.Table)), None)
    if place is None:
        return False
    return any(name.lower() in (name_of(source), *columns_of(source)) for source in visible_sources(place))


def _with_table(sql: str, call: Span) -> str:
    """Return a statement with the name of a table in place of a call, and everything else at its own position."""
    name = f"{_DATASET}.{_TABLE}"
    space = re.sub(r"[^\n]", " ", sql[call.start + len(name) : call.end])
    return f"{sql[: call.start]}{name}{space}{sql[call.end :]}"


def _is_place(table: exp.Table) -> bool:
    return (table.db, table.name) == (_DATASET, _TABLE)
