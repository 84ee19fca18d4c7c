"""Finds the names of object tables in a GoogleSQL statement, and the text to replace them with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.calls import Span
from localcloud.bigquery.ml.objects.statements import table_name
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.reading.tokens import Cursor, Token, position, tokens

# Keywords that can follow a table in a FROM clause.
_NOT_AN_ALIAS = frozenset(
    """WHERE JOIN ON GROUP ORDER LIMIT LEFT RIGHT INNER CROSS FULL UNION HAVING QUALIFY WINDOW TABLESAMPLE PIVOT UNPIVOT
    USING FOR EXCEPT INTERSECT WHEN WITH SELECT""".split()  # noqa: SIM905
)


def mentions_data(sql: str) -> bool:
    """Return whether a statement names a column ``data``."""
    return any(token.kind in ("word", "quoted") and token.text.lower() == "data" for token in tokens(sql))


def reject_ref(sql: str) -> None:
    """Reject the column ``ref`` in a statement that names an object table; its values are for functions not supported here.

    https://cloud.google.com/bigquery/docs/objectref-columns

    Raises:
        QueryError: The statement names the column, and gives no other column this name.
    """
    named = [
        (before, token)
        for before, token in pairwise(tokens(sql))
        if token.kind in ("word", "quoted") and token.text.lower() == "ref"
    ]
    if any(before.is_word("AS") for before, _ in named):
        return
    for before, token in named:
        if not before.is_symbol("."):
            raise QueryError(
                "The column ref of object tables is not supported by the local BigQuery: use uri "
                f"at {position(sql, token.start)}",
                reason="notImplemented",
                location="query",
            )


def object_table_replacements(
    sql: str,
    tables: Mapping[TableName, tuple[str, ...]],
    subquery: Callable[[tuple[str, ...]], str],
    *,
    project: str,
    default_dataset: str | None,
) -> Iterator[tuple[Span, str]]:
    """Yield each span in which a statement names an object table, with the text to replace it with.

    Args:
        sql: The statement.
        tables: The existing object tables and their URIs.
        subquery: Returns the subquery for the URIs of an object table.
        project: The project of names without one.
        default_dataset: The dataset of names without one, or None.
    """
    found = tokens(sql)
    index = 0
    while index < len(found):
        token = found[index]
        if token.kind not in ("word", "quoted"):
            index += 1
            continue
        before = _before(found, index)
        cursor = Cursor(sql, index)
        try:
            parts, _ = cursor.take_path()
        except QueryError:
            index += 1
            continue
        span = Span(token.start, found[cursor.index - 1].end)
        table = _table(parts, project, default_dataset)
        if table is not None and table in tables and _is_source(before):
            yield span, subquery(tables[table]) + _alias(cursor, table)
        elif len(parts) > 2 and _table(parts[:-1], project, default_dataset) in tables and not _is_source(before):
            yield span, f"`{parts[-2]}`.`{parts[-1]}`"
        index = max(cursor.index, index + 1)


def _table(parts: tuple[str, ...], project: str, default_dataset: str | None) -> TableName | None:
    try:
        return table_name(parts, project, default_dataset)
    except QueryError:
        return None


def _before(found: tuple[Token, ...], index: int) -> Token | None:
    """Return the token before a table name, or before TABLE if the name is an argument ``TABLE name``."""
    before = found[index - 1] if index else None
    if before is not None and before.is_word("TABLE"):
        return found[index - 2] if index > 1 and found[index - 2].is_symbol(",") else None
    return before


def _is_source(before: Token | None) -> bool:
    return before is not None and (before.is_word("FROM", "JOIN") or before.is_symbol(","))


def _alias(cursor: Cursor, table: TableName) -> str:
    following = cursor.peek()
    if following is not None and (
        following.kind == "quoted" or (following.kind == "word" and following.text.upper() not in _NOT_AN_ALIAS)
    ):
        return ""
    return f" AS `{table.table}`"
