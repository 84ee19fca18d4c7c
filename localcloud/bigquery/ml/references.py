"""Where object tables stand in a text of GoogleSQL, and what is put in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.calls import Span
from localcloud.bigquery.ml.object_tables import TablePath, table_path
from localcloud.bigquery.sql.tokens import Cursor, Token, tokens

# Words that may follow a table in a FROM clause and are not its alias.
_NO_ALIAS = frozenset(
    """WHERE JOIN ON GROUP ORDER LIMIT LEFT RIGHT INNER CROSS FULL UNION HAVING QUALIFY WINDOW TABLESAMPLE PIVOT UNPIVOT
    USING FOR EXCEPT INTERSECT WHEN WITH SELECT""".split()  # noqa: SIM905
)


def mentions_data(sql: str) -> bool:
    """Tell whether a statement names a column ``data``."""
    return any(token.kind in ("word", "quoted") and token.text.lower() == "data" for token in tokens(sql))


def object_table_references(
    sql: str,
    tables: Mapping[TablePath, tuple[str, ...]],
    subquery: Callable[[tuple[str, ...]], str],
    *,
    project: str,
    default_dataset: str | None,
) -> Iterator[tuple[Span, str]]:
    """Give each place where a statement names an object table, and the text to put there.

    Args:
        sql: The statement.
        tables: The object tables there are, and their URIs.
        subquery: Gives the subquery that stands for some URIs.
        project: The project of names that have none.
        default_dataset: The dataset of names that have none.
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
        path = _path(parts, project, default_dataset)
        if path is not None and path in tables and _is_source(before):
            yield span, subquery(tables[path]) + _alias(cursor, path)
        elif len(parts) > 2 and _path(parts[:-1], project, default_dataset) in tables and not _is_source(before):
            yield span, f"`{parts[-2]}`.`{parts[-1]}`"
        index = max(cursor.index, index + 1)


def _path(parts: tuple[str, ...], project: str, default_dataset: str | None) -> TablePath | None:
    try:
        return table_path(parts, project, default_dataset)
    except QueryError:
        return None


def _before(found: tuple[Token, ...], index: int) -> Token | None:
    """Return the token before a name. An argument ``TABLE name`` begins with TABLE, a statement does not."""
    before = found[index - 1] if index else None
    if before is not None and before.is_word("TABLE"):
        return found[index - 2] if index > 1 and found[index - 2].is_symbol(",") else None
    return before


def _is_source(before: Token | None) -> bool:
    return before is not None and (before.is_word("FROM", "JOIN") or before.is_symbol(","))


def _alias(cursor: Cursor, path: TablePath) -> str:
    following = cursor.peek()
    if following is not None and (
        following.kind == "quoted" or (following.kind == "word" and following.text.upper() not in _NO_ALIAS)
    ):
        return ""
    return f" AS `{path.table}`"
