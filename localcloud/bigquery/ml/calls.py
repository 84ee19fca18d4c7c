"""Where ML functions stand in a text of GoogleSQL, and which common table expressions they see there.

The text is replaced span by span and otherwise left as it was written, so that everything that BigQuery understands
and sqlglot would print differently goes on as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from localcloud.bigquery.sql.tokens import (
    Cursor,
    Token,
    syntax_error,
    tokens,
)


@dataclass(frozen=True)
class Span:
    """A piece of a text, from one offset to behind another."""

    start: int
    end: int

    def of(self, sql: str) -> str:
        """Return the piece."""
        return sql[self.start : self.end]


@dataclass(frozen=True)
class Argument:
    """An argument of a function: its tokens from ``first`` to before ``last``, and where they stand."""

    first: int
    last: int
    span: Span


@dataclass(frozen=True)
class Call:
    """A call of an ML function.

    Attributes:
        name: The function's name in upper case, as ``ML.PREDICT``.
        span: Where the whole call stands.
        arguments: Its arguments in order.
    """

    name: str
    span: Span
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class CommonTable:
    """A common table expression and where it can be seen."""

    name: str
    query: Span
    visible: Span
    recursive: bool


def find_calls(sql: str, names: frozenset[str], within: Span) -> Iterator[Call]:
    """Give the outermost calls of the functions ``names`` in a piece of a text, in order.

    Raises:
        QueryError: A call's brackets are not closed.
    """
    found = tokens(sql)
    index = 0
    while index + 3 < len(found):
        token = found[index]
        if token.start < within.start or not _names_function(found, index, names):
            index += 1
            continue
        if token.start >= within.end:
            return
        cursor = Cursor(sql, index + 3)
        arguments = tuple(_arguments(cursor))
        yield Call(
            f"{token.text}.{found[index + 2].text}".upper(), Span(token.start, found[cursor.index - 1].end), arguments
        )
        index = cursor.index


def _names_function(found: tuple[Token, ...], index: int, names: frozenset[str]) -> bool:
    space, dot, function, bracket = found[index : index + 4]
    return (
        space.is_word("ML", "AI")
        and dot.is_symbol(".")
        and function.kind == "word"
        and bracket.is_symbol("(")
        and f"{space.text}.{function.text}".upper() in names
        and not (index and found[index - 1].is_symbol("."))
    )


def _arguments(cursor: Cursor) -> Iterator[Argument]:
    opening = cursor.expect_symbol("(")
    if cursor.take_symbol(")"):
        return
    first = cursor.index
    while True:
        token = cursor.peek()
        if token is None:
            raise syntax_error(cursor.sql, 'Expected ")" but got end of statement', len(cursor.sql.rstrip()))
        if token.is_symbol("(", "[", "{"):
            cursor.skip_group()
        elif token.is_symbol(",", ")"):
            if cursor.index == first:
                raise syntax_error(cursor.sql, f"Unexpected {token.named()}", token.start)
            start = cursor.all[first].start if first > 0 else opening.end
            yield Argument(first, cursor.index, Span(start, cursor.all[cursor.index - 1].end))
            cursor.take()
            if token.is_symbol(")"):
                return
            first = cursor.index
        else:
            cursor.take()


def common_tables(sql: str) -> list[CommonTable]:
    """Return the common table expressions of a text, in the order in which they are defined."""
    found = tokens(sql)
    ends = _ends_of_scopes(found, len(sql))
    tables: list[CommonTable] = []
    for index, token in enumerate(found):
        if token.is_word("WITH"):
            tables.extend(_defined(sql, index, ends[index]))
    return sorted(tables, key=lambda table: table.query.start)


def _ends_of_scopes(found: tuple[Token, ...], length: int) -> list[int]:
    """Return for each token where the brackets around it end, or its statement."""
    ends = [length] * len(found)
    open_indexes: list[int] = []
    begun = 0
    for index, token in enumerate(found):
        if token.is_symbol("(", "[", "{"):
            open_indexes.append(index)
        elif token.is_symbol(")", "]", "}") and open_indexes:
            for inner in range(open_indexes.pop() + 1, index):
                ends[inner] = min(ends[inner], token.start)
        elif token.is_symbol(";") and not open_indexes:
            for inner in range(begun, index):
                ends[inner] = min(ends[inner], token.start)
            begun = index + 1
    return ends


def _defined(sql: str, index: int, end: int) -> Iterator[CommonTable]:
    """Give what a WITH clause defines; nothing if the word belongs to something else, as WITH CONNECTION does."""
    cursor = Cursor(sql, index + 1)
    recursive = cursor.take_words("RECURSIVE")
    while True:
        name = cursor.peek()
        if name is None or name.kind not in ("word", "quoted"):
            return
        cursor.take()
        opening = cursor.peek(1)
        if not cursor.take_words("AS") or opening is None or not opening.is_symbol("("):
            return
        query = Span(*cursor.skip_group())
        # In a recursive clause a table sees itself and those behind it too.
        yield CommonTable(name.text, query, Span(query.start if recursive else query.end, end), recursive)
        if not cursor.take_symbol(","):
            return
