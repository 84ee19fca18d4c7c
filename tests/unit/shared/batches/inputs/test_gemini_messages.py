"""The published messages: the file is what the API description says, and values are compared with it."""

from __future__ import annotations

from typing import Any

import pytest

from shared.batches.inputs.gemini_messages import MESSAGES_FILE, REQUEST, breaches, messages
from shared.batches.inputs.update_messages import described_messages, text_of
from shared.batches.inputs.values import CONFIG, RANGES


def test_the_file_has_what_the_api_description_says() -> None:
    assert MESSAGES_FILE.read_text() == text_of(described_messages())


def test_every_range_is_of_a_published_field() -> None:
    assert all(field in messages()[message] for message, field in RANGES)


def _found(value: Any, message: str = CONFIG) -> list[tuple[str, str]]:
    return [(breach.rule, breach.path) for breach in breaches(value, message, "config")]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"temperature": 0, "topP": 1, "top_k": 40.0, "maxOutputTokens": "100", "seed": -5},
        {"stopSequences": ["a", "b"], "responseModalities": "TEXT", "candidate_count": None},
        {"mediaResolution": "media_resolution_low", "thinkingConfig": {"thinkingLevel": 1}},
        {"thinkingConfig": {"thinkingBudget": -1}, "imageConfig": {"imageSize": "1K"}},
        {"thinkingConfig": {"thinking_level": "XHIGH"}, "responseMimeType": "text/plain"},
        {"responseSchema": {"type": 1, "minLength": 1, "maxLength": "1", "minimum": -3.5}},
        {"responseSchema": {"type": "object", "properties": {"type_": {"type": "STRING", "maxLength": "7"}}}},
        {"responseJsonSchema": {"anything": ["goes"]}},
    ],
)
def test_a_config_that_google_takes_has_no_breach(config: dict[str, Any]) -> None:
    assert _found(config) == []


@pytest.mark.parametrize(
    ("config", "rule", "path"),
    [
        ({"max_tokens": 5}, "unknown_field", "config.max_tokens"),
        ({"temperature": 2.1}, "out_of_range", "config.temperature"),
        ({"temperature": "hot"}, "wrong_type", "config.temperature"),
        ({"temperature": True}, "wrong_type", "config.temperature"),
        ({"temperature": float("nan")}, "out_of_range", "config.temperature"),
        ({"topP": -0.1}, "out_of_range", "config.topP"),
        ({"maxOutputTokens": 0}, "out_of_range", "config.maxOutputTokens"),
        ({"maxOutputTokens": 1.5}, "wrong_type", "config.maxOutputTokens"),
        ({"maxOutputTokens": 1_048_577}, "out_of_range", "config.maxOutputTokens"),
        ({"topK": 1.5}, "out_of_range", "config.topK"),
        ({"topK": 0}, "out_of_range", "config.topK"),
        ({"candidateCount": 0}, "out_of_range", "config.candidateCount"),
        ({"seed": 2**31}, "wrong_type", "config.seed"),
        ({"seed": -(2**31) - 1}, "wrong_type", "config.seed"),
        ({"responseMimeType": "application/yaml"}, "wrong_enum", "config.responseMimeType"),
        ({"imageConfig": {"imageSize": "4K"}}, "wrong_enum", "config.imageConfig.imageSize"),
        ({"thinkingConfig": {"thinkingBudget": -2}}, "out_of_range", "config.thinkingConfig.thinkingBudget"),
        ({"thinkingConfig": {"thinkingLevel": 9}}, "wrong_enum", "config.thinkingConfig.thinkingLevel"),
        (
            {"thinkingConfig": {"thinkingBudget": 0, "thinking_level": "LOW"}},
            "invalid_field",
            "config.thinkingConfig",
        ),
        ({"topP": 1, "top_p": 1}, "invalid_field", "config.top_p"),
        ({"responseSchema": {"type": "STRING", "enum": []}}, "out_of_range", "config.responseSchema.enum"),
        ({"responseSchema": {"minItems": 3, "maxItems": "2"}}, "invalid_field", "config.responseSchema"),
        ({"responseSchema": {"minLength": -1}}, "out_of_range", "config.responseSchema.minLength"),
        ({"maxOutputTokens": 2**40}, "wrong_type", "config.maxOutputTokens"),
        ({"candidateCount": 9}, "out_of_range", "config.candidateCount"),
        ({"stopSequences": [1]}, "wrong_type", "config.stopSequences[0]"),
        ({"stopSequences": list("abcdef")}, "out_of_range", "config.stopSequences"),
        ({"mediaResolution": "LOW"}, "wrong_enum", "config.mediaResolution"),
        ({"thinkingConfig": []}, "wrong_type", "config.thinkingConfig"),
        ({"thinkingConfig": {"budget": 1}}, "unknown_field", "config.thinkingConfig.budget"),
        (
            {"responseSchema": {"properties": {"a": {"type_": "X"}}}},
            "unknown_field",
            "config.responseSchema.properties.a.type_",
        ),
        ({"responseLogprobs": "yes"}, "wrong_type", "config.responseLogprobs"),
        ([], "wrong_type", "config"),
    ],
)
def test_a_wrong_value_is_found_with_its_path(config: Any, rule: str, path: str) -> None:
    assert _found(config) == [(rule, path)]


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        ({"inlineData": {"data": "a", "mimeType": "image/png"}}, "wrong_type"),
        ({"inlineData": {"data": "_-8=", "mimeType": "image/png"}}, None),
        ({"videoMetadata": {"startOffset": "1.5s", "fps": 24}}, None),
        ({"videoMetadata": {"startOffset": "90"}}, "wrong_type"),
        ({"videoMetadata": {"fps": 0}}, "out_of_range"),
    ],
)
def test_the_data_of_a_part_is_checked(part: dict[str, Any], rule: str | None) -> None:
    assert [found for found, _ in _found(part, "Part")] == ([rule] if rule else [])


def test_a_hint_quotes_nothing_of_a_request() -> None:
    [range_] = breaches({"temperature": 3}, CONFIG)
    assert range_.hint == "GenerationConfig.temperature must be from 0 to 2"
    [unknown] = breaches({"secret": 3}, CONFIG)
    assert unknown.hint == "GenerationConfig"


def test_a_misspelt_field_is_found_with_what_was_meant() -> None:
    [breach] = breaches({"max_ouput_tokens": 5}, CONFIG)
    assert breach.text.endswith("did you mean max_output_tokens?")


def test_a_field_of_the_config_at_the_top_is_sent_to_its_place() -> None:
    [breach] = breaches({"temperature": 1}, REQUEST)
    assert breach.text == "belongs in generationConfig"
