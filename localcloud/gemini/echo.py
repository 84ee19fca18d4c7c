"""A stand-in for a model: it echoes the prompt. Equal requests get equal responses."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from localcloud.gemini.contents import (
    CHARACTERS_PER_TOKEN,
    Prompt,
    count_tokens,
    parse_request,
)
from localcloud.gemini.errors import BackendError
from localcloud.gemini.generation_config import Generation
from localcloud.gemini.json_values import as_list, camel_keys
from localcloud.gemini.orders import Order, Orders
from localcloud.gemini.request_fields import ECHO
from localcloud.gemini.schemas import conforming_value


class EchoBackend:
    """Answers every valid request with the text of its last message.

    The response respects ``candidateCount``, ``maxOutputTokens``, ``stopSequences``, ``responseMimeType`` and the
    response schema of the request. Its ``modelVersion`` says that it is a stand-in, so that it is not mistaken for
    Gemini's.

    Attributes:
        orders: Which requests it fails, refuses, delays, or answers with a given text.
    """

    orders = Orders([])

    def __init__(self, orders: Sequence[Order] = ()) -> None:
        """Begin with ``orders``."""
        self.orders = Orders(list(orders))

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return a GenerateContentResponse.

        Raises:
            BackendError: 400 for a request that Gemini rejects, 501 for one that the stand-in cannot carry out, or the
                error that an order sets.
        """
        prompt = parse_request(request)
        _check_modalities(request)
        ECHO.check(request)
        name = model.rsplit("/", 1)[-1]
        canonical = json.dumps([name, request], sort_keys=True, default=str)
        digest = hashlib.sha256(canonical.encode()).digest()
        answer: str | None = None
        refused = False
        if self.orders:
            for order in self.orders.of(prompt.turns[-1].text, int.from_bytes(digest[:8])):
                time.sleep(order.seconds)
                if order.status is not None:
                    raise BackendError(order.status, order.message)
                refused = refused or order.refuse
                answer = answer if order.answer is None else order.answer
        candidates = [
            _refusal(index) if refused else _candidate(prompt, index, answer)
            for index in range(prompt.generation.candidate_count)
        ]
        return {
            "candidates": candidates,
            "usageMetadata": _usage(prompt, candidates),
            "modelVersion": f"localcloud-echo (stand-in for {name})",
            "responseId": digest.hex()[:24],
        }


def _check_modalities(request: dict[str, Any]) -> None:
    """Raise ``BackendError`` (400) if a request wants more than text, which the models of the table return alone."""
    config = camel_keys(camel_keys(request).get("generationConfig") or {})
    wanted = [str(each).upper() for each in as_list(config.get("responseModalities"))]
    if others := [each.lower() for each in wanted if each not in ("TEXT", "MODALITY_UNSPECIFIED")]:
        raise BackendError(400, f"Model does not support the requested response modalities: {','.join(others)}")


def _refusal(index: int) -> dict[str, Any]:
    """Return a candidate that safety filters blocked."""
    rating = {"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": "HIGH", "blocked": True}
    return {"finishReason": "SAFETY", "safetyRatings": [rating], "index": index}


def _candidate(prompt: Prompt, index: int, answer: str | None) -> dict[str, Any]:
    given = _response_text(prompt, index) if answer is None else answer
    text, finish_reason = _truncate(given, prompt.generation)
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
    texts = [candidate["content"]["parts"][0]["text"] for candidate in candidates if "content" in candidate]
    candidates_tokens = sum(map(count_tokens, texts))
    return {
        "promptTokenCount": prompt_tokens,
        "candidatesTokenCount": candidates_tokens,
        "totalTokenCount": prompt_tokens + candidates_tokens,
        "promptTokensDetails": [{"modality": name, "tokenCount": count} for name, count in by_modality.items()],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": candidates_tokens}],
    }
