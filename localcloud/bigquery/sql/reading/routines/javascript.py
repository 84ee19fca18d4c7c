"""Rewrites the definitions of functions in JavaScript to the form that bqemulator's parser knows."""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, position, syntax_error, tokens

_MAY_CONCERN = re.compile(r"\bLANGUAGE\s+js\b", re.IGNORECASE)
_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def plain_functions(sql: str) -> str:
    """Return ``sql`` with the code of each function in JavaScript as a plain literal, without clauses before it.

    A function is called once for each row, whether it is deterministic or not.
    https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_function_statement

    Raises:
        QueryError: A function has options or no code.
    """
    if _MAY_CONCERN.search(sql) is None:
        return sql
    found = tokens(sql)
    for index in reversed(range(len(found) - 1)):
        is_clause = _is_word(found[index], "LANGUAGE") and _is_word(found[index + 1], "JS")
        if is_clause and _defines_function(found, index):
            sql = _with_plain_code(sql, found, index)
    return sql


def _is_word(token: Token, *words: str) -> bool:
    return token.kind == "word" and " ".join(token.text.upper().split()) in words


def _defines_function(found: tuple[Token, ...], end: int) -> bool:
    """Return whether the statement of a token has the word FUNCTION before it, so that LANGUAGE is not a column."""
    for token in reversed(found[:end]):
        if token.is_symbol(";"):
            return False
        if _is_word(token, "FUNCTION"):
            return True
    return False


def _with_plain_code(sql: str, found: tuple[Token, ...], language: int) -> str:
    first, at = language, language + 2
    while _is_word(found[first - 1], "DETERMINISTIC", "NOT", "NOT DETERMINISTIC"):
        first -= 1
    if at < len(found) and _is_word(found[at], "OPTIONS"):
        closing = bracket_pairs(found).get(at + 1, len(found) - 1)
        if (option := _first_option(found, at + 2, closing)) is not None:
            raise QueryError(
                f"The option {option.text} of JavaScript functions is not supported by the local BigQuery at "
                f"{position(sql, option.start)}",
                location="query",
            )
        at = closing + 1
    if at + 1 >= len(found) or not _is_word(found[at], "AS") or found[at + 1].kind != "string":
        place = found[min(at, len(found) - 1)]
        raise syntax_error(sql, f"Expected AS and the code of the function but got {place.named()}", place.start)
    code = found[at + 1]
    literal = "'" + "".join(_ESCAPES.get(character, character) for character in code.text) + "'"
    return f"{sql[: found[first].start]}LANGUAGE js AS {literal}{sql[code.end :]}"


def _first_option(found: tuple[Token, ...], start: int, end: int) -> Token | None:
    """Return the name of the first option with a value other than an empty list of libraries."""
    words = [token.text.upper() for token in found[start:end]]
    return None if not words or words == ["LIBRARY", "=", "[", "]"] else found[start]
