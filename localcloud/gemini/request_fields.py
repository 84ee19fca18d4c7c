"""Which fields of a GenerateContentRequest a backend carries out. Others are refused by name, or have no effect with it.

The request: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.gemini.errors import BackendError
from localcloud.gemini.json_values import camel_keys

# Fields that are checked before a backend gets the request. `generationConfig` has fields of its own.
_CHECKED = frozenset({"cachedContent", "contents", "generationConfig", "model", "responseModalities"})
_ANSWER = frozenset(
    {"candidateCount", "maxOutputTokens", "responseJsonSchema", "responseMimeType", "responseSchema", "stopSequences"}
)
_SAMPLING = ("frequencyPenalty", "presencePenalty", "seed", "temperature", "topP")
_NO_LOGPROBS = {"logprobs": "it returns no log probabilities", "responseLogprobs": "it returns no log probabilities"}
_NO_MEDIA = {
    "audioTimestamp": "it hears no audio",
    "imageConfig": "it returns no images",
    "speechConfig": "it returns no audio",
}


@dataclass(frozen=True)
class RequestFields:
    """The fields of a request, and of its ``generationConfig``, that a backend accepts.

    Attributes:
        backend: What errors call the backend.
        carried_out: The fields that the answer depends on.
        without_effect: The fields that the answer does not depend on, and why.
    """

    backend: str
    carried_out: frozenset[str]
    without_effect: Mapping[str, str]

    def check(self, request: dict[str, Any]) -> None:
        """Raise ``BackendError`` (501) for a field that is set, and that the backend does not accept."""
        given = camel_keys(request)
        accepted = self.carried_out | self.without_effect.keys()
        for name, value in (*given.items(), *camel_keys(given.get("generationConfig") or {}).items()):
            if value and name not in accepted:
                raise BackendError(501, f"The field {name} is not supported by {self.backend}.")


ECHO = RequestFields(
    "the stand-in model",
    _CHECKED | _ANSWER,
    {
        **dict.fromkeys(_SAMPLING, "equal requests have equal answers"),
        "topK": "equal requests have equal answers",
        "labels": "nothing is billed",
        "mediaResolution": "it reads no files",
        "safetySettings": "it blocks what its orders refuse",
        "systemInstruction": "it repeats the last message",
        "thinkingConfig": "it has no thoughts",
        "toolConfig": "it calls no tools",
        "tools": "it calls no tools",
        **_NO_LOGPROBS,
        **_NO_MEDIA,
    },
)
"""The fields of the stand-in model."""

OPENAI = RequestFields(
    "the OpenAI-compatible backend",
    _CHECKED | _ANSWER | {*_SAMPLING, "systemInstruction"},
    {
        "labels": "nothing is billed",
        "mediaResolution": "the server decides",
        "safetySettings": "the server decides",
        "thinkingConfig": "the server decides",
        "toolConfig": "it has no tools",
        "topK": "the API has no such field",
        **_NO_LOGPROBS,
        **_NO_MEDIA,
    },
)
"""The fields of servers with OpenAI's API."""
