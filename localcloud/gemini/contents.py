"""A GenerateContentRequest as Python objects, and what one part of it counts in tokens.

The request: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from localcloud.gemini.errors import BackendError
from localcloud.gemini.schemas import InvalidSchemaError, json_schema

CHARACTERS_PER_TOKEN = 4
# An image of up to 384 pixels a side; larger ones and other media are not measured here.
# https://ai.google.dev/gemini-api/docs/tokens
TOKENS_PER_FILE = 258
MAX_CANDIDATES = 8
ROLES = ("user", "model", "function")

MODALITY_BY_TYPE = {"image": "IMAGE", "video": "VIDEO", "audio": "AUDIO", "application": "DOCUMENT"}

# The data that a part may hold; `text` is the only one that may be empty.
PART_DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)


@dataclass(frozen=True)
class Part:
    """One piece of a message.

    Attributes:
        text: The words, or the JSON of a function's call or response.
        mime_type: What kind of file it is; empty for text.
        data: The file itself, base64, if it came with the request.
        uri: Where the file is, if it did not.
    """

    text: str = ""
    mime_type: str = ""
    data: str = ""
    uri: str = ""

    @property
    def modality(self) -> str:
        """The kind of content, as usage metadata names it."""
        return MODALITY_BY_TYPE.get(self.mime_type.split("/")[0], "TEXT")

    @property
    def tokens(self) -> int:
        """An estimate of the tokens that the part counts."""
        return TOKENS_PER_FILE if self.mime_type else count_tokens(self.text)


@dataclass(frozen=True)
class Turn:
    """One message of the conversation; ``role`` is ``user``, ``model`` or ``function``."""

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The words of all parts."""
        return "\n".join(part.text for part in self.parts if part.text)


@dataclass(frozen=True)
class Generation:
    """How the answer is to be made. None: the model's own default."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    candidate_count: int = 1
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    mime_type: str = "text/plain"
    schema: dict[str, Any] | None = None  # a JSON Schema, whichever way it was given


@dataclass(frozen=True)
class Prompt:
    """A checked request: instruction, conversation, and how to answer."""

    system: str
    turns: tuple[Turn, ...]
    generation: Generation = field(default_factory=Generation)
    has_tools: bool = False

    def tokens_by_modality(self) -> dict[str, int]:
        """Return an estimate of the tokens that the request counts, by kind of content."""
        counts: Counter[str] = Counter()
        if self.system:
            counts["TEXT"] += count_tokens(self.system)
        for turn in self.turns:
            for part in turn.parts:
                counts[part.modality] += part.tokens
        return dict(counts)


def count_tokens(text: str) -> int:
    """Return an estimate of the tokens of ``text``: one for four characters, as Google's rule of thumb has it."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def parse_request(request: dict[str, Any]) -> Prompt:
    """Check a GenerateContentRequest and return it as a prompt.

    Field names may be written as ``systemInstruction`` or ``system_instruction``, and a repeated field that has one
    element may be that element: Google's own JSON reader accepts both.

    Raises:
        BackendError: with code 400 and what is wrong.
    """
    given = camel_keys(request)
    contents = as_list(given.get("contents"))
    if not contents:
        raise BackendError(400, "Unable to submit request because at least one contents field is required.")
    turns = tuple(_turn(content) for content in contents)
    system = given.get("systemInstruction")
    return Prompt(
        system=_content_parts(system, "systemInstruction")[0] if system else "",
        turns=turns,
        generation=_generation(given.get("generationConfig") or {}),
        has_tools=bool(as_list(given.get("tools"))),
    )


def camel_keys(message: Any) -> dict[str, Any]:
    """Return a JSON object with its own keys in camelCase. Raises ``BackendError`` if it is no object."""
    if not isinstance(message, dict):
        raise BackendError(400, f"Invalid JSON payload received. Expected an object, got {type(message).__name__}.")
    return {re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key): value for key, value in message.items()}


