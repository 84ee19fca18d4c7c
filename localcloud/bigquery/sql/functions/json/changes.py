"""Changes JSON by paths: JSON_SET, JSON_REMOVE, JSON_ARRAY_INSERT, JSON_ARRAY_APPEND and JSON_STRIP_NULLS.

https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#json_set
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import duckdb
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.errors.function_errors import FunctionError
from localcloud.bigquery.sql.functions.nodes import Rule, call

_Steps = tuple[str | int, ...]
_SET, _REMOVE, _STRIP = "bqemu_json_with", "bqemu_json_without", "bqemu_json_stripped"
_INSERT, _APPEND = "bqemu_json_inserted", "bqemu_json_appended"
MACROS: tuple[str, ...] = (
    *(
        f"CREATE OR REPLACE MACRO _json_{name}(x, path, value, option) AS CASE WHEN path IS NULL THEN CAST(x AS JSON) "
        f"ELSE CAST({function}(CAST(x AS VARCHAR), path, coalesce(CAST(_to_json(value, FALSE) AS VARCHAR), 'null'), option) "
        "AS JSON) END"
        for name, function in (("set", _SET), ("array_insert", _INSERT), ("array_append", _APPEND))
    ),
    f"CREATE OR REPLACE MACRO _json_remove(x, path) AS CASE WHEN path IS NULL THEN CAST(x AS JSON) "
    f"ELSE CAST({_REMOVE}(CAST(x AS VARCHAR), path) AS JSON) END",
    "CREATE OR REPLACE MACRO _json_strip_nulls(x, path, include_arrays, remove_empty) AS "
    f"CAST({_STRIP}(CAST(x AS VARCHAR), path, include_arrays, remove_empty) AS JSON)",
)
"""The DuckDB macros that the rewritten SQL calls. They call those of ``json_output``."""

WORDS = ("JSON_SET", "JSON_REMOVE", "JSON_ARRAY_INSERT", "JSON_ARRAY_APPEND", "JSON_STRIP_NULLS")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Register the Python functions that the macros call."""
    changed: Any = ["VARCHAR", "VARCHAR", "VARCHAR", "BOOLEAN"]
    for name, function in ((_SET, with_value), (_INSERT, inserted), (_APPEND, appended)):
        connection.create_function(name, function, changed, "VARCHAR")
    removed: Any = ["VARCHAR", "VARCHAR"]
    connection.create_function(_REMOVE, without, removed, "VARCHAR")
    stripped: Any = ["VARCHAR", "VARCHAR", "BOOLEAN", "BOOLEAN"]
    connection.create_function(_STRIP, without_nulls, stripped, "VARCHAR")


# What is in brackets may be in quotes, and so may the key after a dot.
_STEP = re.compile(
    r"""\.(?P<key>[^.\["']+)|\[\s*(?P<place>\d+)\s*\]|(?:\.|\[\s*)(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]?"""
)


def steps_of(path: str) -> _Steps:
    """Return the keys and the places of a JSONPath."""
    found: list[str | int] = []
    at = 1 if path.startswith("$") else 0
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None or not path.startswith("$"):
            raise FunctionError(QueryError(f"Invalid JSONPath: {path}"))
        found.append(int(match["place"]) if match["place"] else match["key"] or match["quoted"])
        at = match.end()
    return tuple(found)


