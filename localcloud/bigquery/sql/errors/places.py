"""Gives errors the places that they have in what the client wrote: a script, or a query with pipe operators.

A statement is checked and translated without the script around it, and after the rewriting of forms that sqlglot cannot parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import position, readable_tokens

# A place at the end of a message, and the name before it.
_PLACE = re.compile(r" at \[(?P<line>\d+):(?P<column>\d+)\]$")
_NAME = re.compile(r"(\w+)[\"'`]?$")
_REWRITTEN = re.compile(r"\|>|\bWITH\s*\(", re.IGNORECASE)


@contextmanager
def in_rewritten(sql: str) -> Iterator[None]:
    """Give the errors in a block their places in ``sql``, if it has a form that is rewritten before it is parsed.

    The place is that of the first use of the name in the message. Without a name, the message has no place.
    """
    try:
        yield
    except QueryError as error:
        if _REWRITTEN.search(sql) is not None and (found := _PLACE.search(error.message)) is not None:
            message = error.message[: found.start()]
            error.message = message + _place_of(message, sql)
        raise


def _place_of(message: str, sql: str) -> str:
    named = _NAME.search(message)
    name = "" if named is None else named[1].lower()
    used = (each for each in readable_tokens(sql) if each.kind in ("word", "quoted") and each.text.lower() == name)
    token = next(used, None)
    return "" if token is None else f" at {position(sql, token.start)}"


def move_to_script(error: QueryError, statement: str, script: str) -> None:
    """Give the error of a statement its place in the script, if the statement is there once and is not dynamic."""
    found = _PLACE.search(error.message)
    start = script.find(statement)
    if found is None or start < 0 or script.find(statement, start + 1) >= 0:
        return
    if any(token.kind == "string" and token.start <= start < token.end for token in readable_tokens(script)):
        return
    before, line = script[:start], int(found["line"])
    column = int(found["column"]) + (len(before) - before.rfind("\n") - 1 if line == 1 else 0)
    error.message = f"{error.message[: found.start()]} at [{line + before.count(chr(10))}:{column}]"
