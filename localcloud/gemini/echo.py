"""A stand-in for a model: it echoes the prompt. Equal requests get equal responses."""

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
    """Answers every valid request with the text of its last message.

    The response respects ``candidateCount``, ``maxOutputTokens``, ``stopSequences``, ``responseMimeType`` and the
    response schema of the request. Its ``modelVersion`` says that it is a stand-in, so that it is not mistaken for
    Gemini's.
    """

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return a GenerateContentResponse.

        Raises:
            BackendError: 400 for a request that Gemini rejects.
        """
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
    text, finish_reason = _truncate(_response_text(prompt, index), prompt.generation)
    return {
        "content": {"role": "model", "parts": [{"text": text}]},
        "finishReason": finish_reason,
        "index": index,
    }


def _response_text(prompt: Prompt, index: int) -> str:
    echoed = _last_message(prompt) + (f" ({index + 1})" if index else "")
    generation = prompt.generation
    match generation.mime_type:
        case "application/json":
            schema = generation.schema
            return json.dumps({"echo": echoed} if schema is None else conforming_value(schema, echoed))
        case "text/x.enum" if generation.schema is not None:
            return str(conforming_value(generation.schema, echoed))
        case _:
            return f"Echo: {echoed}"


def _last_message(prompt: Prompt) -> str:
    """Return the text of the last message, with the number and MIME types of its files."""
    last = prompt.turns[-1]
    kinds = Counter(part.mime_type for part in last.parts if part.mime_type)
    files = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    return " ".join(piece for piece in (last.text, f"[{files}]" if files else "") if piece)


def _truncate(text: str, generation: Generation) -> tuple[str, str]:
    """Return the text up to the first stop sequence or the token limit, and the finish reason."""
    ends = [text.find(stop) for stop in generation.stop_sequences if stop and stop in text]
    text = text[: min(ends)] if ends else text
    if generation.max_output_tokens is not None and count_tokens(text) > generation.max_output_tokens:
        return text[: generation.max_output_tokens * CHARACTERS_PER_TOKEN], "MAX_TOKENS"
    return text, "STOP"


def _usage(prompt: Prompt, candidates: list[dict[str, Any]]) -> dict[str, Any]:
    by_modality = prompt.tokens_by_modality()
    prompt_tokens = sum(by_modality.values())
    candidates_tokens = sum(count_tokens(candidate["content"]["parts"][0]["text"]) for candidate in candidates)
    return {
        "promptTokenCount": prompt_tokens,
        "candidatesTokenCount": candidates_tokens,
        "totalTokenCount": prompt_tokens + candidates_tokens,
        "promptTokensDetails": [{"modality": name, "tokenCount": count} for name, count in by_modality.items()],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": candidates_tokens}],
    }
