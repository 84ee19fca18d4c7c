"""Splits an ALTER TABLE with several actions into statements with one action each, which DuckDB needs.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#alter_table_add_column_statement
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement, read_statement
from localcloud.bigquery.sql.reading.tokens import tokens
from localcloud.bigquery.tables.catalog import NEVER

_FIRST_WORDS = ("ADD", "ALTER", "DROP", "RENAME", "SET")
_COLUMN = re.compile(
    r"(?P<verb>ADD|DROP|RENAME)\s+COLUMN\s+(?P<guard>IF\s+(?:NOT\s+)?EXISTS\s+)?(?P<name>`[^`]+`|\w+)(?:\s+TO\s+(?P<new>`[^`]+`|\w+))?",
    re.IGNORECASE,
)


def single_actions(statement: Statement, statements: Statements) -> list[Statement]:
    """Return the statements with one action each that an ALTER TABLE consists of, and any other statement alone.

    Raises:
        QueryError: There are several actions, and one of them names a column that must not or does not exist.
    """
    if statement.kind != "ALTER_TABLE":
        return [statement]
    sql, found, depth = statement.sql, tokens(statement.sql), 0
    places: list[tuple[int, int]] = []
    for index, token in enumerate(found[:-1]):
        depth += token.is_symbol("(", "[", "<") - token.is_symbol(")", "]", ">")
        following = found[index + 1]
        first = not places and index > 1 and not token.is_symbol(".")
        if depth == 0 and (first or token.is_symbol(",")) and following.is_word(*_FIRST_WORDS):
            places.append((token.start if token.is_symbol(",") else following.start, following.start))
    if len(places) < 2:
        return [statement]
    head = sql[: places[0][1]]
    ends = [end for end, _ in places[1:]] + [len(sql)]
    actions = [sql[start:end] for (_, start), end in zip(places, ends, strict=True)]
    _check(actions, statement, statements)
    return [read_statement(f"{head}{action}", project=statements.project) for action in actions]


@contextmanager
def all_or_nothing(statement: Statement, actions: list[Statement], statements: Statements) -> Iterator[None]:
    """Undo the actions of a statement in the ``with`` block if one of them fails."""
    existing = None if statement.target is None else statements.destinations.get(statement.target)
    if len(actions) < 2 or existing is None or statements.engine.in_transaction:
        yield
        return
    try:
        with statements.engine.transaction():
            yield
    except BaseException:
        statements.context.catalog.update_table(
            existing.model_copy(update={"expiration_time": existing.expiration_time or NEVER})
        )
        raise


def _check(actions: list[str], statement: Statement, statements: Statements) -> None:
    """Check the columns before the first action, so that no action runs if a later one can't."""
    table = None if statement.target is None else statements.destinations.get(statement.target)
    columns = set() if table is None else {field.name.lower() for field in table.schema_.fields}
    for action in actions if table is not None else ():
        match = _COLUMN.match(action)
        if match is None or match["guard"]:
            continue
        name = match["name"].strip("`")
        if match["verb"].upper() == "ADD":
            if name.lower() in columns:
                raise QueryError(f"Column already exists: {name}", location="query")
            columns.add(name.lower())
        elif name.lower() not in columns:
            raise QueryError(f"Column not found: {name}", location="query")
        else:
            columns.discard(name.lower())
            columns |= {match["new"].strip("`").lower()} if match["new"] else set()
