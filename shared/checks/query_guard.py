"""Checks that a query from a request is complete in itself, so that it can be put between parentheses in a statement.

A small lexer of GoogleSQL reads strings, quoted names, comments and brackets. It rejects every text that BigQuery's own
lexer might read differently. The dry run checks the rest: that the query is one SELECT, and what it reads.
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import Rejected

# The text of a query has at most 1 MB: https://docs.cloud.google.com/bigquery/quotas#query_jobs
LONGEST_QUERY = 1_000_000

# A lone carriage return or one of Unicode's line ends may end a comment or not. No query needs them.
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ufeff]|\r(?!\n)")

# BigQuery allows escapes in a quoted name, which could hide the name of a function. Such a name is not a token here.
_TOKEN = re.compile(
    r"""
      (?P<space>\s+)
    | (?P<comment>(?:--|\#)[^\n]*|/\*.*?\*/)
    | (?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:
          \"\"\"(?:\\.|[^\\])*?\"\"\"
        | '''(?:\\.|[^\\])*?'''
        | \"(?!\"\")(?:\\.|[^\\"\n])*\"
        | '(?!'')(?:\\.|[^\\'\n])*'
      ))
    | (?P<quoted>`[^\\`\n]+`)
    | (?P<name>@{0,2}[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|0[xX][0-9a-fA-F]+)
    | (?P<symbol>[()\[\]{}.,;:=<>+\-*/%&|^~!?@$])
    """,
    re.VERBOSE | re.DOTALL,
)

_CLOSES = {")": "(", "]": "[", "}": "{"}

# What may follow a bracketed query at the beginning of a query. After anything else (an alias, a join, a comma, an operator)
# it would be a table or an expression, which has another meaning between parentheses.
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#sql_syntax
_CONTINUATIONS = frozenset({"UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT"})
_BEFORE_SET_OPERATOR = frozenset({"FULL", "LEFT", "INNER", "OUTER"})

# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
_WRITING_PIPES = frozenset({"INSERT", "CREATE", "EXPORT"})

# Functions that call another service for each row, at its price, as AI.* and ML.GENERATE_* do:
# https://docs.cloud.google.com/bigquery/docs/generative-ai-overview#task-specific_functions
_PAID_FUNCTIONS = frozenset({"TRANSLATE", "UNDERSTAND_TEXT", "ANNOTATE_IMAGE", "PROCESS_DOCUMENT", "TRANSCRIBE"})


# The namespaces of BigQuery's own functions:
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/functions-all
_NAMESPACES = frozenset({"AEAD", "AI", "HLL_COUNT", "KEYS", "KLL_QUANTILES", "ML", "NET", "OBJ"})

_BEFORE_A_TABLE = frozenset({"FROM", "JOIN", "TABLE"})
_AFTER_TABLES = frozenset({"SELECT", "WHERE", "GROUP", "HAVING", "QUALIFY", "WINDOW", "ORDER", "LIMIT"})


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    offset: int


def check_query(
    query: str, *, field: str, allow_external: bool = False, allow_ai: bool = False, allow_catalog: bool = True
) -> str:
    """Return ``query`` without a final semicolon if it is one query expression that can be put between parentheses.

    The caller puts the query on lines of its own, because it may end in a comment.

    Args:
        query: The text of the query.
        field: The field of the request that holds the query.
        allow_external: Allow ``EXTERNAL_QUERY``.
        allow_ai: Allow functions that call a model of another service for each row. ``max_bytes_billed`` does not limit
            their cost.
        allow_catalog: Allow INFORMATION_SCHEMA. A dry run does not return which datasets such a query reads.

    Raises:
        Rejected: It is not.
    """
    query, tokens = _checked_tokens(query, field, allow_external, allow_ai, allow_catalog)
    _check_beginning(query, tokens, field)
    return query


def check_condition(
    condition: str, *, field: str, allow_external: bool = False, allow_ai: bool = False, allow_catalog: bool = True
) -> str:
    """Return ``condition`` without a final semicolon if it can be put between parentheses after WHERE.

    The arguments, and the error, are those of ``check_query``.
    """
    return _checked_tokens(condition, field, allow_external, allow_ai, allow_catalog)[0]


@dataclass(frozen=True)
class Names:
    """The names in a text of SQL that lead to other objects, each as the parts of its path."""

    models: tuple[tuple[str, ...], ...]
    """The names after the word MODEL."""
    tables: tuple[tuple[str, ...], ...]
    """The names of tables and views in FROM clauses, and after the word TABLE."""
    routines: tuple[tuple[str, ...], ...]
    """The names of called functions and table functions that have a dataset."""


def names_in(text: str, *, field: str) -> Names:
    """Return the names of models, tables and routines with a dataset in a query or an expression.

    Args:
        text: The query or expression.
        field: The field of the request that leads to it.

    Raises:
        Rejected: The text can't be read.
    """
    tokens = list(_tokens(text, field))
    found: dict[str, dict[tuple[str, ...], None]] = {"models": {}, "tables": {}, "routines": {}}
    lists = [False]  # for each open bracket: whether its commas separate tables
    index, before = 0, ""
    while index < len(tokens):
        token, starts_table = tokens[index], before in _BEFORE_A_TABLE or (before in {",", "("} and lists[-1])
        if token.kind not in {"name", "quoted"}:
            if token.text == "(":
                lists.append(starts_table)
            elif token.text == ")" and len(lists) > 1:
                lists.pop()
            index, before = index + 1, token.text
            continue
        path, following = _path_from(tokens, index)
        called = following < len(tokens) and tokens[following].text == "("
        if len(path) > 1:
            if before == "MODEL":
                found["models"][path] = None
            elif called:
                path = path[1:] if path[0].upper() == "SAFE" else path
                if len(path) > 1 and path[0].upper() not in _NAMESPACES:
                    found["routines"][path] = None
            elif starts_table:
                found["tables"][path] = None
        word = token.text.upper() if token.kind == "name" and len(path) == 1 else ""
        if word in _BEFORE_A_TABLE:
            lists[-1] = True
        elif word in _AFTER_TABLES:
            lists[-1] = False
        index, before = following, word
    return Names(tuple(found["models"]), tuple(found["tables"]), tuple(found["routines"]))


def _path_from(tokens: list[_Token], index: int) -> tuple[tuple[str, ...], int]:
    """Return the parts of the path that begins at a token, and the index after it.

    The first part may have hyphens, as the names of projects do:
    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical#table_names
    """
    parts: list[str] = []
    while True:
        token = tokens[index]
        text, end, index = token.text, token.offset + len(token.text), index + 1
        while token.kind == "name" and not parts and _hyphen(tokens, index, end):
            text += f"-{tokens[index + 1].text}"
            end = tokens[index + 1].offset + len(tokens[index + 1].text)
            index += 2
        parts += text.strip("`").split(".") if token.kind == "quoted" else [text]
        if index + 1 >= len(tokens) or tokens[index].text != "." or tokens[index + 1].kind not in {"name", "quoted"}:
            return tuple(parts), index
        index += 1


