"""Capitalizes and normalizes texts: INITCAP, UPPER, NORMALIZE and NORMALIZE_AND_CASEFOLD.

Most texts are ASCII, which DuckDB is quick with.
https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#initcap
https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#normalize
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType
from sqlglot import exp

from localcloud.bigquery.sql.errors.function_errors import raising
from localcloud.bigquery.sql.functions.nodes import Rule, call
from localcloud.bigquery.sql.functions.texts.byte_strings import of_either

_INITCAP = "bqemu_capitalized"
_IS_ASCII = "strlen(x) = length(x)"
MACROS: tuple[str, ...] = (
    f"CREATE OR REPLACE MACRO _initcap(x, delimiters) AS {_INITCAP}(x, delimiters)",
    # Some characters have more than one capital, such as the German sharp s.
    f"CREATE OR REPLACE MACRO _upper(x) AS CASE WHEN {_IS_ASCII} THEN upper(x) ELSE bqemu_upper_unicode(x) END",
    f"CREATE OR REPLACE MACRO _normalized(x, form) AS CASE WHEN {_IS_ASCII} THEN x ELSE bqemu_normalize(x, form) END",
    f"CREATE OR REPLACE MACRO _folded(x, form) AS "
    f"CASE WHEN {_IS_ASCII} THEN lower(x) ELSE bqemu_normalize_casefold(x, form) END",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("INITCAP", "UPPER", "NORMALIZE", "NORMALIZE_AND_CASEFOLD")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python function that the macros call."""
    texts: Any = ["VARCHAR", "VARCHAR"]
    connection.create_function(_INITCAP, raising(_all_capitalized, 2), texts, "VARCHAR", type=PythonUDFType.ARROW)


_DELIMITERS = '[](){}/|\\<>!?@"^#$&~_,.:;*%+-'


def _all_capitalized(texts: Any, delimiters: Any) -> pa.Array:
    values, separators = texts.to_pylist(), delimiters.to_pylist()
    if len(set(separators)) == 1 and not any("\0" in value for value in values):
        # One text is faster; the character 0 is between the values.
        joined = capitalized("\0".join(values), f"{separators[0]}\0")
        return pa.array(joined.split("\0"), pa.string())
    return pa.array(map(capitalized, values, separators), pa.string())


def capitalized(text: str, delimiters: str) -> str:
    """Return a text with capitals at the starts of its words, which are between delimiters."""
    return _start(delimiters).sub(_capital, text.lower())


@lru_cache(maxsize=64)
def _start(delimiters: str) -> re.Pattern[str]:
    """Return the regular expression of the first characters of words."""
    if not delimiters:
        return re.compile(r"\A.", re.DOTALL)
    between = f"[{re.escape(delimiters)}]"
    return re.compile(rf"(?:\A|(?<={between}))(?!{between}).", re.DOTALL)


def _capital(match: re.Match[str]) -> str:
    capital = match[0].upper()
    return capital if len(capital) == 1 else match[0]


def _initcap(node: exp.Expr) -> exp.Expr | None:
    delimiters = node.args.get("expression")
    return call("_initcap", node.this, delimiters or exp.Literal.string(f"{_DELIMITERS} \t\n\r\v\f"))


def _normalize(node: exp.Expr) -> exp.Expr | None:
    form = node.args.get("form")
    name = exp.Literal.string(form.name.upper() if isinstance(form, exp.Expr) else "NFC")
    return call("_folded" if node.args.get("is_casefold") else "_normalized", node.this, name)


RULES: dict[type[exp.Expr], Rule] = {
    exp.Initcap: _initcap,
    exp.Normalize: _normalize,
    exp.Upper: of_either("upper"),
}
"""What replaces the nodes of each type."""
