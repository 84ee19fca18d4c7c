"""Replaces the system variables of GoogleSQL, such as ``@@project_id``, by their values.

https://cloud.google.com/bigquery/docs/reference/system-variables
"""

from __future__ import annotations

from collections.abc import Mapping

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.tokens import position, readable_tokens

# The translation replaces it.
_REPLACED_LATER = "session.user"
_NOT_SUPPORTED = frozenset({"reservation", "script.bytes_processed"})
_OF_HANDLERS = frozenset({"error.formatted_stack_trace", "error.message", "error.stack_trace", "error.statement_text"})


def replace_system_variables(sql: str, values: Mapping[str, str]) -> str:
    """Return ``sql`` with literals in the place of system variables.

    Args:
        sql: The statement.
        values: The literals in GoogleSQL, by the names of the variables in lower case without ``@@``.

    Raises:
        QueryError: A variable does not exist, or the local BigQuery does not support it.
    """
    if "@@" not in sql:
        return sql
    found = readable_tokens(sql)
    for index in range(len(found) - 3, -1, -1):
        first, second, word = found[index : index + 3]
        if not (first.is_symbol("@") and second.is_symbol("@") and second.start == first.end and word.kind == "word"):
            continue
        name, last = word.text.lower(), word
        for dot, part in zip(found[index + 3 :: 2], found[index + 4 :: 2], strict=False):
            if not dot.is_symbol(".") or part.kind != "word":
                break
            name, last = f"{name}.{part.text.lower()}", part
        if name == _REPLACED_LATER:
            continue
        if name not in values:
            raise QueryError(f"{_reason(name)} at {position(sql, first.start)}", location="query")
        sql = f"{sql[: first.start]}{values[name]}{sql[last.end :]}"
    return sql


def _reason(name: str) -> str:
    """Return why a system variable cannot be read."""
    if name in _NOT_SUPPORTED:
        return f"System variable @@{name} is not supported by the local BigQuery"
    if name in _OF_HANDLERS:
        return f"System variable @@{name} can be read only in an exception handler"
    return f"Unrecognized system variable: @@{name}"
