"""A stand-in for a model: answers with the prompt's own words, the same for the same request, and says so."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from typing import Any

from localcloud.gemini.contents import (
    CHARACTERS_PER_TOKEN,
    Generation,
    Prompt,
    count_tokens,
    parse_request,
)
from localcloud.gemini.schemas import conforming_value


class EchoBackend:
    """Answers every valid request with text made of its last message.

    The text follows ``candidateCount``, ``maxOutputTokens``, ``stopSequences``, ``responseMimeType`` and the response
    schema of the request. ``modelVersion`` names the stand-in, so that nobody takes its answers for Gemini's.
    """

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return a GenerateContentResponse. Raises ``BackendError`` (400) for a request that Gemini would refuse."""
        prompt = parse_request(request)
        candidates = [_candidate(prompt, index) for index in range(prompt.generation.candidate_count)]
        name = model.rsplit("/", 1)[-1]
        canonical = json.dumps([name, request], sort_keys=True, default=str)
        return {
            "candidates": candidates,
            "usageMetadata": _usage(prompt, candidates),
            "modelVersion": f"localcloud-echo (stand-in for {name})",
            "responseId": hashlib.sha256(canonical.encode()).hexdigest()[:24],
        }


def _candidate(prompt: Prompt, index: int) -> dict[str, Any]:
    text, finish_reason = _limit(_answer(prompt, index), prompt.generation)
    return {
        "content": {"role": "model", "parts": [{"text": text}]},
        "finishReason": finish_reason,
        "index": index,
    }


def _answer(prompt: Prompt, index: int) -> str:
    words = _words(prompt) + (f" ({index + 1})" if index else "")
    generation = prompt.generation
    match generation.mime_type:
        case "application/json":
            schema = generation.schema
            return json.dumps({"echo": words} if schema is None else conforming_value(schema, words))
        case "text/x.enum" if generation.schema is not None:
            return str(conforming_value(generation.schema, words))
        case _:
            return f"Echo: {words}"


def _words(prompt: Prompt) -> str:
    last = prompt.turns[-1]
    kinds = Counter(part.mime_type for part in last.parts if part.mime_type)
    files = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return " ".join(piece for piece in (last.text, f"[{files}]" if files else "") if piece)


def _limit(text: str, generation: Generation) -> tuple[str, str]:
    ends = [text.find(stop) for stop in generation.stop_sequences if stop and stop in text]
    text = text[: min(ends)] if ends else text
    if generation.max_output_tokens is not None and count_tokens(text) > generation.max_output_tokens:
        return text[: generation.max_output_tokens * CHARACTERS_PER_TOKEN], "MAX_TOKENS"
    return text, "STOP"


def _usage(prompt: Prompt, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    asked = prompt.tokens_by_modality()
    answered = sum(count_tokens(candidate["content"]["parts"][0]["text"]) for candidate in candidates)
    return {
        "promptTokenCount": sum(asked.values()),
        "candidatesTokenCount": answered,
        "totalTokenCount": sum(asked.values()) + answered,
        "promptTokensDetails": [{"modality": kind, "tokenCount": count} for kind, count in asked.items()],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": answered}],
    }