def _text(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _changed(document: Any, steps: _Steps, change: Callable[[Any], Any], *, create: bool = True) -> Any:
    """Return a document whose value at a path is changed; what is missing on the way is created, if ``create``.

    A path that meets a value of another kind changes nothing.
    """
    if not steps:
        return change(document)
    step, rest = steps[0], steps[1:]
    if document is None and create:
        document = {} if isinstance(step, str) else []
    if isinstance(step, str) and isinstance(document, dict):
        if step in document or create:
            return {**document, step: _changed(document.get(step), rest, change, create=create)}
    elif isinstance(step, int) and isinstance(document, list) and (step < len(document) or create):
        padded = [*document, *[None] * (step + 1 - len(document))]
        padded[step] = _changed(padded[step], rest, change, create=create)
        return padded
    return document


def with_value(document: str, path: str, value: str, create: bool) -> str:
    """Return a document with a value at a path."""
    return _text(_changed(json.loads(document), steps_of(path), lambda _: json.loads(value), create=create))


def without(document: str, path: str) -> str:
    """Return a document without what is at a path."""
    steps = steps_of(path)
    if not steps:
        raise FunctionError(QueryError("The JSONPath cannot be '$'"))

    def remove(parent: Any) -> Any:
        last = steps[-1]
        if isinstance(parent, dict):
            return {key: value for key, value in parent.items() if key != last}
        if isinstance(parent, list):
            return [value for place, value in enumerate(parent) if place != last]
        return parent

    return _text(_changed(json.loads(document), steps[:-1], remove, create=False))


def inserted(document: str, path: str, value: str, each: bool) -> str:
    """Return a document with a value, or ``each`` of its elements, before a place of an array."""
    *way, place = steps_of(path) or ("",)
    if not isinstance(place, int):
        raise FunctionError(QueryError(f"JSONPath must end in an array position: {path}"))

    def insert(found: Any) -> Any:
        if found is not None and not isinstance(found, list):
            return found
        padded = [*(found or []), *[None] * (place - len(found or []))]
        return [*padded[:place], *_elements(value, each), *padded[place:]]

    return _text(_changed(json.loads(document), tuple(way), insert, create=False))


def appended(document: str, path: str, value: str, each: bool) -> str:
    """Return a document with a value, or ``each`` of its elements, at the end of an array."""

    def append(found: Any) -> Any:
        if found is not None and not isinstance(found, list):
            return found
        return [*(found or []), *_elements(value, each)]

    return _text(_changed(json.loads(document), steps_of(path), append, create=False))


def _elements(value: str, each: bool) -> list[Any]:
    added = json.loads(value)
    return added if each and isinstance(added, list) else [added]


def without_nulls(document: str, path: str, include_arrays: bool, remove_empty: bool) -> str:
    """Return a document without nulls below a path, and if ``remove_empty`` without what is empty then."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            members = {key: strip(each) for key, each in value.items()}
            kept = {key: each for key, each in members.items() if each is not None}
            return kept or (None if remove_empty else kept)
        if isinstance(value, list):
            elements = [strip(each) for each in value]
            if include_arrays:
                elements = [each for each in elements if each is not None]
            return elements or (None if remove_empty else elements)
        return value

    return _text(_changed(json.loads(document), steps_of(path), strip, create=False))


def _option(node: exp.Expr, default: bool) -> exp.Expr:
    """Return the argument with a name, which is the last one, or its default."""
    last = node.expressions[-1] if node.expressions else None
    return last.expression if isinstance(last, exp.Kwarg) else exp.Boolean(this=default)


def _for_each_pair(macro: str) -> Rule:
    """Return the rule for a function that takes paths and values in turn."""

    def rule(node: exp.Expr) -> exp.Expr | None:
        given = [each for each in node.expressions if not isinstance(each, exp.Kwarg)]
        result: exp.Expr = node.this
        for path, value in zip(given[::2], given[1::2], strict=False):
            result = call(macro, result, path, value, _option(node, default=True))
        return result

    return rule


def _remove(node: exp.Expr) -> exp.Expr | None:
    result: exp.Expr = node.this
    for path in node.expressions:
        result = call("_json_remove", result, path)
    return result


def _strip(node: exp.Expr) -> exp.Expr | None:
    named = {each.name.lower(): each.expression for each in node.args.values() if isinstance(each, exp.Kwarg)}
    path = node.args.get("expression")
    return call(
        "_json_strip_nulls",
        node.this,
        exp.Literal.string("$") if path is None or isinstance(path, exp.Kwarg) else path,
        named.get("include_arrays") or exp.true(),
        named.get("remove_empty") or exp.false(),
    )


RULES: dict[type[exp.Expr], Rule] = {
    exp.JSONArrayAppend: _for_each_pair("_json_array_append"),
    exp.JSONArrayInsert: _for_each_pair("_json_array_insert"),
    exp.JSONSet: _for_each_pair("_json_set"),
    exp.JSONRemove: _remove,
    exp.JSONStripNulls: _strip,
}
"""What replaces the nodes of each type."""