def _hyphen(tokens: list[_Token], index: int, end: int) -> bool:
    """Return whether a hyphen at an index joins the name before it, which ends at an offset, and the token after it."""
    if index + 1 >= len(tokens) or tokens[index].text != "-" or tokens[index].offset != end:
        return False
    return tokens[index + 1].kind in {"name", "number"} and tokens[index + 1].offset == end + 1


def check_definition(text: str, *, field: str, of: str) -> None:
    """Raise ``Rejected`` if the definition of a view or routine calls a model of another service for each row.

    Args:
        text: The query of the view, or the body of the routine.
        field: The field of the request that leads to it.
        of: What it defines, for the error, such as ``the view p.d.v``.
    """
    tokens = list(_tokens(text, field))
    for index, token in enumerate(tokens):
        path = _path_before(tokens, index) if token.text == "(" else []
        if _calls_a_model(path) or (path and _calls_a_model(_parts(tokens[index - 1]))):
            raise paid_call(f"{'.'.join(path)} in {of}", field)


def paid_call(what: str, field: str) -> Rejected:
    """Return the error that ``what`` asks a model of another service for each row."""
    return Rejected(
        f"{what} calls a model of another service for each row and is not allowed in a message's query. Name the model and "
        "the function in the message, with max_rows (the setting ALLOW_AI_FUNCTIONS allows it in queries too)",
        field=field,
        code="invalid_query",
    )


def _checked_tokens(
    text: str, field: str, allow_external: bool, allow_ai: bool, allow_catalog: bool
) -> tuple[str, list[_Token]]:
    """Return a text without its final semicolon, and its tokens."""
    tokens = list(_tokens(text, field))
    if tokens and tokens[-1].text == ";":
        offset = tokens.pop().offset
        text = f"{text[:offset]} {text[offset + 1 :]}"
    if not tokens:
        raise Rejected(f"{field} is empty", field=field, code="invalid_query")
    _check_brackets(text, tokens, field)
    _check_pipes(text, tokens, field)
    _check_calls(text, tokens, field, allow_external, allow_ai)
    for token in tokens if not allow_catalog else ():
        if token.kind in {"name", "quoted"} and "INFORMATION_SCHEMA" in token.text.upper():
            raise _rejection("INFORMATION_SCHEMA is not allowed while READABLE_DATASETS is set", text, token, field)
    return text, tokens


def _tokens(query: str, field: str) -> Iterator[_Token]:
    if unsafe := _UNSAFE.search(query):
        raise Rejected(
            f"the query holds the character U+{ord(unsafe.group()[0]):04X} at {_position(query, unsafe.start())}, "
            "which may not be in a query",
            field=field,
            code="invalid_query",
        )
    at = 0
    while at < len(query):
        found = _TOKEN.match(query, at)
        if found is None:
            unclosed = "an unclosed string, name or comment, or a name with a backslash"
            what = unclosed if query[at] in "\"'`/" else f"{query[at]!r}"
            raise Rejected(f"the query holds {what} at {_position(query, at)}", field=field, code="invalid_query")
        if found.lastgroup == "symbol" and found.group() == "/" and query.startswith("/*", at):
            raise Rejected(
                f"a comment that begins at {_position(query, at)} does not end", field=field, code="invalid_query"
            )
        if found.lastgroup not in {"space", "comment"}:
            yield _Token(str(found.lastgroup), found.group(), at)
        at = found.end()


