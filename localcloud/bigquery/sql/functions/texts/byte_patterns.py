"""Matches regular expressions with BYTES, and joins BYTES; DuckDB does so with texts only.

Python's regular expressions differ from RE2's in few elements, which are refused or replaced.
https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#regexp_contains
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import duckdb
from duckdb.func import FunctionNullHandling
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.arrays import joined
from localcloud.bigquery.sql.functions.nodes import Rule, call, number
from localcloud.bigquery.sql.functions.texts.byte_strings import is_bytes


@lru_cache(maxsize=512)
def _compiled(pattern: bytes) -> re.Pattern[bytes]:
    try:
        compiled = re.compile(pattern.replace(rb"\z", rb"\Z"))
    except re.error as error:
        raise FunctionError(QueryError(f"Cannot parse regular expression of BYTES: {error}")) from None
    if compiled.groups > 1:
        raise FunctionError(
            QueryError("Regular expressions passed into extraction functions must not have more than 1 capturing group")
        )
    return compiled


def _contains(value: bytes, pattern: bytes) -> bool:
    return _compiled(pattern).search(value) is not None


def _every(value: bytes, pattern: bytes) -> list[re.Match[bytes]]:
    """Return the matches; an empty one at the end of the value counts only in an empty value."""
    return [each for each in _compiled(pattern).finditer(value) if each.start() < len(value) or not value]


def _nth(value: bytes, pattern: bytes, position: int, occurrence: int) -> re.Match[bytes] | None:
    if position < 1 or occurrence < 1:
        raise FunctionError(QueryError("The position and the occurrence of a match must be positive"))
    matches = list(_compiled(pattern).finditer(value, position - 1)) if position <= len(value) + 1 else []
    return matches[occurrence - 1] if occurrence <= len(matches) else None


def _extract(value: bytes, pattern: bytes, position: int, occurrence: int) -> bytes | None:
    match = _nth(value, pattern, position, occurrence)
    return None if match is None else match[match.re.groups]


def _extract_all(value: bytes, pattern: bytes) -> list[bytes]:
    return [match[match.re.groups] or b"" for match in _every(value, pattern)]


def _place(value: bytes, pattern: bytes, position: int, occurrence: int, after: int) -> int:
    match = _nth(value, pattern, position, occurrence)
    return 0 if match is None else (match.end if after else match.start)(match.re.groups) + 1


def _replace(value: bytes, pattern: bytes, replacement: bytes) -> bytes:
    template = re.sub(rb"\\(\d)", rb"\\g<\1>", replacement)
    try:
        return re.sub(pattern.replace(rb"\z", rb"\Z"), template, value)
    except (re.error, IndexError) as error:
        raise FunctionError(QueryError(f"Invalid REGEXP_REPLACE pattern: {error}")) from None


def _joined(values: list[bytes | None], separator: bytes) -> bytes:
    return separator.join(each for each in values if each is not None)


def _joined_with(values: list[bytes | None], separator: bytes, missing: bytes) -> bytes:
    return separator.join(missing if each is None else each for each in values)


# The functions in Python, the types of their parameters, and of their results.
_FUNCTIONS: Mapping[str, tuple[Callable[..., Any], tuple[str, ...], str]] = {
    "regexp_contains": (_contains, ("BLOB", "BLOB"), "BOOLEAN"),
    "regexp_extract": (_extract, ("BLOB", "BLOB", "BIGINT", "BIGINT"), "BLOB"),
    "regexp_extract_all": (_extract_all, ("BLOB", "BLOB"), "BLOB[]"),
    "regexp_instr": (_place, ("BLOB", "BLOB", "BIGINT", "BIGINT", "BIGINT"), "BIGINT"),
    "regexp_replace": (_replace, ("BLOB", "BLOB", "BLOB"), "BLOB"),
    "array_to_bytes": (_joined, ("BLOB[]", "BLOB"), "BLOB"),
    "array_to_bytes_with": (_joined_with, ("BLOB[]", "BLOB", "BLOB"), "BLOB"),
}


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the rewritten SQL calls."""
    for name, (function, kinds, result) in _FUNCTIONS.items():
        parameters: Any = list(kinds)
        connection.create_function(
            f"bqemu_{name}",
            _or_null(function, len(kinds)),
            parameters,
            result,
            null_handling=FunctionNullHandling.SPECIAL,
        )


def _or_null(function: Callable[..., Any], parameters: int) -> Callable[..., Any]:
    """Return a function of values that may be NULL, with a number of parameters that DuckDB can count."""

    def of(*given: Any) -> Any:
        return None if any(each is None for each in given) else function(*given)

    match parameters:
        case 2:
            return lambda a, b: of(a, b)
        case 3:
            return lambda a, b, c: of(a, b, c)
        case 4:
            return lambda a, b, c, d: of(a, b, c, d)
    return lambda a, b, c, d, e: of(a, b, c, d, e)


def of_bytes(node: exp.Expr) -> exp.Expr | None:
    """Return the call of the function for BYTES in place of a node, or None for texts."""
    if not is_bytes(node.this) and not is_bytes(node.expression):
        return None
    given = [node.args.get(name) or number(1) for name in ("position", "occurrence")]
    match node:
        case exp.RegexpLike():
            return call("bqemu_regexp_contains", node.this, node.expression)
        case exp.RegexpExtract():
            return call("bqemu_regexp_extract", node.this, node.expression, *given)
        case exp.RegexpExtractAll():
            return call("bqemu_regexp_extract_all", node.this, node.expression)
        case exp.RegexpInstr():
            return call("bqemu_regexp_instr", node.this, node.expression, *given, node.args.get("option") or number(0))
        case exp.RegexpReplace():
            return call("bqemu_regexp_replace", node.this, node.expression, node.args["replacement"])
    return None


def _join(node: exp.Expr) -> exp.Expr | None:
    if not is_bytes(node.expression):
        return joined(node)
    missing = node.args.get("null")
    return call("bqemu_array_to_bytes" + ("_with" if missing else ""), node.this, node.expression, missing)


MACROS: tuple[str, ...] = ()
"""The DuckDB macros that the rewritten SQL calls: none."""

WORDS = ("ARRAY_TO_STRING",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""

RULES: dict[type[exp.Expr], Rule] = {
    exp.ArrayToString: _join,
    exp.RegexpLike: of_bytes,
}
"""What replaces the nodes of each type. ``regular_expressions`` has the rules for the functions that texts need too."""
