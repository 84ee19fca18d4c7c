"""Describes syntax errors in GoogleSQL in BigQuery's words."""

from __future__ import annotations

import re

import sqlglot

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.names import RESERVED
from localcloud.bigquery.sql.reading.tokens import (
    Token,
    position,
    syntax_error,
    tokens,
)

# The first words of statements, from https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax and the
# pages beside it.
STATEMENTS = re.compile(
    r"""ALTER|ASSERT|BEGIN|BREAK|CALL|COMMIT|CONTINUE|CREATE|DECLARE|DELETE|DESCRIBE|DROP|EXECUTE|EXPLAIN|EXPORT|FOR|FROM
    |GRANT|IF|INSERT|ITERATE|LEAVE|LOAD|LOOP|MERGE|RAISE|REPEAT|RETURN|REVOKE|ROLLBACK|SELECT|SET|SHOW|TABLE|TRUNCATE
    |UNDROP|UPDATE|WHILE|WITH""",
    re.VERBOSE | re.IGNORECASE,
)
_CLOSED = re.compile(
    r"""--[^\n]*|\#[^\n]*|/\*.*?\*/|`(?:[^`\\]|\\.)*`
    |(?P<quote>\'\'\'|\"\"\"|'|")(?:[^\\'"\n]|\\.|(?!(?P=quote))['"\n])*(?P=quote)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTE = re.compile("['\"]")


def syntax_failure(sql: str) -> QueryError | None:
    """Return the syntax error in ``sql``, or None if sqlglot can parse it."""
    try:
        found = tokens(sql)
    except QueryError as error:
        return error
    if not found:
        return QueryError("Syntax error: Unexpected end of script", location="query")
    if found[0].kind == "word" and not STATEMENTS.fullmatch(found[0].text.partition(" ")[0]):
        return syntax_error(sql, f"Unexpected {_named(found[0])}", found[0].start)
    try:
        sqlglot.parse(sql, read="bigquery")
    except sqlglot.errors.ParseError as error:
        return _error_from_sqlglot(sql, found, error.errors[0] if error.errors else {})
    except Exception:  # sqlglot raises many kinds of exceptions on unknown syntax
        return None
    return None


def unclosed_literal(sql: str) -> QueryError:
    """Return the error for a string literal that is not closed."""
    closed = [match.span() for match in _CLOSED.finditer(sql)]
    for match in _QUOTE.finditer(sql):
        if not any(start <= match.start() < end for start, end in closed):
            return syntax_error(sql, "Unclosed string literal", match.start())
    return QueryError("Syntax error: Unclosed string literal", location="query")


def _error_from_sqlglot(sql: str, found: tuple[Token, ...], error: dict[str, object]) -> QueryError:
    description = str(error.get("description") or "")
    index = _index_at(sql, found, error)
    if index == len(found) - 1 and (alias := _alias_in_brackets(found)) is not None:
        return syntax_error(sql, 'Expected "," but got keyword AS', alias.start)
    if "Required keyword" in description and found[index].is_symbol(")") and (name := _called(found, index)):
        return QueryError(f"No matching signature for function {name.upper()}", location="query")
    expects = description.startswith(("Expect", "Required", "No expression"))
    if index == len(found) - 1 and expects and (_open_brackets(found) or not found[index].is_symbol(")")):
        what = 'Expected ")" but got end of script' if _open_brackets(found) else "Unexpected end of script"
        return syntax_error(sql, what, len(sql.rstrip()))
    got = _named(found[index])
    what = f'Expected ")" but got {got}' if description.startswith("Expecting )") else f"Unexpected {got}"
    return syntax_error(sql, what, found[index].start)


def _alias_in_brackets(found: tuple[Token, ...]) -> Token | None:
    """Return the AS inside a bracket that is not closed and is not that of a function or a query."""
    opened: list[int] = []
    for index, token in enumerate(found):
        if token.is_symbol("("):
            opened.append(index)
        elif token.is_symbol(")") and opened:
            opened.pop()
    for start in opened:
        before, after = found[start - 1] if start else None, found[start + 1 : start + 2]
        called = before is not None and before.kind == "word" and not RESERVED.fullmatch(before.text)
        if not called and after and not after[0].is_word("SELECT", "WITH", "FROM"):
            return next((token for token in found[start:] if token.is_word("AS")), None)
    return None


def _index_at(sql: str, found: tuple[Token, ...], error: dict[str, object]) -> int:
    """Return the index of the token in sqlglot's error, which has the line and column of the token's last character."""
    lines = sql.split("\n")
    line = int(str(error.get("line") or 1))
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + int(str(error.get("col") or 1)) - 1
    return next((index for index, token in enumerate(found) if token.end > offset), len(found) - 1)


def _called(found: tuple[Token, ...], closing: int) -> str | None:
    """Return the name of the function whose call ends at the token ``closing``, or None."""
    depth = 0
    for index in range(closing, 0, -1):
        depth += found[index].is_symbol(")") - found[index].is_symbol("(")
        if not depth:
            before = found[index - 1]
            return before.text if before.kind == "word" else None
    return None


def _open_brackets(found: tuple[Token, ...]) -> int:
    return sum(token.is_symbol("(", "[", "{") - token.is_symbol(")", "]", "}") for token in found)


def _named(token: Token) -> str:
    if token.kind == "word" and RESERVED.fullmatch(token.text):
        return f"keyword {token.text.upper()}"
    return token.named()


def reject_unknown_functions(sql: str) -> None:
    """Reject functions of models and objects in ``sql``, from which the supported ones have been rewritten before.

    Raises:
        QueryError: Such a function is left.
    """
    found = tokens(sql)
    for space, dot, name, bracket in zip(found, found[1:], found[2:], found[3:], strict=False):
        if space.is_word("ML", "AI", "OBJ") and dot.is_symbol(".") and name.kind == "word" and bracket.is_symbol("("):
            raise QueryError(
                f"{space.text.upper()}.{name.text.upper()} is not supported by the local BigQuery "
                f"at {position(sql, space.start)}",
                location="query",
            )
