"""Extracts what a regular expression matches as GoogleSQL does.

DuckDB has the same regular expressions, RE2, but returns an empty text if nothing matches, and one more empty match at the end.
https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#regexp_extract
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import duckdb
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.nodes import Rule, call, integer, is_text, number
from localcloud.bigquery.sql.functions.texts.byte_patterns import of_bytes

_PLACE = "bqemu_place_of_group"
_UNESCAPED = "regexp_replace(pattern, '\\\\.|\\[(?:\\\\.|[^\\]])*\\]', '', 'g')"
_TOO_MANY = (
    "bqemu_fail('Regular expressions passed into extraction functions must not have more than 1 capturing group: ' "
    "|| pattern)"
)
_ESCAPED = r"regexp_extract_all(replacement, '\\(.?)', 1)"
_WANTED = f"coalesce(list_max(list_transform({_ESCAPED}, lambda each: TRY_CAST(each AS INTEGER))), 0)"
MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _regexp_extract_every(x, pattern, part) AS "
    "list_transform(regexp_extract_all(x, pattern, part), lambda each: coalesce(each, ''))",
    "CREATE OR REPLACE MACRO _regexp_extract(x, pattern, part) AS "
    "CASE WHEN regexp_matches(x, pattern) THEN regexp_extract(x, pattern, part) END",
    "CREATE OR REPLACE MACRO _regexp_extract_all(x, pattern, part) AS CASE "
    "WHEN x <> '' AND regexp_extract_all(x, pattern, 0)[-1] = '' THEN _regexp_extract_every(x, pattern, part)[:-2] "
    "ELSE _regexp_extract_every(x, pattern, part) END",
    # The groups of a pattern that is not a literal are counted for each row.
    f"CREATE OR REPLACE MACRO _groups(pattern) AS len(regexp_extract_all({_UNESCAPED}, '\\((?:[^?]|$|\\?P?<)'))",
    "CREATE OR REPLACE MACRO _regexp_extract_by(x, pattern) AS CASE WHEN _groups(pattern) > 1 AND x IS NOT NULL "
    f"THEN {_TOO_MANY} WHEN NOT regexp_matches(x, pattern) THEN NULL "
    "WHEN _groups(pattern) = 0 THEN regexp_extract(x, pattern, 0) ELSE regexp_extract(x, pattern, 1) END",
    "CREATE OR REPLACE MACRO _regexp_extract_all_by(x, pattern) AS "
    f"CASE WHEN _groups(pattern) > 1 AND x IS NOT NULL THEN {_TOO_MANY} "
    "WHEN _groups(pattern) = 0 THEN _regexp_extract_all(x, pattern, 0) ELSE _regexp_extract_all(x, pattern, 1) END",
    "CREATE OR REPLACE MACRO _regexp_extract_nth(x, pattern, place, occurrence) AS "
    "CASE WHEN place < 1 THEN bqemu_fail('Position must be positive in REGEXP_EXTRACT') "
    "WHEN occurrence < 1 THEN bqemu_fail('Occurrence must be positive in REGEXP_EXTRACT') "
    "WHEN place > length(x) + 1 THEN NULL ELSE _regexp_extract_all_by(x[place:], pattern)[occurrence] END",
    r"CREATE OR REPLACE MACRO _regexp_replace(x, pattern, replacement) AS CASE WHEN x IS NULL OR pattern IS NULL THEN NULL "
    r"WHEN NOT regexp_full_match(replacement, '(?s)(?:[^\\]|\\[\\0-9])*') THEN "
    r"""bqemu_fail('Invalid REGEXP_REPLACE pattern: Rewrite schema error: ''\'' must be followed by a digit or ''\''.') """
    f"WHEN {_WANTED} > _groups(pattern) THEN bqemu_fail('Invalid REGEXP_REPLACE pattern: Rewrite schema requests ' || "
    f"{_WANTED} || ' matches, but the regexp only has ' || _groups(pattern) || ' parenthesized subexpressions.') "
    "ELSE regexp_replace(x, pattern, replacement, 'g') END",
    f"CREATE OR REPLACE MACRO _regexp_instr(x, pattern, place, occurrence, after) AS "
    f"{_PLACE}(x, pattern, place, occurrence, after)",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = (r"REGEXP_\w+",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python function that the macros call."""
    kinds: Any = ["VARCHAR", "VARCHAR", "BIGINT", "BIGINT", "BIGINT"]
    connection.create_function(_PLACE, place_of_group, kinds, "BIGINT")


def place_of_group(text: str, pattern: str, position: int, occurrence: int, after: int) -> int:
    """Return where the group of a match is, or the match, counted from 1, or ``after`` it; 0 if there is no such match."""
    compiled = re.compile(pattern)
    if compiled.groups > 1:
        raise FunctionError(
            QueryError(
                "Regular expressions passed into extraction functions must not have more than 1 capturing group: "
                + pattern
            )
        )
    for name, given in (("Position", position), ("Occurrence", occurrence)):
        if given < 1:
            raise FunctionError(QueryError(f"{name} must be positive in REGEXP_INSTR"))
    for number_of_match, match in enumerate(compiled.finditer(text[position - 1 :]), 1):
        if number_of_match == occurrence:
            return position + (match.end if after else match.start)(compiled.groups)
    return 0


# What is escaped, a class of characters, and a bracket that opens a group, with what makes it a group without a number.
_PARTS = re.compile(r"\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\\.|\[:\w+:\]|[^\]\\])*\]|\((?!\?(?!P?<))", re.DOTALL)


def _groups(pattern: str) -> int:
    return sum(match[0] == "(" for match in _PARTS.finditer(pattern))


def _may_be_empty(pattern: str) -> bool:
    """Return whether a regular expression may match an empty text. Where Python's differ from RE2's, it may."""
    try:
        return re.search(pattern, "") is not None
    except re.error:
        return True


def _is_optional(pattern: str) -> bool:
    """Return whether a match may leave out the group, so that the result is NULL."""
    return re.search(r"\)(?:[?*]|\{0)|\|", pattern) is not None


# The types of what functions with regular expressions return, if not STRING.
_TYPES: dict[type[exp.Expr], str] = {
    exp.RegexpLike: "BOOL",
    exp.RegexpInstr: "INT64",
    exp.RegexpExtractAll: "ARRAY<STRING>",
}


def replace_invalid(tree: exp.Expr) -> bool:
    """Replace functions with the prefix SAFE by NULL if their regular expression is not valid; return whether one is not."""
    changed = False
    for node in list(tree.find_all(exp.SafeFunc)):
        called = node.this
        is_expression = isinstance(called, (*_TYPES, exp.RegexpExtract, exp.RegexpReplace))
        pattern = _pattern(called) if is_expression else None
        if pattern is not None and not _is_valid(pattern):
            node.replace(exp.cast(exp.Null(), _TYPES.get(type(called), "STRING"), dialect="bigquery"))
            changed = True
    return changed


def _literal(node: exp.Expr | None) -> str | None:
    return str(node.name) if node is not None and (is_text(node) or isinstance(node, exp.RawString)) else None


@lru_cache(maxsize=256)
def _is_valid(pattern: str) -> bool:
    """Return whether a regular expression is one of RE2."""
    with duckdb.connect() as connection:
        try:
            connection.execute("SELECT regexp_matches('', CAST(? AS VARCHAR))", [pattern])
        except duckdb.Error:
            return False
    return True


def _pattern(node: exp.Expr) -> str | None:
    """Return the regular expression of a function if it is a literal, or None."""
    return _literal(node.expression)


def _may_fail(node: exp.Expr) -> bool:
    """Return whether only the macros that check their arguments can carry out a function."""
    pattern = _pattern(node)
    places = (node.args.get(argument) for argument in ("position", "occurrence"))
    are_positive = all(place is None or (integer(place) or 0) > 0 for place in places)
    return pattern is None or _groups(pattern) > 1 or not are_positive


def _extract(node: exp.Expr) -> exp.Expr | None:
    if (bytes_of := of_bytes(node)) is not None:
        return bytes_of
    pattern = _pattern(node)
    position, occurrence = node.args.get("position"), node.args.get("occurrence")
    if _may_fail(node) and not isinstance(node.expression, exp.Null):
        if position is None:
            return call("_regexp_extract_by", node.this, node.expression)
        return call("_regexp_extract_nth", node.this, node.expression, position, occurrence or number(1))
    if position is not None or pattern is None:
        return None
    groups = _groups(pattern)
    if _is_optional(pattern) if groups else not _may_be_empty(pattern):
        return None
    return call("_regexp_extract", node.this, node.expression, number(groups))


def _extract_all(node: exp.Expr) -> exp.Expr | None:
    if (bytes_of := of_bytes(node)) is not None:
        return bytes_of
    pattern = _pattern(node)
    if pattern is None or _may_fail(node):
        is_null = isinstance(node.expression, exp.Null)
        return None if is_null else call("_regexp_extract_all_by", node.this, node.expression)
    groups = _groups(pattern)
    macro = "_regexp_extract_all" if _may_be_empty(pattern) else "_regexp_extract_every"
    return call(macro, node.this, node.expression, number(groups)) if groups or macro == "_regexp_extract_all" else None


def _place(node: exp.Expr) -> exp.Expr | None:
    if (bytes_of := of_bytes(node)) is not None:
        return bytes_of
    pattern = _pattern(node)
    if pattern is not None and not _groups(pattern) and not _may_fail(node):
        return None
    others = [node.args.get("position") or number(1), node.args.get("occurrence") or number(1)]
    return call("_regexp_instr", node.this, node.expression, *others, node.args.get("option") or number(0))


def _replaced(node: exp.Expr) -> exp.Expr | None:
    if (bytes_of := of_bytes(node)) is not None:
        return bytes_of
    replacement = _literal(node.args.get("replacement"))
    if replacement is not None and "\\" not in replacement:
        return None
    return call("_regexp_replace", node.this, node.expression, node.args["replacement"])


RULES: dict[type[exp.Expr], Rule] = {
    exp.RegexpExtract: _extract,
    exp.RegexpExtractAll: _extract_all,
    exp.RegexpInstr: _place,
    exp.RegexpReplace: _replaced,
}
"""What replaces the nodes of each type."""
