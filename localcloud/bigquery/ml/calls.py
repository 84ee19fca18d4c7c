"""Finds the calls of ML functions in a GoogleSQL text, and the common table expressions that are in scope for them.

Only the calls themselves are replaced. The rest of the text stays unchanged, because sqlglot would print parts of it
differently.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import (
    Cursor,
    Token,
    position,
    syntax_error,
    tokens,
)

# The column of the vector to search for, in the query that replaces ``query_value``.
QUERY_VALUE = "__query_value"
_QUERY_VALUE = re.compile(r"\bVECTOR_SEARCH\s*\(.*\bquery_value\b", re.IGNORECASE | re.DOTALL)
_NAMED = re.compile(r"\s*(\w+)\s*=>\s*")
# The words and symbols before the call of a table function.
_PLACE = re.compile(r"(?:.*\s)?(?:FROM|JOIN|USING)|[,(]", re.IGNORECASE | re.DOTALL)
_SYSTEM_TIME = re.compile(r"\s*(?:(?:AS\s+)?`?\w+`?\s+)?(?P<word>FOR)\s+SYSTEM_TIME\b", re.IGNORECASE)
# A model without a dataset, as the first argument of a call.
_SHORT_MODEL = re.compile(r"\(\s*MODEL\s+[`\w]+\s*[,)]", re.IGNORECASE)
_AI_IF = re.compile(r"\bAI\s*\.\s*IF\s*\(", re.IGNORECASE)


@dataclass(frozen=True)
class Span:
    """A part of a text, from offset ``start`` up to but not including ``end``."""

    start: int
    end: int

    def text_in(self, sql: str) -> str:
        """Return the text of the span in ``sql``."""
        return sql[self.start : self.end]


@dataclass(frozen=True)
class Argument:
    """An argument of a function.

    Attributes:
        first: The index of its first token.
        last: The index after its last token.
        span: Its text.
    """

    first: int
    last: int
    span: Span


@dataclass(frozen=True)
class Call:
    """A call of an ML function.

    Attributes:
        name: The name of the function in upper case, such as ``ML.PREDICT``.
        span: The text of the call.
        arguments: The arguments in order.
    """

    name: str
    span: Span
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class CommonTable:
    """A common table expression.

    Attributes:
        name: Its name.
        query: The text of its query.
        visible: The text in which its name is in scope.
        recursive: Whether its WITH clause is recursive.
    """

    name: str
    query: Span
    visible: Span
    recursive: bool


def parseable_calls(sql: str) -> str:
    """Return GoogleSQL with calls that sqlglot can parse, in place of those that it cannot.

    ``AI.IF`` becomes ``AI.IF_``, and ``query_value => v`` of VECTOR_SEARCH the query ``(SELECT v AS __query_value)``.

    Raises:
        QueryError: The brackets of a call are not closed.
    """
    if _AI_IF.search(sql) is not None:
        found = tokens(sql)
        for space, dot, name, bracket in reversed(list(zip(found, found[1:], found[2:], found[3:], strict=False))):
            if space.is_word("AI") and dot.is_symbol(".") and name.is_word("IF") and bracket.is_symbol("("):
                sql = f"{sql[: name.end]}_{sql[name.end :]}"
    if _QUERY_VALUE.search(sql) is not None:
        for call in reversed(list(find_calls(sql, frozenset({"VECTOR_SEARCH"}), Span(0, len(sql))))):
            sql = _with_query(sql, call)
    return sql


def with_default_models(sql: str, prefix: str) -> str:
    """Return GoogleSQL with ``prefix`` before the models without a dataset in calls, such as ``ML.PREDICT(MODEL m, ...)``."""
    if _SHORT_MODEL.search(sql) is None:
        return sql
    found = tokens(sql)
    for opening, word, name, end in reversed(list(zip(found, found[1:], found[2:], found[3:], strict=False))):
        is_model = opening.is_symbol("(") and word.is_word("MODEL") and name.kind in ("word", "quoted")
        if is_model and "." not in name.text and end.is_symbol(",", ")"):
            sql = sql[: name.start] + prefix + sql[name.start :]
    return sql


def _with_query(sql: str, call: Call) -> str:
    given = [_NAMED.match(argument.span.text_in(sql)) for argument in call.arguments]
    values = [index for index, match in enumerate(given) if match is not None and match[1].lower() == "query_value"]
    if len(values) != 1 or len(given) < 3 or any(given[:2]) or given[2] is None:
        return sql  # BigQuery ML reports the error
    arguments = [argument.span.text_in(sql) for argument in call.arguments]
    value = _NAMED.sub("", arguments.pop(values[0]), count=1)
    arguments.insert(2, f"(SELECT {value} AS {QUERY_VALUE})")
    opening = call.arguments[0].span.start
    end = call.arguments[-1].span.end
    return f"{sql[:opening]}{', '.join(arguments)}{sql[end:]}"


def find_calls(sql: str, names: frozenset[str], within: Span) -> Iterator[Call]:
    """Yield the outermost calls of some functions in order.

    Args:
        sql: The whole text.
        names: The names of the functions in upper case.
        within: The part of the text to search.

    Raises:
        QueryError: The brackets of a call are not closed.
    """
    found = tokens(sql)
    index = 0
    while index + 3 < len(found):
        token = found[index]
        length = _length_of_name(found, index, names) if token.start >= within.start else 0
        if not length:
            index += 1
            continue
        if token.start >= within.end:
            return
        cursor = Cursor(sql, index + length)
        arguments = tuple(_arguments(cursor))
        name = _plain("".join(part.text for part in found[index : index + length]))
        yield Call(name, Span(token.start, found[cursor.index - 1].end), arguments)
        index = cursor.index


def check_place(sql: str, call: Call) -> None:
    """Check the words around the call of a table function.

    Raises:
        QueryError: The call is not in a FROM clause, or has FOR SYSTEM_TIME, which belongs to tables.
    """
    found = tokens(sql)
    first = next(index for index, token in enumerate(found) if token.start == call.span.start)
    if first and not _PLACE.fullmatch(found[first - 1].text):
        raise QueryError(
            f"Table-valued function {call.name} can only be called in a FROM clause at {position(sql, call.span.start)}",
            location="query",
        )
    if (past := _SYSTEM_TIME.match(sql, call.span.end)) is not None:
        raise syntax_error(sql, "Expected end of input but got keyword FOR", past.start("word"))


def _length_of_name(found: tuple[Token, ...], index: int, names: frozenset[str]) -> int:
    """Return the number of tokens in the name of a function that is called at ``index``, 0 if none is."""
    if index and found[index - 1].is_symbol("."):
        return 0
    first, second, third, fourth = found[index : index + 4]
    if first.kind == "word" and second.is_symbol("(") and first.text.upper() in names:
        return 1
    is_path = first.is_word("ML", "AI") and second.is_symbol(".") and third.kind == "word" and fourth.is_symbol("(")
    return 3 if is_path and _plain(f"{first.text}.{third.text}") in names else 0


def _plain(name: str) -> str:
    """Return the name of a function in upper case, without the change of ``parseable_calls``."""
    return "AI.IF" if name.upper() == "AI.IF_" else name.upper()


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


def find_common_tables(sql: str) -> list[CommonTable]:
    """Return the common table expressions of a text in the order of their definitions."""
    found = tokens(sql)
    ends = _scope_ends(found, len(sql))
    tables: list[CommonTable] = []
    for index, token in enumerate(found):
        if token.is_word("WITH"):
            tables.extend(_parse_with_clause(sql, index, ends[index]))
    return sorted(tables, key=lambda table: table.query.start)


def _scope_ends(found: tuple[Token, ...], length: int) -> list[int]:
    """Return for each token the offset at which the brackets around it close, or at which its statement ends."""
    ends = [length] * len(found)
    open_indexes: list[int] = []
    statement_start = 0
    for index, token in enumerate(found):
        if token.is_symbol("(", "[", "{"):
            open_indexes.append(index)
        elif token.is_symbol(")", "]", "}") and open_indexes:
            for inner in range(open_indexes.pop() + 1, index):
                ends[inner] = min(ends[inner], token.start)
        elif token.is_symbol(";") and not open_indexes:
            for inner in range(statement_start, index):
                ends[inner] = min(ends[inner], token.start)
            statement_start = index + 1
    return ends


def _parse_with_clause(sql: str, index: int, end: int) -> Iterator[CommonTable]:
    """Yield the tables of a WITH clause, or nothing if WITH starts something else, such as WITH CONNECTION."""
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
        # In a recursive clause, the query of a table can use the table itself and the tables after it.
        yield CommonTable(name.text, query, Span(query.start if recursive else query.end, end), recursive)
        if not cursor.take_symbol(","):
            return
