"""Writes the pipe operator CALL, which sqlglot cannot parse, as a FROM clause over the rows before it.

    FROM t |> WHERE x |> CALL f(a) |> ...   ->   FROM f((FROM t |> WHERE x), a) |> ...

https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax#call_pipe_operator
"""

from __future__ import annotations

import re
from itertools import pairwise

from localcloud.bigquery.sql.reading.tokens import Cursor, Token, bracket_pairs, readable_tokens, tokens

_CALL = re.compile(r"\|>\s*CALL\b", re.IGNORECASE)


def without_piped_calls(sql: str) -> str:
    """Return a statement or script without pipe operators CALL.

    Raises:
        QueryError: The brackets of a call are not closed.
    """
    if _CALL.search(sql) is None:
        return sql
    for index, (pipe, call) in enumerate(pairwise(readable_tokens(sql))):
        if pipe.is_symbol("|>") and call.is_word("CALL"):
            changed = _without_call(sql, index)
            return sql if changed is None else without_piped_calls(changed)
    return sql


def _without_call(sql: str, index: int) -> str | None:
    """Return ``sql`` without the operator at token ``index``; None if no query is before it."""
    found = tokens(sql)
    start = _start(found, index)
    if start is None:
        return None
    cursor = Cursor(sql, index + 2)
    name = cursor.peek()
    cursor.take_path()
    opening = cursor.index
    inside, closing = cursor.skip_group()
    given = sql[inside:closing]
    rows = f"({sql[found[start].start : found[index].start].strip()})"
    before = sql[inside : _place(found, opening, inside)].rstrip().removesuffix(",")
    after = given[len(sql[inside : _place(found, opening, inside)]) :]
    arguments = ", ".join(part.strip() for part in (before, rows, after) if part.strip())
    function = sql[name.start if name is not None else inside : found[opening].start]
    return f"{sql[: found[start].start]}FROM {function}({arguments}){sql[found[cursor.index - 1].end :]}"


def _start(found: tuple[Token, ...], index: int) -> int | None:
    """Return the index of the token that begins the query before the operator at ``index``."""
    pairs = bracket_pairs(found)
    first, place = index, index - 1
    while place >= 0 and not found[place].is_symbol("(", "[", "{", ";"):
        place = pairs[place] if found[place].is_symbol(")", "]", "}") and place in pairs else place
        first, place = place, place - 1
    while first < index and not found[first].is_word("FROM", "SELECT"):
        first = pairs.get(first, first) + 1
    return first if first < index else None


def _place(found: tuple[Token, ...], opening: int, inside: int) -> int:
    """Return the offset of the argument before which the rows come: the first one that is not a model."""
    if not found[opening + 1].is_word("MODEL"):
        return inside
    pairs = bracket_pairs(found)
    index = opening + 1
    while index < pairs[opening]:
        if found[index].is_symbol(","):
            return found[index].end
        index = pairs.get(index, index) + 1
    return found[pairs[opening]].start