def as_list(value: Any) -> list[Any]:
    """Return a repeated field as a list: absent is empty, one element stands for a list of it."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _turn(content: Any) -> Turn:
    role = camel_keys(content).get("role") or "user"
    if role not in ROLES:
        raise BackendError(400, "Please use a valid role: user, model.")
    _, parts = _content_parts(content, "contents")
    return Turn(role, parts)


def _content_parts(content: Any, where: str) -> tuple[str, tuple[Part, ...]]:
    """Return a content's words and its parts."""
    parts = tuple(_part(part) for part in as_list(camel_keys(content).get("parts")))
    if not parts:
        raise BackendError(
            400, f"Unable to submit request because it must include at least one parts field in {where}."
        )
    return "\n".join(part.text for part in parts if part.text), parts


def _part(part: Any) -> Part:
    given = camel_keys(part)
    kinds = [kind for kind in PART_DATA if given.get(kind) is not None]
    if len(kinds) != 1:
        raise BackendError(
            400, "Unable to submit request because each part must have exactly one of: " + ", ".join(PART_DATA) + "."
        )
    value = given[kinds[0]]
    match kinds[0]:
        case "text":
            if not isinstance(value, str):
                raise BackendError(400, "Invalid value at 'contents.parts.text': it must be a string.")
            return Part(text=value)
        case "inlineData":
            blob = camel_keys(value)
            return Part(mime_type=_mime_type(blob, "inlineData"), data=str(blob.get("data", "")))
        case "fileData":
            file = camel_keys(value)
            if not file.get("fileUri"):
                raise BackendError(400, "Unable to submit request because fileData must have a fileUri.")
            return Part(mime_type=_mime_type(file, "fileData"), uri=str(file["fileUri"]))
        case _:
            return Part(text=str(value))


def _mime_type(data: dict[str, Any], where: str) -> str:
    if not data.get("mimeType"):
        raise BackendError(400, f"Unable to submit request because it must have a mimeType in {where}.")
    return str(data["mimeType"])


def _generation(config: Any) -> Generation:
    given = camel_keys(config)
    generation = Generation(
        temperature=_number(given, "temperature", 0, 2),
        top_p=_number(given, "topP", 0, 1),
        max_output_tokens=_whole_number(given, "maxOutputTokens", 1),
        candidate_count=_whole_number(given, "candidateCount", 1, MAX_CANDIDATES) or 1,
        stop_sequences=tuple(str(stop) for stop in as_list(given.get("stopSequences"))),
        seed=_whole_number(given, "seed"),
        presence_penalty=_number(given, "presencePenalty", -2, 2),
        frequency_penalty=_number(given, "frequencyPenalty", -2, 2),
        mime_type=given.get("responseMimeType") or "text/plain",
        schema=_schema(given),
    )
    if generation.schema is not None and generation.mime_type == "text/plain":
        raise BackendError(
            400, "Unable to submit request because a response schema needs the responseMimeType application/json."
        )
    return generation


def _schema(config: dict[str, Any]) -> dict[str, Any] | None:
    given = [config[key] for key in ("responseJsonSchema", "responseSchema") if config.get(key) is not None]
    if not given:
        return None
    if len(given) > 1:
        raise BackendError(400, "Only one of responseSchema and responseJsonSchema may be set.")
    try:
        return json_schema(given[0])
    except InvalidSchemaError as error:
        raise BackendError(400, f"Unable to submit request because the response schema is invalid: {error}") from None


def _number(given: dict[str, Any], name: str, low: float | None = None, high: float | None = None) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BackendError(400, f"Invalid value at 'generation_config.{name}': {value!r} is no number.") from None
    if not math.isfinite(number) or (low is not None and number < low) or (high is not None and number > high):
        limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise BackendError(
            400, f"Unable to submit request because {name} has the value {value}; it must be a number {limits}."
        )
    return number


def _whole_number(given: dict[str, Any], name: str, low: int | None = None, high: int | None = None) -> int | None:
    number = _number(given, name, low, high)
    return None if number is None else int(number)
