"""Writes texts by their sound, as SOUNDEX does.

https://cloud.google.com/bigquery/docs/reference/standard-sql/string_functions#soundex
"""

from __future__ import annotations

import re
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import PythonUDFType
from sqlglot import exp

from localcloud.bigquery.sql.errors.function_errors import raising
from localcloud.bigquery.sql.functions.nodes import Rule, call

_FUNCTION = "bqemu_sound"
MACROS: tuple[str, ...] = (f"CREATE OR REPLACE MACRO _soundex(x) AS {_FUNCTION}(x)",)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("SOUNDEX",)
"""Regular expressions of the names of the functions that ``RULES`` may replace."""

_SOUNDS = str.maketrans("bfpvcgjkqsxzdtlmnr", "111122222222334556")
# The texts of a column are one text for the expressions, which is faster; the character 0 is between them.
_OTHERS, _VOWELS, _REPEATED = re.compile("[^A-Za-z\0]"), re.compile("[^1-6\0]"), re.compile(r"([1-6])\1+")


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python function that the macro calls."""
    text: Any = ["VARCHAR"]
    connection.create_function(_FUNCTION, raising(_soundex, 1), text, "VARCHAR", type=PythonUDFType.ARROW)


def _soundex(texts: Any) -> pa.Array:
    """Return the first letter of each text and three digits for the sounds of the following consonants."""
    letters = _OTHERS.sub("", "\0".join(text.replace("\0", "") for text in texts.to_pylist()))
    sounds = letters.lower().translate(_SOUNDS)
    codes = _REPEATED.sub(r"\1", _VOWELS.sub("", sounds))
    parts = zip(letters.split("\0"), sounds.split("\0"), codes.split("\0"), strict=True)
    return pa.array([_code(*part) for part in parts] if len(texts) else [], pa.string())


def _code(letters: str, sounds: str, digits: str) -> str:
    following = digits[1:] if sounds[:1].isdigit() else digits
    return f"{letters[0]}{following}000"[:4] if letters else ""


RULES: dict[type[exp.Expr], Rule] = {exp.Soundex: lambda node: call("_soundex", node.this)}
"""What replaces the nodes of each type."""
