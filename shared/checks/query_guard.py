"""Proves that a query from a message is one parenthesised unit, so that it can stand inside a statement of ours.

A small lexer of GoogleSQL reads strings, quoted names, comments and brackets; whatever it is not sure that BigQuery's own
lexer sees the same way, it refuses. What the query then does (that it is one SELECT, what it reads) is for the dry run.
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/lexical
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import Rejected

# https://docs.cloud.google.com/bigquery/quotas#query_jobs: a query's text ends at 1 MB.
LONGEST_QUERY = 1_000_000

# A lone carriage return and Unicode's line ends may or may not end a comment: nobody needs them in a query.
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ufeff]|\r(?!\n)")

# A name in backticks may hold escapes for BigQuery, behind which a function's name could hide: such a name is no token here.
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

# What may follow a query in brackets at the beginning of a query. Anything else (an alias, a join, a comma, an operator)
# would make it a table or an expression, which means something else between our brackets.
# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#sql_syntax
_GOES_ON = frozenset({"UNION", "INTERSECT", "EXCEPT", "ORDER", "LIMIT"})
_BEFORE_SET_OPERATOR = frozenset({"FULL", "LEFT", "INNER", "OUTER"})

# https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax
_WRITING_PIPES = frozenset({"INSERT", "CREATE", "EXPORT"})

# Functions beside AI.* and ML.GENERATE_* that pay another service for each row:
# https://docs.cloud.google.com/bigquery/docs/generative-ai-overview#task-specific_functions
_PAID_FUNCTIONS = frozenset({"TRANSLATE", "UNDERSTAND_TEXT", "ANNOTATE_IMAGE", "PROCESS_DOCUMENT", "TRANSCRIBE"})


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    offset: int


def check_query(
    query: str, *, field: str, allow_external: bool = False, allow_ai: bool = False, allow_catalog: bool = True
) -> None:
    """Raise ``Rejected`` unless ``query`` is one query expression that may stand between parentheses.

    ``allow_external`` lets ``EXTERNAL_QUERY`` through; ``allow_ai`` lets functions through that call a model of another
    service for each row, whose cost ``max_bytes_billed`` does not bound; without ``allow_catalog`` a query may not read
    INFORMATION_SCHEMA, of which no dry run tells which datasets it is about. The query must be put on lines of its own, since
    it may end in a comment.
    """
    tokens = _checked_tokens(query, field, allow_external, allow_ai, allow_catalog)
    _check_beginning(query, tokens, field)


def check_condition(
    condition: str, *, field: str, allow_external: bool = False, allow_ai: bool = False, allow_catalog: bool = True
) -> None:
    """Raise ``Rejected`` unless ``condition`` is closed in itself, so that it may stand between parentheses after WHERE."""
    _checked_tokens(condition, field, allow_external, allow_ai, allow_catalog)


def _checked_tokens(text: str, field: str, allow_external: bool, allow_ai: bool, allow_catalog: bool) -> list[_Token]:
    tokens = list(_tokens(text, field))
    if not tokens:
        raise Rejected(f"{field} is empty", field=field, code="invalid_query")
    _check_brackets(text, tokens, field)
    _check_pipes(text, tokens, field)
    _check_calls(text, tokens, field, allow_external, allow_ai)
    for token in tokens if not allow_catalog else ():
        if token.kind in {"name", "quoted"} and "INFORMATION_SCHEMA" in token.text.upper():
            raise _refusal("INFORMATION_SCHEMA is not allowed while READABLE_DATASETS is set", text, token, field)
    return tokens


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
    for token in tokens:
        if token.kind != "symbol":
            continue
        if token.text == ";":
            raise _refusal("the query is more than one statement", query, token, field)
        if token.text in _CLOSES.values():
            open_brackets.append(token)
        elif token.text in _CLOSES and (not open_brackets or open_brackets.pop().text != _CLOSES[token.text]):
            raise _refusal("the query closes a bracket that is not open", query, token, field)
    if open_brackets:
        raise _refusal("the query does not close a bracket", query, open_brackets[-1], field)


def _check_beginning(query: str, tokens: list[_Token], field: str) -> None:
    """Raise ``Rejected`` unless the text is a query: after its leading brackets, and after each of them closes."""
    words = [token.text.upper() for token in tokens]
    leading = next(index for index, word in enumerate(words) if word != "(")
    begins = words[leading] in {"SELECT", "FROM"} or (words[leading] == "WITH" and words[leading + 1 :][:1] != ["("])
    if not begins:
        raise _refusal("a query begins with SELECT, WITH, FROM or a bracket", query, tokens[leading], field)
    depth = 0
    for index, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if word == ")" and depth < leading:
            leading = depth
            if not _goes_on(words[index + 1 : index + 5]):
                raise _refusal("the query in brackets is followed by something else", query, tokens[index + 1], field)


def _goes_on(words: list[str]) -> bool:
    """Return whether ``words`` may follow a query in brackets."""
    match words[:2]:
        case [] | [")", *_] | ["|", ">"]:
            return True
    return next((word for word in words if word not in _BEFORE_SET_OPERATOR), "") in _GOES_ON


def _check_pipes(query: str, tokens: list[_Token], field: str) -> None:
    for bar, arrow, operator in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if bar.text == "|" and arrow.text == ">" and operator.text.upper() in _WRITING_PIPES:
            raise _refusal("a query may only read", query, operator, field)


def _check_calls(query: str, tokens: list[_Token], field: str, allow_external: bool, allow_ai: bool) -> None:
    for index, token in enumerate(tokens):
        path = _path_before(tokens, index) if token.text == "(" else []
        if path[-1:] == ["EXTERNAL_QUERY"] and not allow_external:
            raise _refusal(
                "EXTERNAL_QUERY is not allowed in a message (the setting ALLOW_EXTERNAL_QUERY allows it)",
                query,
                tokens[index - 1],
                field,
            )
        # After an expression the last name alone is called: (x).field.`AI.GENERATE`()
        if not allow_ai and (_asks_a_model(path) or (path and _asks_a_model(_parts(tokens[index - 1])))):
            raise _refusal(
                f"{'.'.join(path)} calls a model of another service for each row and is not allowed in a message's query "
                "(the setting ALLOW_AI_FUNCTIONS allows it)",
                query,
                tokens[index - 1],
                field,
            )


def _asks_a_model(path: list[str]) -> bool:
    match path:
        case ["SAFE", *rest] if len(rest) > 1:
            return _asks_a_model(rest)
        case ["AI", _, *_]:
            return True
        case ["ML", *_, function]:
            return function.startswith("GENERATE_") or function in _PAID_FUNCTIONS
        case _:
            return False


def _path_before(tokens: list[_Token], index: int) -> list[str]:
    """Return the dotted name that is called with ``tokens[index]``, in upper case and without its quotes."""
    names: list[str] = []  # from the last to the first
    at = index - 1
    if at > 0 and tokens[at].text == ")":
        # The chained form of a name of several parts: argument.(AI.GENERATE)(...)
        at -= 1
    while at >= 0 and tokens[at].kind in {"name", "quoted"}:
        names += reversed(_parts(tokens[at]))
        if at < 2 or tokens[at - 1].text != ".":
            break
        at -= 2
    return names[::-1]


def _parts(name: _Token) -> list[str]:
    return name.text.strip("`").upper().split(".")


def _refusal(what: str, query: str, token: _Token, field: str) -> Rejected:
    return Rejected(f"{what}, at {_position(query, token.offset)}", field=field, code="invalid_query")


def _position(query: str, offset: int) -> str:
    line = query.count("\n", 0, offset) + 1
    column = offset - query.rfind("\n", 0, offset)
    return f"line {line}, column {column}"
