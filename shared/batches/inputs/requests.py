"""Checks one decoded request against the rules, in the order of ``RULES``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared.batches.inputs.decoding import UndecodableRequest, decoded
from shared.batches.inputs.gemini_messages import REQUEST, breaches, field_names, value_of
from shared.batches.inputs.generation import config_breaches
from shared.batches.inputs.rules import Requests
from shared.batches.inputs.values import CONFIG

ROLES = ("user", "model")
# Cloud Storage, or a public YouTube video: `_TABLES` in rules.py.
URI = r"^(?:gs://[^/]+/.+|https?://(?:(?:www\.|m\.)?youtube\.com/(?:watch\?|shorts/|embed/|live/)|youtu\.be/).+)"
_URI = re.compile(URI, re.DOTALL)
# Google's parser takes both alphabets: https://protobuf.dev/programming-guides/json/
BASE64 = r"^[A-Za-z0-9+/_-]+={0,2}$"
_BASE64 = re.compile(BASE64)
# The fields of a part that describe its data.
ABOUT_DATA = frozenset({"thought", "thoughtSignature", "videoMetadata", "mediaResolution", "speechMetadata"})
# The fields of a part that hold its data, of which a part has one.
PART_DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "audioTranscription",
)


@dataclass
class Measure:
    """What a request holds."""

    characters: int = 0
    files: int = 0
    answer_tokens: int | None = None
    """The request's ``maxOutputTokens``."""


def check_request(line: object, kind: Requests, measure: Measure) -> tuple[str, str] | None:
    """Return the first rule that a line of JSONL breaks, and a hint; None if it breaks none.

    Args:
        line: The decoded line.
        kind: The kind of the requests.
        measure: Where to note what the request holds.
    """
    if not isinstance(line, Mapping):
        return "not_an_object", ""
    if kind is Requests.TEXT_EMBEDDING:
        return _check_content(line, measure)
    request = line.get("request")
    if not isinstance(request, Mapping):
        return "no_request", ""
    return _check_content(request, measure) if kind is Requests.EMBED else _check_generate(request, measure)


def _check_content(request: Mapping[str, Any], measure: Measure) -> tuple[str, str] | None:
    content = request.get("content")
    texts = [content] if isinstance(content, str) else [value_of(part, "text") for part in _parts(content)]
    measure.characters += sum(len(text) for text in texts if isinstance(text, str))
    measure.files += sum(value_of(part, "fileData") is not None for part in _parts(content))
    return None if any(texts) or measure.files else ("no_content", "")


def _check_generate(request: Mapping[str, Any], measure: Measure) -> tuple[str, str] | None:
    contents = [each if isinstance(each, Mapping) else {} for each in _list(request.get("contents"))]
    parts = [part for content in contents for part in _parts(content)]
    _measure(request, parts, measure)
    if any(name not in field_names(REQUEST) for name in request):
        return "unknown_field", ""
    if value_of(request, "cachedContent"):
        return "cached_content", ""
    if not contents:
        return "no_contents", ""
    if any(content.get("role") not in ROLES for content in contents):
        return "wrong_role", ""
    if not all(_list(content.get("parts")) for content in contents):
        return "no_parts", ""
    if not all(map(_has_data, parts)):
        return "empty_part", ""
    if any(sum(value_of(part, name) is not None for name in PART_DATA) > 1 for part in parts):
        return "several_data", ""
    files = [file for part in parts if isinstance(file := value_of(part, "fileData"), Mapping)]
    if not all(_URI.match(str(value_of(file, "fileUri") or "")) for file in files):
        return "wrong_uri", ""
    if not all(value_of(file, "mimeType") for file in files):
        return "no_mime_type", ""
    if not all(map(_has_right_data, parts)):
        return "wrong_inline_data", ""
    return _check_fields(request)


def check_envelope(text: str) -> tuple[str, str] | None:
    """Return the first rule that a request breaks outside of its contents, and a hint; None if it breaks none.

    Args:
        text: The JSON of a request, whose contents are left out.
    """
    try:
        request = decoded(text)
    except UndecodableRequest as error:
        return error.rule, error.hint
    try:
        return _check_fields({**request, "contents": None})
    except RecursionError:
        return "not_json", ""


def _check_fields(request: Mapping[str, Any]) -> tuple[str, str] | None:
    """Check all fields of a request against the published messages and what batches support."""
    instruction = value_of(request, "systemInstruction")
    if isinstance(instruction, Mapping) and not _has_texts(instruction):
        return "empty_instruction", ""
    if any(_retrieves(tool) for tool in _list(request.get("tools"))):
        return "retrieval", ""
    breach = next(breaches(request, REQUEST), None)
    config = value_of(request, "generationConfig")
    if breach is None and config is not None:
        breach = next(config_breaches(config, "generationConfig"), None)
    if breach is None:
        return None
    if (breach.rule, breach.message) == ("unknown_field", CONFIG):
        return "unknown_config_field", ""
    return breach.rule, breach.hint


def _has_texts(content: Mapping[str, Any]) -> bool:
    parts = list(_parts(content))
    return bool(parts) and all(map(_has_data, parts))


def _retrieves(tool: object) -> bool:
    retrieval = tool.get("retrieval") if isinstance(tool, Mapping) else None
    return isinstance(retrieval, Mapping) and value_of(retrieval, "vertexRagStore") is not None


def _measure(request: Mapping[str, Any], parts: list[Mapping[str, Any]], measure: Measure) -> None:
    for part in [*parts, *_parts(value_of(request, "systemInstruction"))]:
        if isinstance(text := part.get("text"), str):
            measure.characters += len(text)
        measure.files += value_of(part, "fileData") is not None
    config = value_of(request, "generationConfig")
    most = value_of(config, "maxOutputTokens") if isinstance(config, Mapping) else None
    if isinstance(most, int) or (isinstance(most, str) and re.fullmatch("[0-9]{1,10}", most)):
        measure.answer_tokens = int(most)


def _has_data(part: Mapping[str, Any]) -> bool:
    """Return whether a part has a text that is not empty, or anything else but facts about its data."""
    return any(
        value not in (None, "") if name == "text" else field_names("Part").get(name, name) not in ABOUT_DATA
        for name, value in part.items()
    )


def _has_right_data(part: Mapping[str, Any]) -> bool:
    """Return whether the data in a part, if it has any, are base64 and have a MIME type."""
    data = value_of(part, "inlineData")
    if not isinstance(data, Mapping):
        return data is None
    return bool(value_of(data, "mimeType")) and _BASE64.match(str(data.get("data") or "")) is not None


def _parts(content: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(content, Mapping):
        for part in _list(content.get("parts")):
            yield part if isinstance(part, Mapping) else {}


def _list(value: object) -> list[Any]:
    """Return a repeated field as a list. Google's JSON parser takes a single object in place of a list."""
    if isinstance(value, Mapping):
        return [value]
    return value if isinstance(value, list) else []
