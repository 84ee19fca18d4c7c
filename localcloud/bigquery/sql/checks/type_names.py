"""Rejects names of types that BigQuery does not have, of which sqlglot reads some and takes others for columns.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.googlesql import TYPES
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, position, readable_tokens

_KNOWN = frozenset(name.partition("<")[0] for name in TYPES) | {"ANY", "ANY TYPE", "ANY_TYPE", "MODEL", "TABLE"}
_OF_TYPES = ("ARRAY", "RANGE", "STRUCT", "TABLE")
_MODES = ("IN", "INOUT", "OUT")
_CONSTRAINTS = ("CONSTRAINT", "FOREIGN", "FOREIGN KEY", "PRIMARY", "PRIMARY KEY")
_MAY_CONCERN = re.compile(r"CAST\s*\(|<|\bCREATE\b|\bDECLARE\b|\bALTER\b", re.IGNORECASE)


def reject_unknown_types(sql: str) -> None:
    """Raise ``QueryError`` if a statement or script names a type that BigQuery does not have."""
    if _MAY_CONCERN.search(sql) is None:
        return
    found = readable_tokens(sql)
    for token in _types(found):
        if token.kind == "word" and token.text.upper() not in _KNOWN:
            raise QueryError(f"Type not found: {token.text} at {position(sql, token.start)}", location="query")


def _types(found: tuple[Token, ...]) -> Iterator[Token]:
    """Yield the first token of each type whose place shows that it is one."""
    pairs = bracket_pairs(found)
    for index, token in enumerate(found[:-1]):
        after = found[index + 1]
        if token.is_word("CAST", "SAFE_CAST") and after.is_symbol("("):
            yield from _cast(found, pairs, index + 1)
        elif token.is_word(*_OF_TYPES) and after.is_symbol("<"):
            yield from _elements(found, pairs, index + 2)
        elif token.is_word("RETURNS") and index and found[index - 1].is_symbol(")"):
            yield after
        elif token.is_word("FUNCTION", "PROCEDURE", "TABLE") and _is_created(found, index):
            yield from _declared(found, pairs, index + 1)
        elif token.is_word("TYPE") and index and found[index - 1].is_word("DATA"):
            yield after
        elif token.is_word("COLUMN") and index and found[index - 1].is_word("ADD"):
            yield from found[index + (5 if after.is_word("IF") else 2) :][:1]
        elif token.is_word("DECLARE"):
            yield from _variable(found, index + 1)


def _cast(found: tuple[Token, ...], pairs: dict[int, int], opening: int) -> Iterator[Token]:
    index = opening + 1
    while index < pairs.get(opening, 0):
        if found[index].is_word("AS"):
            yield found[index + 1]
            return
        index = pairs.get(index, index) + 1


def _elements(found: tuple[Token, ...], pairs: dict[int, int], start: int) -> Iterator[Token]:
    """Yield the types of the fields of a STRUCT, each with or without a name, or of the elements of an ARRAY."""
    depth, begins, index = 1, True, start
    while index < len(found) - 1 and depth:
        token, after = found[index], found[index + 1]
        if begins and depth == 1 and token.kind in ("word", "quoted"):
            yield after if after.kind == "word" and not token.is_word(*_OF_TYPES) else token
        begins = token.is_symbol(",")
        depth += token.is_symbol("<") - token.is_symbol(">")
        index = pairs.get(index, index) + 1


def _is_created(found: tuple[Token, ...], index: int) -> bool:
    """Return whether the word at an index is what a CREATE creates."""
    created = any(token.is_word("CREATE") for token in found[max(index - 5, 0) : index])
    return created and not found[index + 1].is_symbol("(")


def _declared(found: tuple[Token, ...], pairs: dict[int, int], index: int) -> Iterator[Token]:
    """Yield the types of the columns or parameters in the first bracket behind a name."""
    while index < len(found) and (found[index].kind in ("word", "quoted") or found[index].is_symbol(".", "-")):
        if found[index].is_word("AS", "LIKE", "COPY", "CLONE", "OPTIONS", "FUNCTION"):
            return
        index += 1
    if index not in pairs or not found[index].is_symbol("("):
        return
    closing, begins, at = pairs[index], True, index + 1
    while at < closing - 1:
        token = found[at]
        if begins and token.is_word(*_MODES) and found[at + 2].kind == "word":
            at += 1
        if begins and found[at].kind in ("word", "quoted") and not token.is_word(*_CONSTRAINTS):
            yield found[at + 1]
        begins = token.is_symbol(",")
        at = _behind(found, pairs, at)


def _behind(found: tuple[Token, ...], pairs: dict[int, int], index: int) -> int:
    """Return the index behind a token, and behind the types in ``<...>`` after it."""
    index = pairs.get(index, index) + 1
    if not found[index].is_symbol("<"):
        return index
    depth = 0
    while index < len(found):
        depth += found[index].is_symbol("<") - found[index].is_symbol(">")
        index += 1
        if not depth:
            break
    return index


def _variable(found: tuple[Token, ...], index: int) -> Iterator[Token]:
    while index + 2 < len(found) and found[index + 1].is_symbol(","):
        index += 2
    if index + 1 < len(found) and not found[index + 1].is_word("DEFAULT"):
        yield found[index + 1]
