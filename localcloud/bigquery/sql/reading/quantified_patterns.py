"""Writes the patterns of ``x LIKE ALL UNNEST(patterns)`` and ``x LIKE ANY ((SELECT ...))`` in forms that sqlglot reads.

https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#like_operator_quantified
"""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, readable_tokens

_QUANTIFIED = re.compile(r"\bLIKE\s+(?:ANY|SOME|ALL)\b", re.IGNORECASE)


def readable_patterns(sql: str) -> str:
    """Return GoogleSQL with brackets around each UNNEST after LIKE ANY, and a function around a query as the first pattern.

    sqlglot reads UNNEST after ANY only, and takes a list that begins with a query for that query.

    Raises:
        QueryError: A query is in place of the list of patterns.
    """
    if _QUANTIFIED.search(sql) is None:
        return sql
    found = readable_tokens(sql)
    pairs = bracket_pairs(found)
    for index in range(len(found) - 4, -1, -1):
        like, quantifier, first, second = found[index : index + 4]
        if not (like.is_word("LIKE") and quantifier.is_word("ANY", "SOME", "ALL")):
            continue
        if first.is_word("UNNEST"):
            sql = _in_brackets(sql, first, found[pairs.get(index + 3, -1)])
        elif first.is_symbol("(") and _is_query(second):
            word = quantifier.text.upper()
            raise QueryError(
                "The LIKE ANY|SOME|ALL operator does not support subquery expression as patterns. Patterns must be string "
                f"or bytes; did you mean LIKE {word} (pattern1, pattern2, ...)?",
                location="query",
            )
        elif first.is_symbol("(") and second.is_symbol("(") and _is_query(found[index + 4]):
            sql = _in_brackets(sql, second, found[pairs.get(index + 3, -1)], function="COALESCE")
    return sql


def _in_brackets(sql: str, first: Token, last: Token, function: str = "") -> str:
    return f"{sql[: first.start]}{function}({sql[first.start : last.end]}){sql[last.end :]}"


def _is_query(token: Token) -> bool:
    return token.is_word("SELECT", "WITH", "FROM")
