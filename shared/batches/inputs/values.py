"""The rules for the values of Gemini's messages that Google documents beside the API description.

The parameters of a model:
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference#generationconfig
Thinking: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/thinking
Response schemas: https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/Schema
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

CONFIG = "GenerationConfig"
THINKING = "GenerationConfigThinkingConfig"
SCHEMA = "Schema"

JSON_TYPE, ENUM_TYPE, TEXT_TYPE = "application/json", "text/x.enum", "text/plain"


@dataclass(frozen=True)
class Range:
    """The numbers that a field may have."""

    least: float
    most: float = math.inf
    is_whole: bool = False
    """Whether a field of the type number must be whole, because it counts something."""
    excludes_least: bool = False

    def holds(self, value: float) -> bool:
        """Return whether the field may have this number."""
        if self.is_whole and not value.is_integer():
            return False
        return (self.least < value if self.excludes_least else self.least <= value) and value <= self.most

    def __str__(self) -> str:
        kind = "a whole number, " if self.is_whole else ""
        least = f"more than {self.least:g}" if self.excludes_least else f"at least {self.least:g}"
        if self.most == math.inf:
            return kind + least
        if self.excludes_least:
            return f"{kind}{least} and at most {self.most:.8g}"
        return f"{kind}from {self.least:g} to {self.most:.8g}"


_COUNT = Range(0)
RANGES: Mapping[tuple[str, str], Range] = {
    (CONFIG, "temperature"): Range(0, 2),
    (CONFIG, "topP"): Range(0, 1),
    (CONFIG, "topK"): Range(1, is_whole=True),
    (CONFIG, "candidateCount"): Range(1, 8),
    # No model has a larger context, prompt and answer together.
    (CONFIG, "maxOutputTokens"): Range(1, 1_048_576),
    (CONFIG, "presencePenalty"): Range(-2, 2),
    (CONFIG, "frequencyPenalty"): Range(-2, 2),
    (CONFIG, "logprobs"): Range(0, 20),
    # -1 lets the model choose, and 0 turns thinking off.
    (THINKING, "thinkingBudget"): Range(-1),
    ("VideoMetadata", "fps"): Range(0, 24, excludes_least=True),
    **{
        (SCHEMA, name): _COUNT
        for name in ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
    },
}
# How many elements a list may have.
LENGTHS: Mapping[tuple[str, str], Range] = {
    (CONFIG, "stopSequences"): Range(0, 5),
    (SCHEMA, "enum"): Range(1),
}
# The values of fields that the API description has as any string.
VALUES: Mapping[tuple[str, str], tuple[str, ...]] = {
    # https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/control-generated-output
    (CONFIG, "responseMimeType"): (TEXT_TYPE, JSON_TYPE, ENUM_TYPE),
    # Batches create images of this size only:
    # https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
    ("ImageConfig", "imageSize"): ("1K",),
}
# Values of an enum that the service accepts and the API description does not have yet:
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/guides/gemini-4-hydrogen
NEW_VALUES: Mapping[tuple[str, str], tuple[str, ...]] = {(THINKING, "thinkingLevel"): ("XHIGH",)}
# Fields of which a message may have one.
EXCLUSIVE: Mapping[str, tuple[tuple[str, str], ...]] = {
    CONFIG: (("responseSchema", "responseJsonSchema"),),
    THINKING: (("thinkingBudget", "thinkingLevel"),),
    "SpeechConfig": (("voiceConfig", "multiSpeakerVoiceConfig"),),
    "FunctionDeclaration": (("parameters", "parametersJsonSchema"), ("response", "responseJsonSchema")),
}
# Fields whose first number must not be greater than the second.
ORDERED: Mapping[str, tuple[tuple[str, str], ...]] = {
    SCHEMA: (
        ("minItems", "maxItems"),
        ("minLength", "maxLength"),
        ("minProperties", "maxProperties"),
        ("minimum", "maximum"),
    )
}


def wrong_value(message: str, field: str, value: object) -> tuple[str, str] | None:
    """Return the rule that a value of the right type breaks, and what would be right; None if it breaks none.

    Args:
        message: The published name of a message.
        field: The published name of its field.
        value: The value, whose type is right.
    """
    name = (message, field)
    if (limits := RANGES.get(name)) and not limits.holds(float(str(value))):
        return "out_of_range", f"must be {limits}"
    if (lengths := LENGTHS.get(name)) and isinstance(value, list) and not lengths.holds(float(len(value))):
        right = f"at least {lengths.least:g}" if lengths.most == math.inf else f"at most {lengths.most:g}"
        return "out_of_range", f"must have {right} elements"
    if (values := VALUES.get(name)) and value not in values:
        return "wrong_enum", f"must be {' or '.join(values)}"
    return None


def contradictions(message: str, given: Mapping[str, Any]) -> Iterator[str]:
    """Yield which fields of a message exclude each other.

    Args:
        message: The published name of the message.
        given: The values of its fields, which have the right types, by their published names; none is None.
    """
    for pair in EXCLUSIVE.get(message, ()):
        if set(pair) <= set(given):
            yield f"has both {pair[0]} and {pair[1]}: leave one out"
    for least, most in ORDERED.get(message, ()):
        if least in given and most in given and float(str(given[least])) > float(str(given[most])):
            yield f"has a {least} that is greater than its {most}"
