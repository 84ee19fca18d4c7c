"""Checks recorded exchanges against Google's API descriptions: fields, types, parameters, methods and error bodies.

A request must match the request schema of its method, a response the response schema. The JSON formats, such as
int64: https://developers.google.com/discovery/v1/type-format
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from localcloud.apis.discovery import (
    CALL,
    DOWNLOAD,
    UPLOAD_PART,
    Call,
    Discovery,
    Document,
)
from localcloud.apis.recorder import Exchange

INTEGER = re.compile(r"-?\d+")
FORMATS: Mapping[str, re.Pattern[str]] = {
    "int64": INTEGER,
    "uint64": re.compile(r"\d+"),
    "byte": re.compile(r"[A-Za-z0-9+/_-]*={0,2}"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "google-datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "google-duration": re.compile(r"-?\d+(\.\d+)?s"),
}
# The form of each type of parameter in a query.
PARAMETERS: Mapping[str, re.Pattern[str]] = {
    "integer": INTEGER,
    "boolean": re.compile(r"true|false", re.IGNORECASE),
}
ERROR_FIELDS = {"code", "message", "errors", "status", "details"}
ERROR_DETAIL_FIELDS = {"domain", "reason", "message", "location", "locationType", "debugInfo", "extendedHelp"}


class Contract:
    """Google's API descriptions as a contract."""

    def __init__(self) -> None:
        """Create the contract; each description is read when it is first needed."""
        self._discovery = Discovery()

    def breaches_of_request(self, exchange: Exchange) -> list[str]:
        """Return the errors in the request of ``exchange``, one sentence each."""
        call = self._find(exchange)
        if call is None:
            return [f"{exchange.verb} {exchange.path} is not a method of {exchange.service}"]
        return [*_check_parameters(call, exchange), *_check_request(call, exchange)]

    def breaches_of_answer(self, exchange: Exchange) -> list[str]:
        """Return the errors in the response of ``exchange``, one sentence each; none without a response."""
        if exchange.status is None or exchange.cut:
            return []
        if exchange.status >= 400:
            return list(_check_error(exchange))
        call = self._find(exchange)
        if call is None:
            return [f"{exchange.verb} {exchange.path} succeeded, but is not a method of {exchange.service}"]
        return list(_check_answer(call, exchange))

    def _find(self, exchange: Exchange) -> Call | None:
        return self._discovery.find(exchange.service, exchange.verb, exchange.path)


def _check_parameters(call: Call, exchange: Exchange) -> Iterator[str]:
    given = dict(exchange.query)
    for name, text in exchange.query:
        parameter = call.parameter(name)
        if parameter is None:
            yield f"there is no parameter {name}"
        elif (form := _form_of(parameter)) is not None and not form.fullmatch(text):
            yield f"the parameter {name} is not of type {parameter.get('format', parameter['type'])}: {text}"
        elif "enum" in parameter and text not in parameter["enum"] and name.removeprefix("$") != "alt":
            yield f"the parameter {name} is not one of {parameter['enum']}: {text}"
    for name, parameter in call.method.parameters.items():
        if parameter.get("required") and parameter["location"] == "query" and name not in given:
            yield f"the parameter {name} is required"


def _form_of(parameter: Mapping[str, Any]) -> re.Pattern[str] | None:
    return PARAMETERS.get(parameter["type"]) or FORMATS.get(parameter.get("format", ""))


def _check_request(call: Call, exchange: Exchange) -> Iterator[str]:
    holds_media = call.kind == UPLOAD_PART or ("uploadType", "media") in exchange.query
    if holds_media or exchange.request is None:
        return
    if call.method.request is None:
        if exchange.request:
            yield "the method takes no body"
        return
    checker = _Checker(call.document, from_client=True, numbered_enums=_enums_are_numbered(exchange))
    yield from checker.check({"$ref": call.method.request}, exchange.request, "request")


