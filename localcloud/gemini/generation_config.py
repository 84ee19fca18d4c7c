"""The GenerationConfig of a request, with the limits that Gemini documents for its values.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference#generationconfig
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from localcloud.gemini.errors import BackendError
from localcloud.gemini.json_values import as_list, camel_keys
from localcloud.gemini.schemas import InvalidSchemaError, check_schema, json_schema

MAX_CANDIDATES = 8
MAX_STOP_SEQUENCES = 5
# No model has a larger context, prompt and answer together.
MAX_OUTPUT_TOKENS = 1_048_576
MAX_LOGPROBS = 20
# That of the model with the largest one; -1 lets the model decide.
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking
MAX_THINKING_BUDGET = 32_768
JSON_TYPE, ENUM_TYPE, TEXT_TYPE = "application/json", "text/x.enum", "text/plain"
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/control-generated-output
MIME_TYPES = (TEXT_TYPE, JSON_TYPE, ENUM_TYPE)


@dataclass(frozen=True)
class Generation:
    """How to generate the response. None means the model's default."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    candidate_count: int = 1
    stop_sequences: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    mime_type: str = "text/plain"
    schema: dict[str, Any] | None = None  # a JSON Schema, converted if the request has Google's Schema


def parse_generation(config: Any) -> Generation:
    """Return a GenerationConfig.

    Raises:
        BackendError: 400 if Gemini does not accept it.
    """
    given = camel_keys(config)
    _check_thinking(camel_keys(given.get("thinkingConfig") or {}))
    _whole_number(given, "topK", 1)
    if _whole_number(given, "logprobs", 0, MAX_LOGPROBS) is not None and given.get("responseLogprobs") not in (
        True,
        "true",
    ):
        raise BackendError(400, "Unable to submit request because logprobs needs responseLogprobs to be true.")
    stop_sequences = tuple(str(stop) for stop in as_list(given.get("stopSequences")))
    if len(stop_sequences) > MAX_STOP_SEQUENCES:
        raise BackendError(
            400,
            f"Unable to submit request because it has {len(stop_sequences)} stopSequences; at most {MAX_STOP_SEQUENCES} are "
            "supported.",
        )
    generation = Generation(
        temperature=_number(given, "temperature", 0, 2),
        top_p=_number(given, "topP", 0, 1),
        max_output_tokens=_whole_number(given, "maxOutputTokens", 1, MAX_OUTPUT_TOKENS),
        candidate_count=_whole_number(given, "candidateCount", 1, MAX_CANDIDATES) or 1,
        stop_sequences=stop_sequences,
        seed=_whole_number(given, "seed"),
        presence_penalty=_number(given, "presencePenalty", -2, 2),
        frequency_penalty=_number(given, "frequencyPenalty", -2, 2),
        mime_type=given.get("responseMimeType") or TEXT_TYPE,
        schema=_schema(given),
    )
    _check_mime_type(generation)
    return generation


def _check_thinking(config: dict[str, Any]) -> None:
    """Check a ThinkingConfig: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking."""
    budget = _whole_number(config, "thinkingBudget", -1, MAX_THINKING_BUDGET)
    if budget is not None and config.get("thinkingLevel") is not None:
        raise BackendError(
            400, "Unable to submit request because only one of thinkingBudget and thinkingLevel may be set."
        )


def _check_mime_type(generation: Generation) -> None:
    if generation.mime_type not in MIME_TYPES:
        raise BackendError(
            400,
            f"Unable to submit request because responseMimeType has the value {generation.mime_type}; supported values are "
            f"{', '.join(MIME_TYPES)}.",
        )
    if generation.schema is not None and generation.mime_type == TEXT_TYPE:
        raise BackendError(
            400, "Unable to submit request because a response schema needs the responseMimeType application/json."
        )
    if generation.mime_type == ENUM_TYPE and not (generation.schema or {}).get("enum"):
        raise BackendError(
            400,
            f"Unable to submit request because the responseMimeType {ENUM_TYPE} needs a response schema with an enum.",
        )


def _schema(config: dict[str, Any]) -> dict[str, Any] | None:
    schema, other = config.get("responseSchema"), config.get("responseJsonSchema")
    if schema is not None and other is not None:
        raise BackendError(400, "Only one of responseSchema and responseJsonSchema may be set.")
    if schema is None and other is None:
        return None
    try:
        if schema is not None:
            check_schema(schema)
        return json_schema(other if schema is None else schema)
    except InvalidSchemaError as error:
        raise BackendError(400, f"Unable to submit request because the response schema is invalid: {error}") from None


def _number(given: dict[str, Any], name: str, low: float | None = None, high: float | None = None) -> float | None:
    value = given.get(name)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise BackendError(400, f"Invalid value at 'generation_config.{name}': {value!r} is not a number.") from None
    if not math.isfinite(number) or (low is not None and number < low) or (high is not None and number > high):
        limits = f"from {low} to {high}" if high is not None else f"of at least {low}"
        raise BackendError(
            400, f"Unable to submit request because {name} has the value {value}; it must be a number {limits}."
        )
    return number


def _whole_number(given: dict[str, Any], name: str, low: int | None = None, high: int | None = None) -> int | None:
    number = _number(given, name, low, high)
    if number is not None and not number.is_integer():
        raise BackendError(
            400, f"Unable to submit request because {name} has the value {number}; it must be a whole number."
        )
    return None if number is None else int(number)
