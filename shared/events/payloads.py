"""Reads the JSON object of a message. Any other data is rejected with what was found and what would be right."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import sys
from collections.abc import Mapping
from typing import Any

from shared.errors import Rejected, short_reason

# More than any message needs, and less than the depth at which Python can read JSON but not write it.
DEEPEST_JSON = 50

_SHOWN = 60
_GZIP = b"\x1f\x8b"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_YAML = re.compile(r"[A-Za-z_]+:(\s|$)")
_SQL = re.compile(r"(SELECT|WITH|FROM|INSERT|CREATE|MERGE)\s", re.IGNORECASE)
_WITHOUT_ENCODING = "publish the JSON itself; client libraries and gcloud encode it for Pub/Sub"


class _RepeatedField(Exception):
    """An object of a message has a field twice; the text is the field's name."""


def json_object(data: bytes) -> Mapping[str, Any]:
    """Return the JSON object in ``data``; raise ``Rejected`` if it is not one, or is nested too deep."""
    try:
        value = json.loads(
            data, parse_constant=_reject_constant, parse_float=_finite_float, object_pairs_hook=_without_repeats
        )
        # JSON allows half of a surrogate pair, but UTF-8 does not, so no service accepts it.
        json.dumps(value, ensure_ascii=False).encode()
    except _RepeatedField as error:
        raise _rejection(f"the message has the field {error} twice: leave one out") from None
    except RecursionError as error:
        raise _rejection(f"the message is nested more than {DEEPEST_JSON} deep") from error
    except UnicodeEncodeError as error:
        raise _rejection("the message has a string that holds half of a surrogate pair") from error
    except ValueError as error:
        reason = _not_json(data) or _too_long(data) or short_reason(error)
        raise _rejection(f"the message is not JSON: {reason}") from error
    if not isinstance(value, dict):
        raise _rejection(f"the message must be a JSON object, {_not_an_object(value)}")
    if _deeper_than(value, DEEPEST_JSON):
        raise _rejection(f"the message is nested more than {DEEPEST_JSON} deep")
    if wrapped := _wrapped(value):
        raise _rejection(wrapped)
    return value


def _rejection(message: str) -> Rejected:
    return Rejected(message, code="invalid_json")


def _not_json(data: bytes) -> str | None:
    """Return what the data of a message is, if that can be recognized."""
    if not data.strip():
        return "it is empty. Put the request into the data of the message, as a JSON object; attributes are not read"
    if data.startswith(_GZIP):
        return f"it is compressed with gzip; {_WITHOUT_ENCODING}"
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        return "it is not text in UTF-8"
    if _is_base64_of_json(text):
        return f"it is JSON that is encoded as base64 once more; {_WITHOUT_ENCODING}"
    if re.match(r"[{\[]\s*'", text):
        return "it has single quotes, and JSON has double quotes, around names and strings. In Python, use json.dumps"
    if re.match(r"\{\s*[A-Za-z_]", text):
        return 'its names have no quotes; JSON has double quotes around names and strings: {"model": "dataset.model"}'
    if text.startswith(("{", "[", '"')):
        return None
    shown = repr(text[:_SHOWN] + ("..." if len(text) > _SHOWN else ""))
    if _SQL.match(text):
        return (
            f'it is a query. Put it into an object: {{"model": ..., "input": {{"query": {json.dumps(text[:20])}...}}}}'
        )
    if _YAML.match(text):
        return f"it begins with {shown}, which looks like YAML; write it as a JSON object"
    return f"it is the text {shown}; send a JSON object"


def _too_long(data: bytes) -> str | None:
    """Return that a number has too many digits, if one has."""
    most = sys.get_int_max_str_digits()
    return f"a number in it has more than {most:,} digits" if re.search(rb"[0-9]{%d}" % (most + 1), data) else None


def _not_an_object(value: object) -> str:
    """Return what a JSON value is, as the rest of a sentence."""
    match value:
        case str() if _holds_object(value):
            return "not a string that holds one: it was encoded as JSON twice. Publish the object itself"
        case str() if _is_base64_of_json(value):
            return f"not a string that holds one as base64; {_WITHOUT_ENCODING}"
        case str():
            return f"not the string {value[:_SHOWN].encode(errors='backslashreplace').decode()!r}"
        case [dict()]:
            return "not a list that holds one: remove the square brackets"
        case list():
            return f"not a list of {len(value)}: publish one message for each request"
        case None:
            return "not null"
        case bool():
            return "not true or false"
        case _:
            return "not a number"


def _wrapped(value: Mapping[str, Any]) -> str | None:
    """Return the problem of an object that has the request inside of what Pub/Sub or CloudEvents put around it."""
    if not ("model" in value or "action" in value):
        if isinstance(value.get("message"), dict) or isinstance(value.get("messages"), list):
            return "the message holds an envelope of Pub/Sub; publish only the request, without message or messages around it"
        if "data" in value and set(value) <= {"data", "attributes", "orderingKey", "messageId", "publishTime"}:
            return "the message holds the field data of a Pub/Sub message; publish only the request that is in it"
        if "specversion" in value:
            return "the message is a CloudEvent; publish only the request, which is in its field data"
    return None


def _holds_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_base64_of_json(text: str) -> bool:
    if not _BASE64.fullmatch(text):
        return False
    try:
        inner = base64.b64decode(text, altchars=b"-_" if set(text) & set("-_") else None, validate=True)
        return _holds_object(inner.decode())
    except (binascii.Error, ValueError):
        return False


def _deeper_than(value: object, limit: int) -> bool:
    inner: list[object] = []
    match value:
        case Mapping():
            inner = list(value.values())
        case list():
            inner = value
    return bool(inner) and (limit == 0 or any(_deeper_than(each, limit - 1) for each in inner))


def _finite_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large for a number")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _RepeatedField(repeated[:80].encode(errors="backslashreplace").decode())
    return found


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
