"""Adds backticks to names that need none in GoogleSQL, but do in sqlglot or DuckDB."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import TokenType

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.tokens import Token, tokens

# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords
RESERVED = re.compile(
    r"""ALL|AND|ANY|ARRAY|AS|ASC|ASSERT_ROWS_MODIFIED|AT|BETWEEN|BY|CASE|CAST|COLLATE|CONTAINS|CREATE|CROSS|CUBE
    |CURRENT|DEFAULT|DEFINE|DESC|DISTINCT|ELSE|END|ENUM|ESCAPE|EXCEPT|EXCLUDE|EXISTS|EXTRACT|FALSE|FETCH|FOLLOWING|FOR
    |FROM|FULL|GROUP|GROUPING|GROUPS|HASH|HAVING|IF|IGNORE|IN|INNER|INTERSECT|INTERVAL|INTO|IS|JOIN|LATERAL|LEFT|LIKE
    |LIMIT|LOOKUP|MERGE|NATURAL|NEW|NO|NOT|NULL|NULLS|OF|ON|OR|ORDER|OUTER|OVER|PARTITION|PRECEDING|PROTO|QUALIFY|RANGE
    |RECURSIVE|RESPECT|RIGHT|ROLLUP|ROWS|SELECT|SET|SOME|STRUCT|TABLESAMPLE|THEN|TO|TREAT|TRUE|UNBOUNDED|UNION|UNNEST
    |USING|WHEN|WHERE|WINDOW|WITH|WITHIN""",
    re.VERBOSE | re.IGNORECASE,
)
_FUNCTION_NAMESPACES = frozenset({"AEAD", "AI", "HLL_COUNT", "KEYS", "ML", "NET", "SAFE"})

_DASHED = re.compile(r"[A-Za-z_]\w*(?:-\w+)+")
_BEFORE_A_TABLE = frozenset({"CLONE", "COPY", "DELETE", "EXISTS", "FROM", "INTO", "JOIN", "LIKE", "MERGE", "MODEL"})
_BEFORE_A_TABLE |= {"CALL", "CONNECTION", "FUNCTION", "PROCEDURE", "SCHEMA", "TABLE", "UPDATE", "USING", "VIEW"}
_AFTER_FROM = frozenset({"EXCEPT", "GROUP", "HAVING", "INTERSECT", "LIMIT", "ORDER", "QUALIFY", "SELECT", "SET"})
_AFTER_FROM |= {"UNION", "VALUES", "WHEN", "WHERE", "WINDOW"}
_FROM_INSIDE = frozenset({"EXTRACT", "SUBSTRING", "TRIM"})


def quote_dashed(sql: str) -> str:
    """Return ``sql`` with backticks around table names whose first part has dashes.

    GoogleSQL allows such names without backticks where a table is expected; elsewhere ``a-b`` is a subtraction:
    https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#table_names
    """
    if _DASHED.search(sql) is None:
        return sql
    try:
        found = tokens(sql)
    except QueryError:
        return sql
    for start, end in reversed(_dashed_tables(sql, found)):
        sql = f"{sql[:start]}`{sql[start:end]}`{sql[end:]}"
    return sql


def _dashed_tables(sql: str, found: tuple[Token, ...]) -> list[tuple[int, int]]:
    """Return the start and end offsets of the first parts of table names, where they have dashes."""
    places: list[tuple[int, int]] = []
    # For each open bracket: whether the position is in a list of tables, and whether FROM is a word of a function call.
    tables, arguments = [False], [False]
    before = before_that = ""
    for token in found:
        word = token.text.upper().partition(" ")[0] if token.kind == "word" else ""
        named = before in _BEFORE_A_TABLE and not (before == "FROM" and (arguments[-1] or before_that == "DISTINCT"))
        if named or (before in (",", "(") and tables[-1]):
            match = _DASHED.match(sql, token.start)
            if match and not (before == "USING" and sql[match.end() : match.end() + 1] != "."):
                places.append(match.span())
        if word in ("FROM", "JOIN"):
            tables[-1] = not (arguments[-1] or before == "DISTINCT")
        elif word in _AFTER_FROM or token.is_symbol(";"):
            tables[-1] = False
        elif token.is_symbol("("):
            tables.append(tables[-1] and before in ("FROM", "JOIN", ","))
            arguments.append(before in _FROM_INSIDE)
        elif token.is_symbol(")") and len(tables) > 1:
            tables.pop()
            arguments.pop()
        before_that, before = before, word or (token.text if token.kind == "symbol" else "")
    return places


def quote_keywords(sql: str) -> str:
    """Return ``sql`` with backticks around names that are keywords for sqlglot and not for GoogleSQL.

    In GoogleSQL, each keyword after a dot is a name, and each keyword after AS that is not reserved:
    https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#path_expressions
    """
    try:
        found = sqlglot.tokenize(sql, read="bigquery")
    except sqlglot.errors.TokenError:
        return sql
    for index in range(len(found) - 1, 0, -1):
        token, before = found[index], found[index - 1].token_type
        word = token.text.isidentifier() and token.token_type not in (TokenType.VAR, TokenType.IDENTIFIER)
        if before is TokenType.DOT:
            named = index < 2 or found[index - 2].text.upper() not in _FUNCTION_NAMESPACES
        else:
            named = before is TokenType.ALIAS and not RESERVED.fullmatch(token.text)
        if word and named:
            sql = f"{sql[: token.start]}`{sql[token.start : token.end + 1]}`{sql[token.end + 1 :]}"
    return sql
