"""Replaces the functions that read JSON by DuckDB macros with BigQuery's results and types.

A text that is not JSON gives NULL; in DuckDB it is an error. What is read from a text is a text, and what is read from JSON is
JSON. Only DuckDB knows the type of an expression, such as a column of a subquery, so the macros decide by it.
https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions
"""

from __future__ import annotations

from functools import lru_cache

import sqlglot
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.json.parsing import OTHERWISE_WRITTEN, RAW
from localcloud.bigquery.sql.reading.called import Called, calls
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.tokens import Token, position, readable_tokens

_MACROS = {
    "JSON_EXTRACT": "_json_query",
    "JSON_EXTRACT_ARRAY": "_json_query_array",
    "JSON_EXTRACT_SCALAR": "_json_value",
    "JSON_EXTRACT_STRING_ARRAY": "_json_value_array",
    "JSON_QUERY": "_json_query",
    "JSON_QUERY_ARRAY": "_json_query_array",
    "JSON_VALUE": "_json_value",
    "JSON_VALUE_ARRAY": "_json_value_array",
}
# https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_query
_WITH_PATH = frozenset({"JSON_EXTRACT", "JSON_QUERY"})
_PATH = "'$'"
_READ = "try_cast(value AS JSON) -> path"
_AS_WRITTEN = f"typeof(value) = 'VARCHAR' AND regexp_matches(CAST(value AS VARCHAR), '{OTHERWISE_WRITTEN}')"
# The first branch is never taken, so the value is computed once. It can be the call of a model. It gives the result the type
# of the value: of JSON and a text, DuckDB chooses JSON.
JSON_MACROS: tuple[str, ...] = (
    # The null of JSON in a text is NULL, and that in JSON stays JSON.
    f"CREATE OR REPLACE MACRO _json_query(value, path) AS CASE WHEN FALSE THEN value "
    f"WHEN typeof(value) = 'JSON' THEN CAST({_READ} AS VARCHAR) ELSE nullif(CAST({_READ} AS VARCHAR), 'null') END",
    f"CREATE OR REPLACE MACRO _json_query_array(value, path) AS CASE WHEN FALSE THEN [value] "
    f"ELSE list_transform(CAST(try_cast({_READ} AS JSON[]) AS VARCHAR[]), lambda each: coalesce(each, 'null')) END",
    "CREATE OR REPLACE MACRO _json_value(value, path) AS json_value(try_cast(value AS JSON), path) ->> '$'",
    # These compute the value more than once, and keep the numbers of a text as they are written.
    f"CREATE OR REPLACE MACRO _json_value_of(value, path) AS CASE WHEN {_AS_WRITTEN} "
    f"THEN {RAW}(CAST(value AS VARCHAR), path, TRUE) ELSE _json_value(value, path) END",
    f"CREATE OR REPLACE MACRO _json_query_of(value, path) AS CASE WHEN FALSE THEN value WHEN {_AS_WRITTEN} "
    f"THEN {RAW}(CAST(value AS VARCHAR), path, FALSE) ELSE CAST(_json_query(value, path) AS VARCHAR) END",
    # An array with an object or an array in it has no values.
    f"CREATE OR REPLACE MACRO _json_value_array(value, path) AS "
    f"list_transform([{_READ}], lambda found: CASE WHEN len(list_filter(try_cast(found AS JSON[]), "
    "lambda each: json_type(each) IN ('OBJECT', 'ARRAY'))) = 0 THEN try_cast(found AS VARCHAR[]) END)[1]",
    # Views that earlier versions have stored call it.
    "CREATE OR REPLACE MACRO _json_or_null(value) AS try_cast(value AS JSON)",
)


def call_json_macros(draft: Draft) -> None:
    """Call ``JSON_MACROS`` in place of the functions of GoogleSQL that read JSON.

    Raises:
        QueryError: The literal of a path does not start with ``$``, or there is no path where one is needed.
    """
    sql = draft.text
    if "JSON_" not in sql.upper():
        return
    found = readable_tokens(sql)
    edits: list[tuple[int, int, str]] = []
    for called in calls(found):
        *prefix, name = (part.upper() for part in called.parts)
        if name in _MACROS and not called.chained and prefix in ([], ["SAFE"]):
            edits += _edits(sql, found, called, name)
    for start, end, text in sorted(edits, reverse=True):
        sql = sql[:start] + text + sql[end:]
    draft.text = sql


def _edits(sql: str, found: tuple[Token, ...], called: Called, name: str) -> list[tuple[int, int, str]]:
    """Return the start, the end and the new text of each part of a call that changes."""
    opening = called.last + 1
    closing, commas = _ends(found, opening)
    if closing is None or closing == opening + 1 or len(commas) > 1:
        return []
    comma = commas[0] if commas else None
    if comma is None and name in _WITH_PATH:
        raise QueryError(
            f"No matching signature for function {name}: it needs a JSONPath at {position(sql, found[called.first].start)}"
        )
    # The macros do not fail, so SAFE has no effect.
    first, last = opening + 1, closing if comma is None else comma
    simple = all(token.kind in ("word", "quoted", "string") or token.is_symbol(".") for token in found[first:last])
    macro = _MACROS[name]
    macro = f"{macro}_of" if simple and macro in ("_json_value", "_json_query") else macro
    edits = [(found[called.first].start, found[called.last].end, macro)]
    if last - first == 1 and found[first].kind == "string":
        # DuckDB gives a literal the type of what is beside it.
        edits += [
            (found[first].start, found[first].start, "CAST("),
            (found[first].end, found[first].end, " AS STRING)"),
        ]
    if comma is None:
        edits.append((found[closing].start, found[closing].start, f", {_PATH}"))
    elif closing - comma == 2 and found[comma + 1].kind == "string":
        path = found[comma + 1]
        if not path.text.startswith("$"):
            raise QueryError("JSONPath must start with '$'")
        if name.startswith("JSON_EXTRACT") and (quoted := path.text.find('."')) >= 0:
            raise QueryError(f"Invalid token in JSONPath at: {path.text[quoted:]}")
        edits.append((path.start, path.end, _duckdb_path(name, sql[path.start : path.end])))
    return edits


def _ends(found: tuple[Token, ...], opening: int) -> tuple[int | None, list[int]]:
    """Return the indexes of the closing bracket of a call and of its commas."""
    commas: list[int] = []
    depth = 0
    for index in range(opening, len(found)):
        token = found[index]
        if token.is_symbol("(", "[", "{"):
            depth += 1
        elif token.is_symbol(")", "]", "}"):
            depth -= 1
            if depth == 0:
                return index, commas
        elif depth == 1 and token.is_symbol(","):
            commas.append(index)
    return None, commas


@lru_cache(maxsize=1024)
def _duckdb_path(function: str, literal: str) -> str:
    """Return the literal of a JSON path in DuckDB's form, such as ``'$."a b"'`` for ``"$['a b']"``."""
    try:
        call = sqlglot.parse_one(f"{function}(x, {literal})", read="bigquery")
    except sqlglot.errors.SqlglotError:
        return literal
    path = call.args.get("expression")
    converted = path.sql(dialect="duckdb") if isinstance(path, exp.JSONPath) else literal
    # Literals of the two dialects escape quotes and backslashes in different ways.
    return literal if "'" in converted[1:-1] or "\\" in converted else converted
