"""``OPTIONS`` in the statements that create routines in SQL, which bqemulator's parser does not know.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_procedure
"""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import Token, bracket_pairs, tokens

_CREATE = re.compile(r"\b(?:FUNCTION|PROCEDURE)\b.*\bOPTIONS\b", re.IGNORECASE | re.DOTALL)
# A body is checked when it runs, whatever strict_mode says.
_WITHOUT_EFFECT = ("strict_mode",)


def without_routine_options(sql: str) -> tuple[str, dict[str, str]]:
    """Return a statement or script without these clauses, and the descriptions in them by the names of the routines.

    Raises:
        QueryError: An option is not supported.
    """
    if _CREATE.search(sql) is None:
        return sql, {}
    found = tokens(sql)
    pairs = bracket_pairs(found)
    descriptions: dict[str, str] = {}
    for index in reversed(range(len(found) - 1)):
        if not found[index].is_word("OPTIONS") or not found[index + 1].is_symbol("(") or index + 1 not in pairs:
            continue
        name = _routine(found, _before_body(found, pairs, index))
        if name is not None:
            descriptions |= _description(name, found[index + 2 : pairs[index + 1]])
            sql = sql[: found[index].start] + sql[found[pairs[index + 1]].end :]
    return sql, descriptions


def _before_body(found: tuple[Token, ...], pairs: dict[int, int], options: int) -> int:
    """Return the index of AS if OPTIONS are behind the body of a function, as in ``AS (...) OPTIONS (...)``; else theirs."""
    body = pairs.get(options - 1)
    return body - 1 if body and found[body - 1].is_word("AS") else options


def _routine(found: tuple[Token, ...], end: int) -> str | None:
    """Return the name of the routine whose definition goes on at an index; None if the statement is another one."""
    depth = 0
    for index in range(end - 1, -1, -1):
        token = found[index]
        depth += token.is_symbol(")") - token.is_symbol("(")
        if depth < 0 or token.is_symbol(";") or (not depth and token.is_word("AS", "BEGIN", "SELECT")):
            return None
        if not depth and token.is_word("FUNCTION", "PROCEDURE"):
            parts = []
            for part in found[index + 1 : end]:
                if part.is_symbol("("):
                    break
                parts.append(part.text)
            return "".join(parts)
    return None


def _description(name: str, options: tuple[Token, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    depth = 0
    for key, equals, value in zip(options, options[1:], options[2:], strict=False):
        depth += key.is_symbol("(", "[") - key.is_symbol(")", "]")
        if depth or not equals.is_symbol("=") or key.kind not in ("word", "quoted"):
            continue
        option = key.text.lower()
        if option == "description" and value.kind == "string":
            found[name] = value.text
        elif option not in _WITHOUT_EFFECT:
            raise QueryError(
                f"The option {option} of routines is not supported by the local BigQuery.",
                reason="notImplemented",
                location="query",
            )
    return found
