"""Adds backticks to names that need none in GoogleSQL, but do in sqlglot or DuckDB."""

from __future__ import annotations

import re

import sqlglot
from sqlglot import TokenType

from localcloud.bigquery.sql.reading.googlesql import TYPES
from localcloud.bigquery.sql.reading.tokens import Token, readable_tokens

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
FUNCTION_NAMESPACES = frozenset({"AEAD", "AI", "HLL_COUNT", "KEYS", "ML", "NET", "SAFE"})

_DASHED = re.compile(r"[A-Za-z_]\w*(?:-\w+)+")
_BEFORE_A_TABLE = frozenset({"CLONE", "COPY", "DELETE", "EXISTS", "FROM", "INTO", "JOIN", "LIKE", "MERGE", "MODEL"})
_BEFORE_A_TABLE |= {"CALL", "CONNECTION", "FUNCTION", "PROCEDURE", "SCHEMA", "TABLE", "UPDATE", "USING", "VIEW"}
_AFTER_FROM = frozenset({"EXCEPT", "GROUP", "HAVING", "INTERSECT", "LIMIT", "ORDER", "QUALIFY", "SELECT", "SET"})
_AFTER_FROM |= {"UNION", "VALUES", "WHEN", "WHERE", "WINDOW"}
_JSON_LITERAL = re.compile(r"\bJSON\s*[rR]?['\"]", re.IGNORECASE)
_OFFSET = re.compile(r"\bWITH\s+OFFSET\b", re.IGNORECASE)
_NAMES = ("word", "quoted")
_FROM_INSIDE = frozenset({"EXTRACT", "SUBSTRING", "TRIM"})


_TYPE_WORDS = frozenset(re.split(r"[<,> ]+", " ".join(TYPES)))

# Words that are names in GoogleSQL, but have a meaning in sqlglot's dialect or are reserved in DuckDB.
_UNKNOWN_WORDS = frozenset(
    # A list of words reads better than one of strings.
    """ANTI ASOF AUTHORIZATION BINARY CHARACTER COLLATION CONCURRENTLY CURRENT_USER FORCE FREEZE GLOB ILIKE INSTALL
    ISNULL LAMBDA LOCK MAP NOTNULL OPERATOR OVERLAPS PARTITIONED_BY PIVOT_LONGER PIVOT_WIDER POSITIONAL REGEXP
    RETURNING RLIKE SEMI SIMILAR SUMMARIZE UNCACHE UNPACK VERBOSE XOR""".split()  # noqa: SIM905
)
# The same, but words of statements in GoogleSQL too. They are names where an expression or an alias is expected.
_STATEMENT_WORDS = frozenset(
    # A list of words reads better than one of strings.
    """ALTER CHECK CONSTRAINT DECLARE DESCRIBE DROP INSERT OFFSET OUT PIVOT REVOKE ROLLBACK SHOW UNIQUE UNPIVOT
    VALUES""".split()  # noqa: SIM905
)
# Functions that need no brackets, unless a dot or AS shows that they are names.
_BARE_FUNCTIONS = frozenset({"CURRENT_DATE", "CURRENT_DATETIME", "CURRENT_TIME", "CURRENT_TIMESTAMP"})
_MAY_CONCERN = re.compile(
    rf"\b(?:{'|'.join(sorted(_UNKNOWN_WORDS | _STATEMENT_WORDS | _BARE_FUNCTIONS))})\b|\.\s*(?:{RESERVED.pattern})\b",
    re.VERBOSE | re.IGNORECASE,
)
_OPERATORS = frozenset(
    {"(", "[", ",", "=", "+", "-", "*", "/", "<", ">", "<=", ">=", "!=", "<>", "||", "|", "&", "^", "=>"}
)
_BEFORE_AN_OPERAND = frozenset(
    """ALL AND ANY BETWEEN BY CASE DISTINCT ELSE EXCEPT HAVING IF IN LIKE NOT ON OR QUALIFY SELECT SET THEN WHEN WHERE
    WHILE""".split()  # noqa: SIM905
)
_BEFORE_A_SOURCE = frozenset({"FROM", "INTO", "JOIN", "TABLE", "UPDATE"})

_SAFE_NETWORK = re.compile(r"\bSAFE\s*\.\s*NET\s*\.", re.IGNORECASE)


def quote_names(sql: str) -> str:
    """Return ``sql`` with backticks around names that need none in GoogleSQL, but do in sqlglot or DuckDB.

    These are table names with dashes, and words that are no reserved keywords of GoogleSQL:
    https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords
    """
    sql = quote_dashed(sql)
    if _MAY_CONCERN.search(sql) is None:
        return sql
    found = readable_tokens(sql)
    procedure = any(token.is_word("PROCEDURE") for token in found)
    for index in range(len(found) - 1, -1, -1):
        token = found[index]
        if token.kind == "word" and _needs_quotes(found, index, procedure=procedure):
            word = _first_word(token)
            sql = f"{sql[: token.start]}`{word}`{sql[token.start + len(word) :]}"
    return sql


