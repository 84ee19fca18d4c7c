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

# A lone carriage return and Unicode's line ends may or may not end a comment: nobody needs them in a query.
_UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x85\u2028\u2029\ufeff]|\r(?!\n)")

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
    | (?P<quoted>`(?:\\.|[^\\`\n])+`)
    | (?P<name>@{0,2}[A-Za-z_][A-Za-z0-9_]*)
    | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|0[xX][0-9a-fA-F]+)
    | (?P<symbol>[()\[\]{}.,;:=<>+\-*/%&|^~!?@$])
    """,
    re.VERBOSE | re.DOTALL,
)

_CLOSES = {")": "(", "]": "[", "}": "{"}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    offset: int


def check_query(query: str, *, field: str, allow_external: bool = False, allow_ai: bool = False) -> None:
    """Raise ``Rejected`` unless ``query`` is one query expression that may stand between parentheses.

    ``allow_external`` lets ``EXTERNAL_QUERY`` through; ``allow_ai`` lets functions through that call a language model for
    each row, whose cost ``max_bytes_billed`` does not bound. The query must be put on lines of its own, since it may end
    in a comment.
    """
    tokens = _checked_tokens(query, field, allow_external, allow_ai)
    if tokens[0].text.upper() not in {"SELECT", "WITH", "FROM", "("}:
        raise _refusal("a query begins with SELECT, WITH, FROM or a bracket", query, tokens[0], field)


def check_condition(condition: str, *, field: str, allow_external: bool = False, allow_ai: bool = False) -> None:
    """Raise ``Rejected`` unless ``condition`` is closed in itself, so that it may stand between parentheses after WHERE."""
    _checked_tokens(condition, field, allow_external, allow_ai)


def _checked_tokens(text: str, field: str, allow_external: bool, allow_ai: bool) -> list[_Token]:
    tokens = list(_tokens(text, field))
    if not tokens:
        raise Rejected(f"{field} is empty", field=field, code="invalid_query")
    _check_brackets(text, tokens, field)
    _check_calls(text, tokens, field, allow_external, allow_ai)
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
            what = "an unclosed string, name or comment" if query[at] in "\"'`/" else f"{query[at]!r}"
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


def _check_calls(query: str, tokens: list[_Token], field: str, allow_external: bool, allow_ai: bool) -> None:
    for index, token in enumerate(tokens):
        if token.text != "(" or index == 0 or tokens[index - 1].kind not in {"name", "quoted"}:
            continue
        path = _path_before(tokens, index)
        if path[-1:] == ["EXTERNAL_QUERY"] and not allow_external:
            raise _refusal(
                "EXTERNAL_QUERY is not allowed in a message (the setting ALLOW_EXTERNAL_QUERY allows it)",
                query,
                tokens[index - 1],
                field,
            )
        calls_a_model = path[:1] == ["AI"] or (path[:1] == ["ML"] and path[-1].startswith("GENERATE_"))
        if len(path) > 1 and calls_a_model and not allow_ai:
            raise _refusal(
                f"{'.'.join(path)} calls a language model for each row and is not allowed in a message's query "
                "(the setting ALLOW_AI_FUNCTIONS allows it)",
                query,
                tokens[index - 1],
                field,
            )


def _path_before(tokens: list[_Token], index: int) -> list[str]:
    """Return the dotted name that ends just before ``tokens[index]``, in upper case and without its quotes."""
    names: list[str] = []
    at = index - 1
    while at >= 0 and tokens[at].kind in {"name", "quoted"}:
        names[:0] = tokens[at].text.strip("`").upper().split(".")
        if at < 2 or tokens[at - 1].text != ".":
            break
        at -= 2
    return names


def _refusal(what: str, query: str, token: _Token, field: str) -> Rejected:
    return Rejected(f"{what}, at {_position(query, token.offset)}", field=field, code="invalid_query")


def _position(query: str, offset: int) -> str:
    line = query.count("\n", 0, offset) + 1
    column = offset - query.rfind("\n", 0, offset)
    return f"line {line}, column {column}"
