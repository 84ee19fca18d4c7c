"""A GenerateContentRequest as Python objects, with an estimate of its tokens.

The request: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from localcloud.gemini.errors import BackendError
from localcloud.gemini.generation_config import Generation, parse_generation
from localcloud.gemini.json_values import as_list, camel_keys

CHARACTERS_PER_TOKEN = 4
# The tokens of an image of up to 384 pixels a side; an approximation for larger images and other media.
# https://ai.google.dev/gemini-api/docs/tokens
TOKENS_PER_FILE = 258
ROLES = ("user", "model", "function")

MODALITY_BY_TYPE = {"image": "IMAGE", "video": "VIDEO", "audio": "AUDIO", "application": "DOCUMENT"}

LEARN_MORE = "Learn more: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/gemini"

# The media that Gemini reads, as types or as whole kinds.
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
MEDIA = ("image/", "video/", "audio/", "text/", "application/pdf", "application/json")

FUNCTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")

# The fields of a part that can hold its data; each part has exactly one.
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


@dataclass(frozen=True)
class Part:
    """One piece of a message.

    Attributes:
        text: The text, or the JSON of a function call or function response.
        mime_type: The MIME type of a file; empty for text.
        data: The content of a file that the request includes, in base64.
        uri: The URI of a file that the request does not include.
    """

    text: str = ""
    mime_type: str = ""
    data: str = ""
    uri: str = ""

    @property
    def modality(self) -> str:
        """The modality, as the usage metadata names it."""
        return MODALITY_BY_TYPE.get(self.mime_type.split("/")[0], "TEXT")

    @property
    def tokens(self) -> int:
        """An estimate of the part's tokens."""
        return TOKENS_PER_FILE if self.mime_type else count_tokens(self.text)


@dataclass(frozen=True)
class Turn:
    """One message of the conversation; ``role`` is ``user``, ``model`` or ``function``."""

    role: str
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        """The text of all parts."""
        return "\n".join(part.text for part in self.parts if part.text)


@dataclass(frozen=True)
class Prompt:
    """A validated request: the system instruction, the conversation, and how to generate the response."""

    system: str
    turns: tuple[Turn, ...]
    generation: Generation = field(default_factory=Generation)
    has_tools: bool = False

    def tokens_by_modality(self) -> dict[str, int]:
        """Return an estimate of the request's tokens by modality."""
        counts: Counter[str] = Counter()
        if self.system:
            counts["TEXT"] += count_tokens(self.system)
        for turn in self.turns:
            for part in turn.parts:
                counts[part.modality] += part.tokens
        return dict(counts)


def count_tokens(text: str) -> int:
    """Return an estimate of the tokens of ``text``: one token per four characters, Google's rule of thumb."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)


def split_tokens(text: str) -> list[str]:
    """Return the pieces of ``text`` that are counted as tokens."""
    return [text[at : at + CHARACTERS_PER_TOKEN] for at in range(0, len(text), CHARACTERS_PER_TOKEN)]


def parse_request(request: dict[str, Any]) -> Prompt:
    """Validate a GenerateContentRequest and return it as a prompt.

    Like Google's JSON parser, this accepts both ``systemInstruction`` and ``system_instruction``, and a single element
    in place of a list of one element.

    Raises:
        BackendError: 400 if the request is invalid.
    """
    given = camel_keys(request)
    contents = as_list(given.get("contents"))
    if not contents:
        raise BackendError(400, "Unable to submit request because at least one contents field is required.")
    turns = tuple(_turn(content) for content in contents)
    _check_function_turns(contents)
    _check_functions(as_list(given.get("tools")))
    system = given.get("systemInstruction")
    return Prompt(
        system=_content_parts(system, "systemInstruction")[0] if system else "",
        turns=turns,
        generation=parse_generation(given.get("generationConfig") or {}),
        has_tools=bool(as_list(given.get("tools"))),
    )


def _turn(content: Any) -> Turn:
    _, parts = _content_parts(content, "contents")
    role = camel_keys(content).get("role")
    if role not in ROLES:
        raise BackendError(400, "Please use a valid role: user, model.")
    return Turn(role, parts)


def _check_function_turns(contents: list[Any]) -> None:
    """Check that each turn with responses of functions comes after a turn with as many calls.

    https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/function-calling
    """
    before: Any = {}
    for content in contents:
        responses = _count_parts(content, "functionResponse")
        if responses and responses != _count_parts(before, "functionCall"):
            raise BackendError(
                400,
                "Please ensure that the number of function response parts is equal to the number of function call parts of "
                "the function call turn.",
            )
        before = content


def _count_parts(content: Any, kind: str) -> int:
    parts = as_list(camel_keys(content).get("parts"))
    return sum(camel_keys(part).get(kind) is not None for part in parts)


def _check_functions(tools: list[Any]) -> None:
    """Check the names of functions: https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/FunctionDeclaration."""
    for tool in tools:
        for declaration in as_list(camel_keys(tool).get("functionDeclarations")):
            name = declaration.get("name")
            if not isinstance(name, str) or not FUNCTION_NAME.fullmatch(name):
                raise BackendError(
                    400,
                    f"Unable to submit request because {name or ''!r} is not the name of a function: it must start with a "
                    "letter or an underscore, and have letters, digits, underscores, dots, colons and dashes, at most 128. "
                    + LEARN_MORE,
                )


def _content_parts(content: Any, where: str) -> tuple[str, tuple[Part, ...]]:
    """Return the text and the parts of a content."""
    parts = tuple(_part(part) for part in as_list(camel_keys(content).get("parts")))
    if not parts:
        raise BackendError(
            400,
            f"Unable to submit request because it must include at least one parts field in {where}, which describes the "
            f"prompt input. {LEARN_MORE}",
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
            if not value:
                raise BackendError(
                    400,
                    "Unable to submit request because it has an empty text parameter. Add a value to the parameter and "
                    f"try again. {LEARN_MORE}",
                )
            return Part(text=value)
        case "inlineData":
            blob = camel_keys(value)
            if not blob.get("data"):
                raise BackendError(
                    400,
                    "Unable to submit request because it has an empty inlineData parameter. Add a value to the parameter and "
                    f"try again. {LEARN_MORE}",
                )
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
    mime_type = str(data["mimeType"])
    if not mime_type.startswith(MEDIA):
        raise BackendError(
            400,
            f"Unable to submit request because it has a mimeType parameter with value {mime_type}, which is not supported. "
            f"Update the mimeType and try again. {LEARN_MORE}",
        )
    return mime_type
