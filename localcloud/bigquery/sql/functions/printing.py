"""Writes values of any type in FORMAT: ``%t``, ``%T`` and ``%'d``.

https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#t_and_t_behavior
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import Rule, call

_QUOTED = "CAST(to_json({}) AS VARCHAR)"
MACROS: tuple[str, ...] = (
    # A float always has a point, an exponent or a word.
    "CREATE OR REPLACE MACRO _printed(x) AS CASE WHEN typeof(x) IN ('DOUBLE', 'FLOAT') "
    "AND regexp_full_match(_as_string(x), '-?[0-9]+') THEN _as_string(x) || '.0' "
    "WHEN x IS NULL THEN 'NULL' ELSE _as_string(x) END",
    "CREATE OR REPLACE MACRO _literal(x) AS CASE "
    f"WHEN x IS NULL THEN 'NULL' WHEN typeof(x) = 'VARCHAR' THEN {_QUOTED.format('CAST(x AS VARCHAR)')} "
    f"WHEN typeof(x) = 'BLOB' THEN 'b' || {_QUOTED.format('CAST(x AS VARCHAR)')} "
    "WHEN typeof(x) = 'DATE' THEN 'DATE \"' || _as_string(x) || '\"' "
    "WHEN typeof(x) = 'TIME' THEN 'TIME \"' || _as_string(x) || '\"' "
    "WHEN typeof(x) = 'TIMESTAMP' THEN 'DATETIME \"' || _as_string(x) || '\"' "
    "WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE' THEN 'TIMESTAMP \"' || _as_string(x) || '\"' "
    "WHEN typeof(x) = 'JSON' THEN 'JSON ''' || _as_string(x) || '''' "
    "WHEN typeof(x) = 'INTERVAL' THEN 'INTERVAL \"' || _as_string(x) || '\" YEAR TO SECOND' "
    "WHEN typeof(x) = 'DOUBLE' AND _printed(x) IN ('NaN', 'inf', '-inf') "
    "THEN 'CAST(\"' || lower(_printed(x)) || '\" AS FLOAT64)' "
    # Only their elements have types that decide how they are written.
    "WHEN regexp_matches(typeof(x), '(STRUCT|VARCHAR|BLOB|DATE|TIME|DECIMAL|DOUBLE|JSON|INTERVAL).*[\\])]$') "
    "AND NOT starts_with(typeof(x), 'DECIMAL') "
    "THEN error('FORMAT with %T is not supported for arrays of other values than integers, and for STRUCTs') "
    "WHEN starts_with(typeof(x), 'DECIMAL') THEN 'NUMERIC \"' || _as_string(x) || '\"' ELSE _printed(x) END",
    # DuckDB writes the complement of a negative number.
    "CREATE OR REPLACE MACRO _in_base(x, pattern) AS "
    "CASE WHEN x < 0 THEN '-' || printf(pattern, -CAST(x AS HUGEINT)) ELSE printf(pattern, CAST(x AS HUGEINT)) END",
    "CREATE OR REPLACE MACRO _decimals_with_commas(x, pattern) AS format(pattern, CAST(x AS DOUBLE))",
    "CREATE OR REPLACE MACRO _with_commas(x) AS format('{:,}', x)",
)
"""The DuckDB macros that the rewritten SQL calls. They call those of ``casts``."""

WORDS = ("FORMAT",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""

_SPECIFIER = re.compile(r"%(?:%|(?P<flags>[-+ #0']*)(?P<size>(?:\*|\d*)(?:\.(?:\*|\d+))?)(?P<kind>[a-zA-Z]))")


_PATTERNS = {"_in_base": "%{kind}", "_decimals_with_commas": "{{:,{size}f}}"}


def _format(node: exp.Expr) -> exp.Expr | None:
    form = node.this
    arguments: list[exp.Expr] = list(node.expressions)
    if not isinstance(form, exp.Literal) or not form.is_string:
        return None
    places = iter(range(len(arguments)))
    changed = False

    def written(match: re.Match[str]) -> str:
        nonlocal changed
        if match["kind"] is None:
            return match[0]
        for _ in range(match["size"].count("*")):
            next(places, None)
        place = next(places, None)
        macro = {"t": "_printed", "T": "_literal"}.get(match["kind"])
        if match["kind"] in "xXo" and not (match["size"] or match["flags"]):
            macro = "_in_base"
        if match["kind"] in "fF" and match["flags"] == "'" and re.fullmatch(r"(?:\.\d+)?", match["size"]):
            macro = "_decimals_with_commas"
        macro = "_with_commas" if match["kind"] in "di" and "'" in match["flags"] else macro
        if macro is None or place is None:
            return match[0]
        changed = True
        pattern = _PATTERNS.get(macro, "").format(**match.groupdict())
        arguments[place] = call(macro, arguments[place], exp.Literal.string(pattern) if pattern else None)
        if macro == "_decimals_with_commas":
            return "%s"
        return f"%{'-' if '-' in match['flags'] else ''}{match['size']}s"

    text = _SPECIFIER.sub(written, form.name)
    left = len(list(places))
    if left:
        raise QueryError(
            f'Too many arguments to FORMAT for pattern "{form.name}"; '
            f"Expected {len(arguments) - left + 1}; Got {len(arguments) + 1}"
        )
    if text == "%s" and len(arguments) == 1:
        return arguments[0].copy()  # which bqemulator's translation does not replace
    return (
        exp.Format(this=exp.Literal.string(text), expressions=[each.copy() for each in arguments]) if changed else None
    )


RULES: dict[type[exp.Expr], Rule] = {exp.Format: _format}
"""What replaces the nodes of each type."""
