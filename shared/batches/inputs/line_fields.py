"""Checks the fields beside the requests of JSONL, which become columns of the answers: their names, and the values of a key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b

from shared.batches.inputs.columns import REQUEST_COLUMNS, can_be_a_column
from shared.batches.inputs.rules import Requests

# The fields that the answers add:
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference/new-job-from-cloud-storage
_RESERVED: Mapping[Requests, frozenset[str]] = {
    Requests.GENERATE: frozenset({"response", "status", "processed_time"}),
    Requests.EMBED: frozenset({"response", "status", "processed_time"}),
    Requests.TEXT_EMBEDDING: frozenset({"predictions", "status", "processed_time"}),
}
# The types of JSON whose columns BigQuery can find a row by; other values become JSON or FLOAT64.
_KEY_TYPES = (str, bool, int)
_DIGEST_BYTES = 12
# The SQL types of values. A field whose values are of several types, or are objects and arrays, becomes JSON.
_SQL_TYPES: Mapping[type, str] = {str: "STRING", bool: "BOOL", int: "INT64", float: "FLOAT64"}
_JSON = "JSON"
_INT64 = range(-(2**63), 2**63)
_SHOWN_NAME = 80


class LineFields:
    """The fields of all lines of an input. It keeps a digest of each key, and no values."""

    def __init__(self, kind: Requests, key: Sequence[str] = (), *, as_columns: bool = False) -> None:
        """Check lines of one input.

        Args:
            kind: The kind of the requests.
            key: The fields by which the answers are merged; none if they are not.
            as_columns: Whether the answers are in a table of BigQuery, which has the fields as columns.
        """
        self._reserved = _RESERVED[kind]
        self._request = REQUEST_COLUMNS.get(kind, "request")
        self._as_columns = as_columns
        self._key = tuple(name.lower() for name in key)
        self._shown = ", ".join(key)
        self._spellings: dict[str, str] = {}
        self._types: dict[str, type] = {}
        self._columns: dict[str, str] = {}
        """The SQL type of each field; empty while all of its values are null."""
        self._places: dict[bytes, str] = {}
        """Where each key was first found; empty once that was reported."""

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """The fields with the SQL types of their values, in the order in which they were found."""
        return tuple((name, kind or "STRING") for name, kind in self._columns.items())

    def broken_rules(self, line: Mapping[str, object], place: str) -> Iterator[tuple[str, str, str]]:
        """Yield the rules that a line breaks, each with a hint and its place.

        Args:
            line: The decoded line.
            place: The file and the number of the line.
        """
        for name in line:
            lower = name.lower()
            if lower in self._reserved:
                yield "reserved_field", lower, place
                return
            if self._spellings.setdefault(lower, name) != name:
                yield "other_case", "", place
                return
        if self._as_columns:
            others = {name: value for name, value in line.items() if name != self._request}
            if unfit := _unfit(others):
                yield *unfit, place
                return
        for name, value in line.items():
            known = self._columns.get(name)
            if known != _JSON and (kind := _sql_type(value)) != known:
                self._columns[name] = _joint_type(known, kind)
        if self._key:
            yield from self._broken_key(line, place)

    def _broken_key(self, line: Mapping[str, object], place: str) -> Iterator[tuple[str, str, str]]:
        given = {name.lower(): value for name, value in line.items()}
        values = [given.get(name) for name in self._key]
        if None in values:
            yield "no_key", self._shown, place
            return
        for name, value in zip(self._key, values, strict=True):
            kind = type(value)
            if kind not in _KEY_TYPES or self._types.setdefault(name, kind) is not kind:
                yield "key_type", self._shown, place
                return
        digest = blake2b(json.dumps(values).encode(), digest_size=_DIGEST_BYTES).digest()
        first = self._places.setdefault(digest, place)
        if first != place:
            if first:
                self._places[digest] = ""
                yield "repeated_key", self._shown, first
            yield "repeated_key", self._shown, place


def _unfit(fields: Mapping[str, object]) -> tuple[str, str] | None:
    """Return the rule that fields break because BigQuery does not load them into columns, and the name; None if they do not.

    https://docs.cloud.google.com/bigquery/docs/schemas#column_names
    """
    waiting: list[tuple[str, object]] = [("", fields)] if fields else []
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, list):
            waiting += [(path, each) for each in reversed(value)]
        elif isinstance(value, Mapping):
            if not value:
                return "empty_object", path[:_SHOWN_NAME]
            for name in value:
                if not can_be_a_column(name):
                    return "wrong_field_name", repr(f"{path}{'.' if path else ''}{name}"[:_SHOWN_NAME])
            waiting += [(f"{path}.{name}" if path else name, each) for name, each in reversed(list(value.items()))]
    return None


def _sql_type(value: object) -> str:
    """Return the SQL type of a value of JSON; an empty text for null."""
    if value is None:
        return ""
    kind = _SQL_TYPES.get(type(value), _JSON)
    return "FLOAT64" if kind == "INT64" and value not in _INT64 else kind


def _joint_type(known: str | None, kind: str) -> str:
    """Return the type that holds values of both types."""
    if not known or not kind:
        return known or kind
    return "FLOAT64" if {known, kind} == {"INT64", "FLOAT64"} else _JSON