def _check_answer(call: Call, exchange: Exchange) -> Iterator[str]:
    if call.kind == DOWNLOAD or ("alt", "media") in exchange.query:
        return
    if exchange.answer is None:
        expected = call.kind == CALL and call.method.response is not None and exchange.status == 200
        if expected:
            yield f"the response has no JSON body, but must be a {call.method.response}"
        return
    if call.method.response is None:
        yield "the response has a body, but the method returns none"
        return
    checker = _Checker(call.document, from_client=False, numbered_enums=_enums_are_numbered(exchange))
    yield from checker.check({"$ref": call.method.response}, exchange.answer, "response")


def _enums_are_numbered(exchange: Exchange) -> bool:
    return any(name in ("alt", "$alt") and "enum-encoding=int" in value for name, value in exchange.query)


def _check_error(exchange: Exchange) -> Iterator[str]:
    """Check an error body, which may also have the older list ``errors``.

    https://cloud.google.com/apis/design/errors#http_mapping
    """
    if ("alt", "media") in exchange.query or exchange.answer_type == "text/html":
        return  # The error of a download is plain text.
    error = exchange.answer.get("error") if isinstance(exchange.answer, dict) else None
    if not isinstance(error, dict):
        yield f"the body of the {exchange.status} has no error: {exchange.answer!r}"
        return
    if error.get("code") != exchange.status:
        yield f"error.code is {error.get('code')!r}, but the status is {exchange.status}"
    if not isinstance(error.get("message"), str):
        yield f"error.message is {error.get('message')!r}"
    yield from (f"error has no field {name}" for name in error.keys() - ERROR_FIELDS)
    for detail in error.get("errors", ()):
        yield from (f"error.errors[] has no field {name}" for name in detail.keys() - ERROR_DETAIL_FIELDS)
        yield from (f"error.errors[] lacks {name}" for name in {"reason", "message"} - detail.keys())


class _Checker:
    """Checks JSON values by the schemas of one API."""

    def __init__(self, document: Document, *, from_client: bool, numbered_enums: bool) -> None:
        self._schemas = document.schemas
        self._from_client = from_client
        self._numbered_enums = numbered_enums

    def check(self, schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
        """Yield the errors in ``value``, which is at ``place``."""
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        kind = schema["type"]
        if kind == "any" or (value is None and self._from_client):
            return
        checks: dict[str, Callable[[Mapping[str, Any], Any, str], Iterator[str]]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
        }
        if kind in checks:
            yield from checks[kind](schema, value, place)
        elif not _SCALARS[kind](value):
            yield f"{place} is not of type {kind}: {value!r}"

    def _object(self, schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, dict):
            yield f"{place} is not of type object: {value!r}"
            return
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, item in value.items():
            if name in properties:
                yield from self.check(properties[name], item, f"{place}.{name}")
            elif others is not None:
                yield from self.check(others, item, f"{place}.{name}")
            else:
                yield f"{place} has no field {name} in {schema.get('id', 'its schema')}"

    def _array(self, schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
        if not isinstance(value, list):
            yield f"{place} is not of type array: {value!r}"
            return
        for item in value:
            yield from self.check(schema["items"], item, f"{place}[]")

    def _string(self, schema: Mapping[str, Any], value: Any, place: str) -> Iterator[str]:
        form = schema.get("format", "")
        if isinstance(value, int) and not isinstance(value, bool):
            # A client may send these as numbers; a service sends strings.
            numeric = self._from_client and form in ("int64", "uint64")
            if numeric or ("enum" in schema and self._numbered_enums):
                return
        if not isinstance(value, str):
            yield f"{place} is not of type string: {value!r}"
        elif form in FORMATS and not FORMATS[form].fullmatch(value):
            yield f"{place} is not of format {form}: {value!r}"
        elif "enum" in schema and value not in schema["enum"]:
            yield f"{place} is not one of {schema['enum']}: {value!r}"


def _is_number(value: Any) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or value in ("NaN", "Infinity", "-Infinity")


_SCALARS: Mapping[str, Callable[[Any], bool]] = {
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": _is_number,
}
