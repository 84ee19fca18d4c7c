"""Makes the functions that read JSON return NULL for a text that is not JSON, as in BigQuery. In DuckDB they fail.

Literals and results of text functions are changed before the translation, and plain columns after it: whether a column
holds JSON or text decides the type of the result, and bqemulator knows that of the plain column only. Other expressions
are not changed.
https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp

from localcloud.bigquery.sql.called import calls
from localcloud.bigquery.sql.tokens import Token, readable_tokens

_READERS = frozenset(
    {
        "JSON_EXTRACT",
        "JSON_EXTRACT_ARRAY",
        "JSON_EXTRACT_SCALAR",
        "JSON_EXTRACT_STRING_ARRAY",
        "JSON_QUERY",
        "JSON_QUERY_ARRAY",
        "JSON_VALUE",
        "JSON_VALUE_ARRAY",
    }
)
_OF_TEXT = frozenset({"JSON_EXTRACT_ARRAY", "JSON_QUERY_ARRAY"})
_TEXT_FUNCTIONS = frozenset(
    {
        "CONCAT",
        "LOWER",
        "LTRIM",
        "REGEXP_EXTRACT",
        "REGEXP_REPLACE",
        "REPLACE",
        "RTRIM",
        "SUBSTR",
        "SUBSTRING",
        "TRIM",
        "UPPER",
    }
)
_FUNCTION = "_json_or_null"
_READING = re.compile(r"->|\bJSON_VALUE\b", re.IGNORECASE)
# The value is used once: it can be the call of a model.
JSON_MACROS: tuple[str, ...] = (f"CREATE OR REPLACE MACRO {_FUNCTION}(value) AS try_cast(value AS JSON)",)


def call_json_or_null(sql: str) -> str:
    """Return GoogleSQL in which the functions that read JSON get NULL for a text that is not JSON."""
    if "JSON_" not in sql.upper():
        return sql
    found = readable_tokens(sql)
    edits: list[tuple[int, str]] = []
    for called in calls(found):
        *prefix, name = (part.upper() for part in called.parts)
        if name not in _READERS or called.chained or prefix not in ([], ["SAFE"]):
            continue
        first, closing, comma = _first_argument(found, called.last + 1)
        if closing is None or first >= closing:
            continue
        last = closing if comma is None else comma
        if _is_text(found, first, last):
            edits += [(found[first].start, f"{_FUNCTION}("), (found[last - 1].end, ")")]
            if name in _OF_TEXT:
                # The elements of an array in a text are texts too. bqemulator takes those of a call for JSON.
                start = found[called.first].start
                edits += [(start, "CAST("), (found[closing].end, " AS ARRAY<STRING>)")]
    # Of two edits at one place, the closing bracket comes first; the edits of an outer call begin before an inner one's.
    for at, text in sorted(edits, key=lambda edit: edit[0], reverse=True):
        sql = sql[:at] + text + sql[at:]
    return sql


def columns_or_null(duckdb_sql: str) -> str:
    """Return DuckDB's SQL in which the functions that read JSON get NULL for a column whose text is not JSON."""
    if _READING.search(duckdb_sql) is None:
        return duckdb_sql
    try:
        tree = sqlglot.parse_one(duckdb_sql, read="duckdb")
    except sqlglot.errors.SqlglotError:
        return duckdb_sql  # DuckDB knows more than sqlglot
    edits: dict[int, str] = {}
    for reader in tree.find_all(exp.JSONExtract, exp.JSONExtractScalar, exp.JSONValue, exp.Anonymous):
        column = reader.this
        if isinstance(reader, exp.Anonymous):
            column = reader.expressions[0] if reader.name.upper() == "JSON_VALUE" and reader.expressions else None
        parts = column.parts if isinstance(column, exp.Column) else []
        if parts and all("start" in part.meta for part in parts):
            edits[parts[0].meta["start"]] = f"{_FUNCTION}("
            edits[parts[-1].meta["end"] + 1] = ")"
    for at in sorted(edits, reverse=True):
        duckdb_sql = duckdb_sql[:at] + edits[at] + duckdb_sql[at:]
    return duckdb_sql


def _is_text(found: tuple[Token, ...], first: int, last: int) -> bool:
    """Return whether the tokens from ``first`` up to ``last`` are one literal or one call of a text function."""
    if last - first == 1:
        return found[first].kind == "string"
    if found[first].text.upper() not in _TEXT_FUNCTIONS or not found[first + 1].is_symbol("("):
        return False
    return _first_argument(found, first + 1)[1] == last - 1


def _first_argument(found: tuple[Token, ...], opening: int) -> tuple[int, int | None, int | None]:
    """Return the index of the first token of a call's arguments, of its closing bracket, and of its first comma."""
    depth, comma = 0, None
    for index in range(opening, len(found)):
        token = found[index]
        if token.is_symbol("(", "[", "{"):
            depth += 1
        elif token.is_symbol(")", "]", "}"):
            depth -= 1
            if depth == 0:
                return opening + 1, index, comma
        elif depth == 1 and comma is None and token.is_symbol(","):
            comma = index
    return opening + 1, None, comma
