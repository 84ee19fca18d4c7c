"""Parses the OPTIONS of statements about models, and literals like theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import Cursor, Token, syntax_error


@dataclass(frozen=True)
class Expression:
    """The value of an option that is not a literal. The running job evaluates it."""

    sql: str


OptionValue: TypeAlias = "str | int | float | bool | list[OptionValue] | tuple[OptionValue, ...] | Expression | None"


def take_options(cursor: Cursor) -> dict[str, OptionValue]:
    """Take the list of an OPTIONS clause, and return the options with their names in upper case.

    Raises:
        QueryError: The list is not valid.
    """
    return _Options(cursor).take()


def parse_value(sql: str) -> OptionValue:
    """Return the value of a literal, or an ``Expression`` for anything else.

    Raises:
        QueryError: ``sql`` is not valid.
    """
    return _Options(Cursor(sql)).value()


class _Options:
    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor

    def take(self) -> dict[str, OptionValue]:
        cursor = self.cursor
        cursor.expect_symbol("(")
        options: dict[str, OptionValue] = {}
        if cursor.take_symbol(")"):
            return options
        while True:
            name = cursor.peek()
            if name is None or name.kind not in ("word", "quoted"):
                raise self._invalid_name(name, first=not options)
            cursor.take()
            cursor.expect_symbol("=")
            if name.text.upper() in options:
                raise QueryError(f"Duplicate option specified for '{name.text}'", location="query")
            options[name.text.upper()] = self.value()
            if not cursor.take_symbol(","):
                cursor.expect_symbol(")")
                return options

    def _invalid_name(self, token: Token | None, *, first: bool) -> QueryError:
        if first or token is None:
            return self.cursor.expected('")"')
        return syntax_error(self.cursor.sql, f"Unexpected {token.named()}", token.start)

    def value(self) -> OptionValue:
        start = self.cursor.index
        literal, found = self._literal()
        following = self.cursor.peek()
        if found and (following is None or following.is_symbol(",", ")") or following.kind in ("word", "quoted")):
            return literal
        self.cursor.index = start
        return self._expression()

    def _literal(self) -> tuple[OptionValue, bool]:
        cursor = self.cursor
        token = cursor.take()
        match token:
            case Token(kind="string"):
                return token.text, True
            case Token(kind="number"):
                return _number(token.text), True
            case Token(kind="word") if token.is_word("TRUE", "FALSE"):
                return token.is_word("TRUE"), True
            case Token(kind="word") if token.is_word("NULL"):
                return None, True
            case Token(kind="symbol", text="-"):
                number = cursor.take()
                return (-_number(number.text), True) if number.kind == "number" else (None, False)
            case Token(kind="symbol", text="["):
                return self._items("]", list)
            case Token(kind="symbol", text="("):
                items, found = self._items(")", tuple)
                # A single value in brackets is the value.
                return (items[0] if isinstance(items, tuple) and len(items) == 1 else items), found
            case Token(kind="word") if token.is_word("STRUCT") and cursor.take_symbol("("):
                return self._items(")", tuple)
        return None, False

    def _items(self, closing: str, collect: Callable[[list[OptionValue]], OptionValue]) -> tuple[OptionValue, bool]:
        items: list[OptionValue] = []
        if self.cursor.take_symbol(closing):
            return collect(items), True
        while True:
            item, found = self._literal()
            if not found:
                return None, False
            items.append(item)
            if not self.cursor.take_symbol(","):
                return collect(items), self.cursor.take_symbol(closing)

    def _expression(self) -> Expression:
        cursor = self.cursor
        start = cursor.peek()
        if start is None or start.is_symbol(",", ")", ";"):
            token = cursor.take()
            raise syntax_error(cursor.sql, f"Unexpected {token.named()}", token.start)
        end = start.end
        while (following := cursor.peek()) and not following.is_symbol(",", ")", ";"):
            if following.is_symbol("(", "["):
                cursor.skip_group()
            else:
                cursor.take()
            end = cursor.all[cursor.index - 1].end
        return Expression(cursor.sql[start.start : end])


def _number(text: str) -> int | float:
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError as error:
        raise QueryError(f'Syntax error: Invalid number "{text}"', location="query") from error
