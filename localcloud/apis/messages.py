"""Checks JSON messages against an API description, with the errors of Google's JSON parser.

The parser accepts names in camelCase and snake_case, one element in place of a list of one, numbers as strings, and null for a
field that is not set. https://protobuf.dev/programming-guides/json/
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from localcloud.apis.discovery import read_document

# Returns the errors of a value; the path of the value is for the messages.
Check = Callable[[Any, str, list[str]], None]

MAX_SHOWN = 120
# The limit of Google's parser. https://protobuf.dev/programming-guides/proto-limits/
MAX_DEPTH = 100
DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
INTEGER_RANGES = {"int32": 31, "int64": 63}

# The full names of enums, which the descriptions omit, by message and field. Others are reported as TYPE_ENUM.
ENUM_NAMES = {
    ("SafetySetting", "category"): "HarmCategory",
    ("SafetySetting", "threshold"): "SafetySetting.HarmBlockThreshold",
    ("SafetySetting", "method"): "SafetySetting.HarmBlockMethod",
    ("Schema", "type"): "Type",
    ("GenerationConfig", "mediaResolution"): "GenerationConfig.MediaResolution",
    ("GenerationConfig", "responseModalities"): "GenerationConfig.Modality",
    ("GenerationConfigThinkingConfig", "thinkingLevel"): "GenerationConfig.ThinkingConfig.ThinkingLevel",
    ("FunctionCallingConfig", "mode"): "FunctionCallingConfig.Mode",
}
# Values and fields that the service accepts and the descriptions do not have yet.
NEW_VALUES = {
    # https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/guides/gemini-4-hydrogen
    ("GenerationConfigThinkingConfig", "thinkingLevel"): ("XHIGH",),
}
# A field of the message that the descriptions leave out, because it is in the path of the method.
PATH_FIELDS: Mapping[str, Mapping[str, Any]] = {"GenerateContentRequest": {"model": {"type": "string"}}}
# Enums of these fields are accepted in any case; Google's own examples write "object".
ANY_CASE = {("Schema", "type")}


class Messages:
    """The message types of one version of an API, read when first used."""

    def __init__(self, document: str, prefix: str, package: str) -> None:
        """Read the types of an API description.

        Args:
            document: The name of the description, such as ``aiplatform.v1``.
            prefix: The part before the names of its schemas, such as ``GoogleCloudAiplatformV1``.
            package: The protocol buffers package of the types, such as ``google.cloud.aiplatform.v1``.
        """
        self._document = document
        self._prefix = prefix
        self._package = package
        self._checks: dict[str, Check] = {}

    @cached_property
    def _schemas(self) -> Mapping[str, Mapping[str, Any]]:
        return read_document(self._document).schemas

    def has(self, kind: str) -> bool:
        """Return whether the description has a message type."""
        return self._prefix + kind in self._schemas

    def errors(self, kind: str, value: Any, path: str = "") -> list[str]:
        """Return what is wrong with a message, one sentence for each error.

        Args:
            kind: The name of its type.
            value: The decoded JSON.
            path: Where the message is in the request; empty if it is the request.
        """
        found: list[str] = []
        self._message(self._prefix + kind)(value, path, found)
        return found

    def _message(self, name: str) -> Check:
        known = self._checks.get(name)
        if known is not None:
            return known
        kind = name.removeprefix(self._prefix)
        full_name = f"type.googleapis.com/{self._package}.{kind}"
        fields: dict[str, tuple[str, Check]] = {}

        def check(value: Any, path: str, errors: list[str]) -> None:
            if not isinstance(value, dict):
                _refuse_object(value, path, full_name, errors)
                return
            if path.count(".") >= MAX_DEPTH:
                key = path.rpartition(".")[2]
                errors.append(f"Message too deep. Max recursion depth reached for key '{key}'")
                return
            for key, inner in value.items():
                field = fields.get(key)
                if field is None:
                    where = f" at '{path}'" if path else ""
                    errors.append(f'Invalid JSON payload received. Unknown name "{key}"{where}: Cannot find field.')
                elif inner is not None:
                    field[1](inner, f"{path}.{field[0]}" if path else field[0], errors)

        # Stored before its fields are compiled, because a message may contain itself.
        self._checks[name] = check
        properties = {**self._schemas[name].get("properties", {}), **PATH_FIELDS.get(kind, {})}
        for field_name, schema in properties.items():
            snake = re.sub(r"[A-Z]", lambda match: f"_{match[0].lower()}", field_name)
            fields[field_name] = fields[snake] = (snake, self._value(schema, kind, field_name))
        return check

    def _value(self, schema: Mapping[str, Any], kind: str, name: str) -> Check:
        """Return the check of a field: ``name`` of the message type ``kind``."""
        if "$ref" in schema:
            return self._lazily(schema["$ref"])
        match schema.get("type"):
            case "array":
                return _list(self._value(schema["items"], kind, name))
            case "object" if "additionalProperties" in schema:
                return _map(self._value(schema["additionalProperties"], kind, name))
            case "object" | "any":
                return _anything
            case "string" if "enum" in schema:
                values = (*schema["enum"], *NEW_VALUES.get((kind, name), ()))
                type_name = ENUM_NAMES.get((kind, name))
                label = f"type.googleapis.com/{self._package}.{type_name}" if type_name else "TYPE_ENUM"
                return _enum(values, label, any_case=(kind, name) in ANY_CASE)
            case "boolean":
                return _boolean
            case "integer" | "number" | "string":
                return SCALARS[schema.get("format") or schema["type"]]
            case other:
                raise ValueError(f"{kind}.{name} has the unknown type {other!r}.")

    def _lazily(self, reference: str) -> Check:
        """Return the check of a message type, which is compiled when a message has one."""
        return lambda value, path, errors: self._message(reference)(value, path, errors)


VERTEX_AI: Mapping[str, Messages] = {
    "v1": Messages("aiplatform.v1", "GoogleCloudAiplatformV1", "google.cloud.aiplatform.v1"),
    "v1beta1": Messages("aiplatform.v1beta1", "GoogleCloudAiplatformV1beta1", "google.cloud.aiplatform.v1beta1"),
}
"""The messages of each version of Vertex AI."""


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:MAX_SHOWN]


def _refuse(value: Any, path: str, kind: str, errors: list[str]) -> None:
    if isinstance(value, list | dict):
        what = "list" if isinstance(value, list) else "object"
        _refuse_start(path, what, errors)
    else:
        errors.append(f"Invalid value at '{path}' ({kind}), {_shown(value)}")


def _refuse_object(value: Any, path: str, full_name: str, errors: list[str]) -> None:
    if not path:
        errors.append("Invalid JSON payload received. Expected an object.")
    else:
        _refuse(value, path, full_name, errors)


def _refuse_start(path: str, what: str, errors: list[str]) -> None:
    parent, _, name = path.rpartition(".")
    where = f" at '{parent}'" if parent else ""
    kind = "Proto field is not repeating" if what == "list" else "Proto field is not a message"
    errors.append(f'Invalid JSON payload received. Unknown name "{name}"{where}: {kind}, cannot start {what}.')


def _list(element: Check) -> Check:
    def check(value: Any, path: str, errors: list[str]) -> None:
        if isinstance(value, list):
            for index, inner in enumerate(value):
                element(inner, f"{path}[{index}]", errors)
        else:
            element(value, path, errors)

    return check


def _map(element: Check) -> Check:
    def check(value: Any, path: str, errors: list[str]) -> None:
        if not isinstance(value, dict):
            _refuse(value, path, "Map", errors)
            return
        for key, inner in value.items():
            element(inner, f"{path}[{key}]", errors)

    return check


def _enum(values: tuple[str, ...], label: str, *, any_case: bool) -> Check:
    known = frozenset(values) | (frozenset(value.lower() for value in values) if any_case else frozenset())

    def check(value: Any, path: str, errors: list[str]) -> None:
        if isinstance(value, str):
            if value in known or (any_case and value.lower() in known):
                return
        elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(values):
            return
        _refuse(value, path, label, errors)

    return check


def _anything(value: Any, path: str, errors: list[str]) -> None:
    """Accept any JSON value."""


def _string(value: Any, path: str, errors: list[str]) -> None:
    if not isinstance(value, str):
        _refuse(value, path, "TYPE_STRING", errors)


def _boolean(value: Any, path: str, errors: list[str]) -> None:
    if not isinstance(value, bool) and value not in ("true", "false"):
        _refuse(value, path, "TYPE_BOOL", errors)


def _bytes(value: Any, path: str, errors: list[str]) -> None:
    if not isinstance(value, str):
        _refuse(value, path, "TYPE_BYTES", errors)
        return
    text = value.translate({ord("-"): "+", ord("_"): "/"}) if "-" in value or "_" in value else value
    try:
        base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        errors.append(f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for {_shown(value)}")


def _duration(value: Any, path: str, errors: list[str]) -> None:
    if not isinstance(value, str) or not DURATION.fullmatch(value):
        _refuse(value, path, "type.googleapis.com/google.protobuf.Duration", errors)


def _integer(bits: int, label: str) -> Check:
    limit = 1 << bits

    def check(value: Any, path: str, errors: list[str]) -> None:
        number = value
        if isinstance(value, str):
            number = int(value) if re.fullmatch(r"-?[0-9]{1,19}", value) else None
        elif isinstance(value, float) and value.is_integer():
            number = int(value)
        if isinstance(number, bool) or not isinstance(number, int) or not -limit <= number < limit:
            _refuse(value, path, label, errors)

    return check


def _number(label: str) -> Check:
    def check(value: Any, path: str, errors: list[str]) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            _refuse(value, path, label, errors)
        elif isinstance(value, str):
            try:
                float(value)
            except ValueError:
                _refuse(value, path, label, errors)

    return check


# The checks of values that are not messages, by format, or by type without one.
SCALARS: Mapping[str, Check] = {
    "string": _string,
    "byte": _bytes,
    "google-duration": _duration,
    "google-fieldmask": _string,
    "google-datetime": _string,
    "date-time": _string,
    "int32": _integer(INTEGER_RANGES["int32"], "TYPE_INT32"),
    "uint32": _integer(INTEGER_RANGES["int32"] + 1, "TYPE_UINT32"),
    "int64": _integer(INTEGER_RANGES["int64"], "TYPE_INT64"),
    "integer": _integer(INTEGER_RANGES["int64"], "TYPE_INT64"),
    "float": _number("TYPE_FLOAT"),
    "double": _number("TYPE_DOUBLE"),
    "number": _number("TYPE_DOUBLE"),
}
