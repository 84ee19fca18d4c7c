"""Writes WITH expressions, which sqlglot cannot parse, with the values of their variables in place of the names.

    WITH(a AS x + 1, a * a)   ->   ((x + 1) * (x + 1))

https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#with_expression
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.names import RESERVED
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, position, readable_tokens, syntax_error

_WITH = re.compile(r"\bWITH\s*\(", re.IGNORECASE)
# Functions whose value differs from call to call.
_VOLATILE = ("RAND", "GENERATE_UUID", "NEW_UUID")


def without_with_expressions(sql: str) -> str:
    """Return a statement or script without WITH expressions.

    Raises:
        QueryError: An expression has another form, or needs the same random value twice.
    """
    if _WITH.search(sql) is None:
        return sql
    found = readable_tokens(sql)
    # The last one has no other in it.
    for index in range(len(found) - 2, -1, -1):
        if found[index].is_word("WITH") and found[index + 1].is_symbol("("):
            closing = bracket_pairs(found).get(index + 1)
            if closing is None:
                return sql
            value = _value(sql, found[index + 2 : closing], found[closing])
            return without_with_expressions(f"{sql[: found[index].start]}({value}){sql[found[closing].end :]}")
    return sql


def _value(sql: str, found: tuple[Token, ...], closing: Token) -> str:
    """Return the result of an expression, of which ``found`` is what is in its brackets."""
    variables: dict[str, str] = {}
    *assignments, result = _arguments(found)
    for argument in assignments:
        named = len(argument) > 2 and argument[0].kind in ("word", "quoted") and argument[1].is_word("AS")
        if not named:
            raise syntax_error(sql, "Expected keyword AS after the name of a variable of WITH", argument[0].start)
        name = argument[0].text.lower()
        if name in variables:
            raise QueryError(f"Column name {name} is ambiguous at {position(sql, argument[0].start)}", location="query")
        variables[name] = f"({_replaced(sql, argument[2:], variables)})"
    if len(result) > 1 and result[1].is_word("AS"):
        raise syntax_error(sql, 'Expected "," but got ")"', closing.start)
    return _replaced(sql, result, variables)


def _arguments(found: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """Return the tokens between the commas that are in no further bracket."""
    pairs = bracket_pairs(found)
    parts, start, index = [], 0, 0
    while index < len(found):
        if found[index].is_symbol(","):
            parts.append(found[start:index])
            start = index + 1
        index = pairs.get(index, index) + 1
    return [*parts, found[start:]]


def _replaced(sql: str, found: tuple[Token, ...], variables: Mapping[str, str]) -> str:
    """Return the text of tokens with the values of the variables that it names."""
    text, at = "", found[0].start if found else 0
    uses: list[str] = []
    for index, token in enumerate(found):
        name = token.text.lower()
        if name not in variables or not _is_use(found, index):
            continue
        around = _around(found, index)
        if name in uses and _has_names(variables[name], _VOLATILE):
            raise _not_supported(sql, token, ", whose value is random, is used twice")
        if around == "SELECT" and _has_names(variables[name]):
            raise _not_supported(sql, token, " is used in a subquery, whose columns may have the names in its value")
        text += sql[at : token.start] + variables[name]
        if around == "STRUCT" and found[index - 1].is_symbol("(", ",") and found[index + 1].is_symbol(")", ","):
            text += f" AS {sql[token.start : token.end]}"
        at = token.end
        uses.append(name)
    return text + (sql[at : found[-1].end] if found else "")


def _not_supported(sql: str, token: Token, what: str) -> QueryError:
    return QueryError(
        f"The variable {token.text} of a WITH expression{what}, at {position(sql, token.start)}: this is not supported by "
        "the local BigQuery",
        reason="notImplemented",
        location="query",
    )


def _around(found: tuple[Token, ...], index: int) -> str:
    """Return what is around a value: STRUCT, of which it is a field, SELECT, or nothing that matters.

    UNNEST in a FROM clause reads the names that are outside of the query.
    """
    depth, innermost = 0, True
    for place in range(index - 1, -1, -1):
        depth += found[place].is_symbol(")", "]") - found[place].is_symbol("(", "[")
        if depth >= 0:
            continue
        depth = 0
        before = found[place - 1] if place else None
        if found[place + 1].is_word("SELECT", "WITH", "FROM"):
            return "SELECT"
        if before is not None and before.is_word("UNNEST"):
            return ""
        if innermost and before is not None and before.is_word("STRUCT"):
            return "STRUCT"
        innermost = False
    return ""


def _has_names(value: str, names: tuple[str, ...] = ()) -> bool:
    """Return whether a value calls one of these functions; without any, whether it may name a column."""
    found = (*readable_tokens(value), None)
    for token, after in pairwise(found):
        if token is None or token.kind not in ("word", "quoted"):
            continue
        called = after is not None and after.is_symbol("(")
        if token.text.upper() in names or (not names and not called and not RESERVED.fullmatch(token.text)):
            return True
    return False


def _is_use(found: tuple[Token, ...], index: int) -> bool:
    """Return whether a name is a value, and not a field, a function, an alias or the name of an argument."""
    before = found[index - 1] if index else None
    after = found[index + 1] if index + 1 < len(found) else None
    if found[index].kind not in ("word", "quoted"):
        return False
    if before is not None and (before.is_symbol(".", "@") or before.is_word("AS")):
        return False
    return after is None or not after.is_symbol("(", "=>")
