"""Writes the queries of pipe syntax as SELECT statements, because sqlglot knows a part of the syntax only.

    FROM t |> WHERE x > 1 |> AGGREGATE SUM(y) AS s GROUP BY z   ->   SELECT z, SUM(y) AS s FROM t WHERE (x > 1) GROUP BY 1

https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
"""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.pipes.lists import Part, tables_of
from localcloud.bigquery.sql.pipes.operators import Operator
from localcloud.bigquery.sql.pipes.rows import Rows
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, readable_tokens, without_comments

# sqlglot and DuckDB have this, and it is how the operator RENAME is written.
_RENAMING_STAR = re.compile(r"(?:\bSELECT|,|\.)\s*\*\s*RENAME\s*\(", re.IGNORECASE)
# A query may begin after one of these, or in a bracket.
_BEFORE_A_QUERY = ("AS", "BEGIN", "DO", "ELSE", "LOOP", "REPEAT", "THEN")


def without_pipes(sql: str) -> str:
    """Return a statement or script without pipe operators.

    Raises:
        QueryError: There is no such operator, or its form is wrong.
    """
    if _RENAMING_STAR.search(sql) is not None:
        raise QueryError("Syntax error: Expected end of input but got keyword RENAME", location="query")
    if "|>" not in sql:
        return sql
    sql = without_comments(sql)
    while (place := _innermost(readable_tokens(sql))) is not None:
        start, end = place
        found = readable_tokens(sql)
        text = _plain(Part(sql, found[start:end]))
        sql = f"{sql[: found[start].start]}{text}{sql[found[end - 1].end :]}"
    return sql


def _innermost(found: tuple[Token, ...]) -> tuple[int, int] | None:
    """Return the indexes of the tokens between which a query has pipe operators, and no query in it has some."""
    pairs = bracket_pairs(found)
    last = None
    depth, deepest = 0, -1
    for index, token in enumerate(found):
        depth += token.is_symbol("(", "[") - token.is_symbol(")", "]")
        if token.is_symbol("|>") and depth > deepest:
            deepest, last = depth, index
    if last is None:
        return None
    start = _start(found, pairs, last)
    if start is None:
        raise QueryError('Syntax error: Unexpected "|>"', location="query")
    end = last
    while end < len(found) and not found[end].is_symbol(")", "]", ";"):
        end = pairs.get(end, end) + 1
    return start, end


def _start(found: tuple[Token, ...], pairs: dict[int, int], index: int) -> int | None:
    """Return the index of the token that begins the query of the operator at ``index``."""
    first = place = index
    while place > 0 and not found[place - 1].is_symbol("(", "[", ";"):
        place = pairs.get(place - 1, place - 1)
        first = place
    expressions = found[first].is_word("WITH")
    while first < index:
        token = found[first]
        if token.is_word("FROM", "SELECT"):
            return first
        before = found[first - 1] if first else None
        begins = before is None or before.is_symbol("(", ";") or (before.is_word(*_BEFORE_A_QUERY) and not expressions)
        if token.is_symbol("(") and begins and found[first + 1].is_word("SELECT", "FROM", "WITH"):
            return first
        first = pairs.get(first, first) + 1
    return None


def _plain(query: Part) -> str:
    """Return a query with pipe operators as a SELECT statement."""
    base, *operators = _split(query)
    joins = any(each.has("JOIN") for each in operators)
    rows = _rows_of(base, joins=joins)
    named = [_named(each) for each in operators]
    for number, words in enumerate(operators):
        later = frozenset().union(*named[number + 1 :])
        rows = Operator(words, later | named[number], later).applied(rows)
    if rows.expressions:
        return f"SELECT * FROM (WITH {', '.join(rows.expressions)} {rows.visible})"
    return rows.visible


def _split(query: Part) -> list[Part]:
    """Return the query before the first operator, and the operators."""
    found = []
    rest: Part | None = query
    while rest is not None:
        part, rest = rest.split_at("|>")
        found.append(part)
        rest = None if rest is None else rest.after(1)
    return found


def _rows_of(base: Part, *, joins: bool) -> Rows:
    if not base.tokens[0].is_word("FROM"):
        return Rows(base.text if base.tokens[0].is_symbol("(") else f"({base.text})")
    sources = base.after(1)
    # A comma binds weaker than the JOIN that follows.
    text = " CROSS JOIN ".join(each.text for each in sources.items()) if joins else sources.text
    return Rows(text, tuple(tables_of(sources)))


def _named(part: Part) -> frozenset[str]:
    """Return the names before dots, in lower case."""
    return frozenset(
        token.text.lower()
        for token, dot in zip(part.tokens, part.tokens[1:], strict=False)
        if dot.is_symbol(".") and token.kind in ("word", "quoted")
    )
