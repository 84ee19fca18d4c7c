"""Asking a model at once: generateContent, in one piece or in many, and countTokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from localcloud.base.json_api import Call, Route
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.contents import Prompt, camel_keys, parse_request
from localcloud.gemini.errors import BackendError
from localcloud.vertex.rest import Handler, Stream

WORDS_PER_PIECE = 4

PUBLISHER_MODELS = (
    "projects/{project}/locations/{location}/publishers/{publisher}/models/{model}",
    "projects/{project}/locations/{location}/endpoints/{model}",
    "publishers/{publisher}/models/{model}",
)


class Generation:
    """The calls that are answered by the model backend."""

    def __init__(self, backend: ModelBackend) -> None:
        self._backend = backend

    def routes(self) -> list[Route[Handler]]:
        """Return the calls: of Google's models, in express mode too, and of tuned ones behind an endpoint."""
        methods: dict[str, Handler] = {
            "generateContent": self._generate,
            "streamGenerateContent": self._stream,
            "countTokens": self._count,
        }
        return [
            Route("POST", f"{model}:{method}", handle)
            for model in PUBLISHER_MODELS
            for method, handle in methods.items()
        ]

    def _generate(self, call: Call) -> dict[str, Any]:
        return self._backend.generate(call.names["model"], call.json())

    def _stream(self, call: Call) -> Stream:
        return Stream(_pieces(self._backend.generate(call.names["model"], call.json())))

    def _count(self, call: Call) -> dict[str, Any]:
        prompt = _countable(call.json())
        counts = prompt.tokens_by_modality()
        texts = [prompt.system, *(turn.text for turn in prompt.turns)]
        return {
            "totalTokens": sum(counts.values()),
            "totalBillableCharacters": sum(len(re.sub(r"\s", "", text)) for text in texts),
            "promptTokensDetails": [{"modality": kind, "tokenCount": count} for kind, count in counts.items()],
        }


def _countable(body: dict[str, Any]) -> Prompt:
    """Return a CountTokensRequest as a prompt. Google's Gen AI SDK nests the request for the Developer API only."""
    given = camel_keys(body)
    if not given.get("contents"):
        raise BackendError(400, "Unable to submit request because at least one contents field is required.")
    return parse_request(given)


def _pieces(response: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Cut a response into pieces of a few words; the last one has the reason for the end and the counts."""
    candidates = response.get("candidates", [])
    cut = [_cut(_text(candidate)) for candidate in candidates]
    last = max((len(pieces) for pieces in cut), default=1) - 1
    rest = {key: value for key, value in response.items() if key not in ("candidates", "usageMetadata")}
    for number in range(last):
        yield rest | {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": pieces[number]}]}, "index": index}
                for index, pieces in enumerate(cut)
                if number < len(pieces) - 1
            ]
        }
    yield response | {
        "candidates": [
            candidate | {"content": {"role": "model", "parts": [{"text": pieces[-1]}]}}
            if _text(candidate)
            else candidate
            for candidate, pieces in zip(candidates, cut, strict=True)
        ]
    }


def _text(candidate: dict[str, Any]) -> str:
    """Return the candidate's words; empty if it holds anything else, which cannot be cut."""
    parts = candidate.get("content", {}).get("parts", [])
    return "".join(part["text"] for part in parts) if all(set(part) == {"text"} for part in parts) else ""


def _cut(text: str) -> list[str]:
    words = re.findall(r"\S+\s*|^\s+", text)
    return ["".join(words[at : at + WORDS_PER_PIECE]) for at in range(0, len(words), WORDS_PER_PIECE)] or [text]
