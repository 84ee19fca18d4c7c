"""Finds the names that a GoogleSQL text calls: functions, table functions and routines."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from localcloud.bigquery.sql.reading.names import FUNCTION_NAMESPACES, RESERVED
from localcloud.bigquery.sql.reading.tokens import Token, readable_tokens

_SPACES = "|".join(sorted(FUNCTION_NAMESPACES))
_IN_BACKTICKS = re.compile(rf"`(?:{_SPACES})`\s*\.|\b(?:{_SPACES})\s*\.\s*`", re.IGNORECASE)


@dataclass(frozen=True)
class Called:
    """The name before a bracket.

    Attributes:
        parts: The parts of its path, without quotes.
        start: The offset of its first part.
        chained: Whether it follows an expression and a dot, as in ``(x).f()``.
        first: The index of its first token.
        last: The index of its last token.
    """

    parts: tuple[str, ...]
    start: int
    chained: bool
    first: int
    last: int


def calls(found: tuple[Token, ...]) -> Iterator[Called]:
    """Yield the names before brackets, but for reserved words without backticks."""
    for index, (token, bracket) in enumerate(itertools.pairwise(found)):
        if not bracket.is_symbol("(") or token.kind not in ("word", "quoted"):
            continue
        first = index
        while first > 1 and found[first - 1].is_symbol(".") and found[first - 2].kind in ("word", "quoted"):
            first -= 2
        chained = first > 0 and found[first - 1].is_symbol(".")
        parts = tuple(
            part
            for each in found[first : index + 1 : 2]
            for part in (each.text.split(".") if each.kind == "quoted" else (each.text,))
        )
        alone = first == index and not chained and token.kind == "word"
        if not (alone and RESERVED.fullmatch(token.text.partition(" ")[0])):
            yield Called(parts, found[first].start, chained, first, index)


def plain_calls(sql: str) -> str:
    """Return GoogleSQL without the backticks around the parts of function names such as `` `ML`.`PREDICT` ``."""
    if _IN_BACKTICKS.search(sql) is None:
        return sql
    found = readable_tokens(sql)
    for call in reversed(list(calls(found))):
        if len(call.parts) == 2 and call.parts[0].upper() in FUNCTION_NAMESPACES and not call.chained:
            sql = f"{sql[: call.start]}{'.'.join(call.parts)}{sql[found[call.last].end :]}"
    return sql