def _check_brackets(query: str, tokens: list[_Token], field: str) -> None:
    open_brackets: list[_Token] = []
    for token, following in zip(tokens, (*tokens[1:], None), strict=True):
        if token.kind != "symbol":
            continue
        if token.text == ";":
            place = _position(query, (following or token).offset)
            raise Rejected(
                f"the query is more than one statement: the second one begins at {place}; send one SELECT",
                field=field,
                code="invalid_query",
            )
        if token.text in _CLOSES.values():
            open_brackets.append(token)
        elif token.text in _CLOSES and (not open_brackets or open_brackets.pop().text != _CLOSES[token.text]):
            raise _rejection("the query closes a bracket that is not open", query, token, field)
    if open_brackets:
        raise _rejection("the query does not close a bracket", query, open_brackets[-1], field)


def _check_beginning(query: str, tokens: list[_Token], field: str) -> None:
    """Raise ``Rejected`` unless a query begins after the leading brackets and continues after each of them closes."""
    words = [token.text.upper() for token in tokens]
    leading = next(index for index, word in enumerate(words) if word != "(")
    is_query = words[leading] in {"SELECT", "FROM"} or (words[leading] == "WITH" and words[leading + 1 :][:1] != ["("])
    if not is_query:
        begins = f"a query begins with SELECT, WITH, FROM or a bracket, not with {tokens[leading].text[:40]}"
        raise _rejection(begins, query, tokens[leading], field)
    depth = 0
    for index, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if word == ")" and depth < leading:
            leading = depth
            if not _may_follow(words[index + 1 : index + 5]):
                raise _rejection("the query in brackets is followed by something else", query, tokens[index + 1], field)


def _may_follow(words: list[str]) -> bool:
    """Return whether ``words`` may follow a bracketed query."""
    match words[:2]:
        case [] | [")", *_] | ["|", ">"]:
            return True
    return next((word for word in words if word not in _BEFORE_SET_OPERATOR), "") in _CONTINUATIONS


def _check_pipes(query: str, tokens: list[_Token], field: str) -> None:
    for bar, arrow, operator in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if bar.text == "|" and arrow.text == ">" and operator.text.upper() in _WRITING_PIPES:
            raise _rejection("a query may only read", query, operator, field)


def _check_calls(query: str, tokens: list[_Token], field: str, allow_external: bool, allow_ai: bool) -> None:
    for index, token in enumerate(tokens):
        path = _path_before(tokens, index) if token.text == "(" else []
        if path[-1:] == ["EXTERNAL_QUERY"] and not allow_external:
            raise _rejection(
                "EXTERNAL_QUERY is not allowed in a message (the setting ALLOW_EXTERNAL_QUERY allows it)",
                query,
                tokens[index - 1],
                field,
            )
        # After an expression, only the last name is the function: (x).field.`AI.GENERATE`()
        if not allow_ai and (_calls_a_model(path) or (path and _calls_a_model(_parts(tokens[index - 1])))):
            raise _rejection(
                paid_call(".".join(path), field).problem.message,
                query,
                tokens[index - 1],
                field,
            )


def _calls_a_model(path: list[str]) -> bool:
    match path:
        case ["SAFE", *rest] if len(rest) > 1:
            return _calls_a_model(rest)
        case ["AI", _, *_]:
            return True
        case ["ML", *_, function]:
            return function.startswith("GENERATE_") or function in _PAID_FUNCTIONS
        case _:
            return False


def _path_before(tokens: list[_Token], index: int) -> list[str]:
    """Return the parts of the function name before the bracket ``tokens[index]``, in upper case and without quotes."""
    names: list[str] = []  # from the last to the first
    at = index - 1
    if at > 0 and tokens[at].text == ")":
        # The chained form of a function with a dotted name: argument.(AI.GENERATE)(...)
        at -= 1
    while at >= 0 and tokens[at].kind in {"name", "quoted"}:
        names += reversed(_parts(tokens[at]))
        if at < 2 or tokens[at - 1].text != ".":
            break
        at -= 2
    return names[::-1]


def _parts(name: _Token) -> list[str]:
    return name.text.strip("`").upper().split(".")


def _rejection(what: str, query: str, token: _Token, field: str) -> Rejected:
    return Rejected(f"{what}, at {_position(query, token.offset)}", field=field, code="invalid_query")


def _position(query: str, offset: int) -> str:
    line = query.count("\n", 0, offset) + 1
    column = offset - query.rfind("\n", 0, offset)
    return f"line {line}, column {column}"
