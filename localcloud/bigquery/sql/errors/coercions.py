"""Words the failures of conversions that DuckDB does, but GoogleSQL does not.

DuckDB converts a text that is compared with a number. GoogleSQL converts literals only:
https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#coercion
"""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import Token, position, tokens

_TEXT_TO_INTEGER = re.compile(r"Could not convert string ['\"](?P<value>.*?)['\"] to INT\d+", re.DOTALL)
_TEXT_AND_INTEGER = re.compile(r'function call "(?P<operator>[-+])\((?:STRING_LITERAL|VARCHAR), INTEGER')
_OVERFLOW = re.compile(r"Overflow in \w+ of INT\d+")
_COMPARES = frozenset({"=", "!=", "<>", "<", ">", "<=", ">="})
_CONVERTS = re.compile(r"\b(?:SAFE_)?CAST\s*\(|\bPARSE_|\bINT64\s*\(|\bINSERT\b|\bUPDATE\b|\bMERGE\b", re.IGNORECASE)


def coercion_failure(text: str, sql: str) -> str | None:
    """Return BigQuery's message for a conversion that failed in DuckDB, or None if the client's text asks for it.

    Args:
        text: DuckDB's message.
        sql: The statement as the client wrote it.
    """
    try:
        found = tokens(sql)
    except QueryError:
        return None
    if _OVERFLOW.search(text):
        return None if any(token.is_word("FROM") for token in found) else "Integer Overflow"
    if match := _TEXT_AND_INTEGER.search(text):
        return _literal(sql, found, None, frozenset({match["operator"]}), "DATE")
    match = _TEXT_TO_INTEGER.search(text)
    if match is None:
        return None
    literal = _literal(sql, found, match["value"], _COMPARES, "INT64")
    if literal is not None:
        return literal
    operator = next((token for token in found if token.kind == "symbol" and token.text in _COMPARES), None)
    if operator is None or _CONVERTS.search(sql):
        return None
    return not_comparable(operator.text, ("STRING", "INT64"), position(sql, operator.start))


def not_comparable(operator: str, kinds: tuple[str, str], place: str) -> str:
    """Return BigQuery's message for operands of two types that have no common one; ``place`` is that of the operator."""
    return (
        f"No matching signature for operator {operator} for argument types: {', '.join(kinds)}\n"
        f"  Signature: T1 {operator} T1\n"
        "    Unable to find common supertype for templated argument <T1>\n"
        f"      Input types for <T1>: {{{', '.join(sorted(kinds))}}} at {place}"
    )


def _literal(sql: str, found: tuple[Token, ...], value: str | None, operators: frozenset[str], kind: str) -> str | None:
    """Return the message about a literal beside an operator; ``value`` is its text, or None for any."""
    for index, token in enumerate(found):
        beside = [found[at] for at in (index - 1, index + 1) if 0 <= at < len(found)]
        if (
            token.kind == "string"
            and value in (None, token.text)
            and any(each.kind == "symbol" and each.text in operators for each in beside)
        ):
            return f'Could not cast literal "{token.text}" to type {kind} at {position(sql, token.start)}'
    return None