def _needs_quotes(found: tuple[Token, ...], index: int, *, procedure: bool) -> bool:
    """Return whether a word is a name that needs backticks.

    Args:
        found: The tokens of a statement or script.
        index: The index of the word.
        procedure: Whether there are procedures, whose parameters may be OUT.
    """
    word = _first_word(found[index]).upper()
    before = found[index - 1] if index else None
    after = found[index + 1] if index + 1 < len(found) else None
    if before is None or before.is_symbol("@", ";"):
        return False  # a parameter, or the first word of a statement
    if before.is_symbol("."):
        in_namespace = index > 1 and found[index - 2].text.upper() in FUNCTION_NAMESPACES
        known = word in _UNKNOWN_WORDS | _STATEMENT_WORDS | _BARE_FUNCTIONS
        return not in_namespace and (known or RESERVED.fullmatch(word) is not None)
    if after is not None and after.is_symbol("("):
        return False
    if word in _UNKNOWN_WORDS or (word == "OUT" and not procedure):
        return True
    alias = before.is_word("AS") and not _is_type(found, index)
    typed = after is not None and after.text.upper().partition(" ")[0] in _TYPE_WORDS
    if word in _BARE_FUNCTIONS:
        return alias or typed or (after is not None and after.is_symbol("."))
    if word not in _STATEMENT_WORDS:
        return False
    ends = (
        after is None
        or (after.kind == "symbol")
        or (after.kind == "word" and bool(RESERVED.fullmatch(after.text.partition(" ")[0])))
    )
    previous = before.text.upper().rpartition(" ")[2] if before.kind == "word" else ""
    if alias or previous in _BEFORE_A_SOURCE or (after is not None and after.is_symbol(".")):
        return True
    if before.is_word("WITH"):
        # A common table expression, and not WITH OFFSET AS.
        bracket = found[index + 2] if index + 2 < len(found) else None
        return after is not None and after.is_word("AS") and bracket is not None and bracket.is_symbol("(")
    if previous in _BEFORE_AN_OPERAND:
        return ends
    if before.kind == "symbol" and before.text in _OPERATORS:
        piped = before.text == ">" and index > 1 and found[index - 2].is_symbol("|")
        return not piped and (ends or typed)
    if RESERVED.fullmatch(previous) and previous not in ("END", "NULL", "TRUE", "FALSE"):
        return False
    if after is not None and after.kind == "symbol" and not after.is_symbol(",", ")", "]", ";"):
        return False
    return ends and not before.is_word("BEGIN", "DO", "LOOP", "REPEAT", "ELSEIF")


def _first_word(token: Token) -> str:
    """Return the word of a token; sqlglot reads ``CHARACTER SET`` as one token, which GoogleSQL does not have."""
    return token.text[:9] if token.text.upper() == "CHARACTER SET" else token.text


def _is_type(found: tuple[Token, ...], index: int) -> bool:
    """Return whether the word after AS is the type of a CAST."""
    depth = 0
    for at in range(index - 1, 0, -1):
        depth += found[at].is_symbol(")") - found[at].is_symbol("(")
        if depth < 0:
            return found[at - 1].is_word("CAST", "SAFE_CAST")
    return False


def quote_dashed(sql: str) -> str:
    """Return ``sql`` with backticks around table names whose first part has dashes.

    GoogleSQL allows such names without backticks where a table is expected; elsewhere ``a-b`` is a subtraction:
    https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#table_names
    """
    if _DASHED.search(sql) is None:
        return sql
    found = readable_tokens(sql)
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
            named = index < 2 or found[index - 2].text.upper() not in FUNCTION_NAMESPACES
        else:
            named = before is TokenType.ALIAS and not RESERVED.fullmatch(token.text)
        if word and named:
            sql = f"{sql[: token.start]}`{sql[token.start : token.end + 1]}`{sql[token.end + 1 :]}"
    return sql


def join_networks(sql: str) -> str:
    """Return ``sql`` with the macros of ``SAFE.NET.IP_TRUNC(`` and its like, of which sqlglot does not read the three parts."""
    if _SAFE_NETWORK.search(sql) is None:
        return sql
    found = readable_tokens(sql)
    for index in range(len(found) - 6, -1, -1):
        safe, net, name = found[index : index + 5 : 2]
        if not (safe.is_word("SAFE") and net.is_word("NET") and found[index + 5].is_symbol("(")):
            continue
        # Only the functions of addresses fail.
        called = f"SAFE._net_{name.text.lower()}" if name.text.upper().startswith("IP") else f"NET.{name.text}"
        sql = f"{sql[: safe.start]}{called}{sql[name.end :]}"
    return sql


def unnest_paths(sql: str) -> str:
    """Return ``sql`` with UNNEST around the arrays that FROM names by a path and gives an offset.

    sqlglot does not parse ``FROM t, t.array AS e WITH OFFSET``:
    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#implicit_unnest
    """
    if _OFFSET.search(sql) is None:
        return sql
    found = readable_tokens(sql)
    for index in range(len(found) - 1, 1, -1):
        if not (found[index].is_word("OFFSET") and found[index - 1].is_word("WITH")):
            continue
        last = index - 2
        if last > 1 and found[last - 1].is_word("AS"):
            last -= 2
        elif last > 0 and found[last].kind in _NAMES and found[last - 1].kind in _NAMES:
            last -= 1
        first = last
        while first > 1 and found[first - 1].is_symbol(".") and found[first - 2].kind in _NAMES:
            first -= 2
        before = found[first - 1] if first else None
        after = before is not None and (before.is_symbol(",") or before.text.upper().endswith(("JOIN", "FROM")))
        if first == last or not after:
            continue
        path = sql[found[first].start : found[last].end]
        sql = f"{sql[: found[first].start]}UNNEST({path}){sql[found[last].end :]}"
    return sql


def bracket_json(sql: str) -> str:
    """Return ``sql`` with brackets around the literals in ``JSON '...'.field``, of which sqlglot reads the text as the operand.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#field_access_operator
    """
    if _JSON_LITERAL.search(sql) is None:
        return sql
    found = readable_tokens(sql)
    for index in range(len(found) - 3, -1, -1):
        word, text, dot = found[index : index + 3]
        if word.is_word("JSON") and text.kind == "string" and dot.is_symbol("."):
            sql = f"{sql[: word.start]}({sql[word.start : text.end]}){sql[text.end :]}"
    return sql
