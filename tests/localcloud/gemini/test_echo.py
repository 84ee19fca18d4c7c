"""The echo backend: responses from the prompt itself, within the limits of the request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.errors import BackendError
from tests.localcloud.gemini.prompts import MODEL, PIXEL, text_request


def echo(request: dict[str, Any]) -> dict[str, Any]:
    return EchoBackend().generate(MODEL, request)


def text_of(response: dict[str, Any], index: int = 0) -> str:
    return str(response["candidates"][index]["content"]["parts"][0]["text"])


def test_equal_requests_get_equal_responses() -> None:
    assert echo(text_request("hello")) == echo(text_request("hello"))
    assert echo(text_request("hello"))["responseId"] != echo(text_request("bye"))["responseId"]
    assert text_of(echo(text_request("hello"))) == "Echo: hello"


def test_the_model_version_says_that_it_is_a_stand_in() -> None:
    assert echo(text_request("hello"))["modelVersion"] == "localcloud-echo (stand-in for gemini-2.5-flash)"


def test_the_last_message_is_echoed_with_its_files() -> None:
    request = {
        "contents": [
            {"role": "user", "parts": [{"text": "first"}]},
            {"role": "model", "parts": [{"text": "answer"}]},
            {
                "role": "user",
                "parts": [
                    {"text": "what is this?"},
                    {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                    {"file_data": {"mime_type": "image/png", "file_uri": "gs://b/x.png"}},
                    {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://b/x.pdf"}},
                ],
            },
        ],
        "system_instruction": {"parts": {"text": "Be short."}},
    }
    response = echo(request)
    assert text_of(response) == "Echo: what is this? [1 application/pdf, 2 image/png]"
    details = {part["modality"]: part["tokenCount"] for part in response["usageMetadata"]["promptTokensDetails"]}
    assert details == {"TEXT": 3 + 2 + 2 + 4, "IMAGE": 516, "DOCUMENT": 258}
    usage = response["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["candidatesTokenCount"]


def test_each_candidate_is_numbered() -> None:
    response = echo(text_request("one two", candidateCount=3))

    texts = [text_of(response, index) for index in range(3)]
    assert texts == ["Echo: one two", "Echo: one two (2)", "Echo: one two (3)"]


def test_the_response_ends_at_the_token_limit() -> None:
    response = echo(text_request("one two three four", maxOutputTokens=2))

    assert (text_of(response), response["candidates"][0]["finishReason"]) == ("Echo: on", "MAX_TOKENS")


def test_the_response_ends_at_the_first_stop_sequence() -> None:
    response = echo(text_request("one two three", stopSequences=["three", " two"]))

    assert (text_of(response), response["candidates"][0]["finishReason"]) == ("Echo: one", "STOP")


def test_a_json_response_holds_the_prompt() -> None:
    response = echo(text_request("x", responseMimeType="application/json"))

    assert json.loads(text_of(response)) == {"echo": "x"}


def test_an_enum_response_is_one_of_the_schemas_values() -> None:
    schema = {"type": "STRING", "enum": ["ACTION", "COMEDY", "DRAMA"]}

    response = echo(text_request("x", responseMimeType="text/x.enum", responseSchema=schema))

    assert text_of(response) in schema["enum"]


def test_a_json_schema_is_accepted_too() -> None:
    schema = {"type": "object", "properties": {}}

    response = echo(text_request("x", responseMimeType="application/json", responseJsonSchema=schema))

    assert text_of(response) == "{}"


@pytest.mark.parametrize(
    ("request_body", "part"),
    [
        ({}, "contents"),
        ({"contents": []}, "contents"),
        ({"contents": [{"role": "user", "parts": []}]}, "parts"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "x"}]}]}, "valid role"),
        ({"contents": [{"parts": [{}]}]}, "exactly one"),
        ({"contents": [{"parts": [{"text": "x", "fileData": {"fileUri": "gs://b/x"}}]}]}, "exactly one"),
        ({"contents": [{"parts": [{"text": 1}]}]}, "string"),
        ({"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/x"}}]}]}, "mimeType"),
        ({"contents": [{"parts": [{"fileData": {"mimeType": "image/png"}}]}]}, "fileUri"),
        ({"contents": ["x"]}, "object"),
        (text_request("x", temperature=3), "temperature"),
        (text_request("x", temperature="hot"), "temperature"),
        (text_request("x", topP=1.5), "topP"),
        (text_request("x", responseModalities=["TEXT", "IMAGE"]), "response modalities: image"),
        (text_request("x", candidateCount=9), "candidateCount"),
        (text_request("x", maxOutputTokens=0), "maxOutputTokens"),
        (text_request("x", maxOutputTokens=2_000_000), "maxOutputTokens"),
        (text_request("x", topK=1.5), "topK"),
        (text_request("x", candidateCount=0), "candidateCount"),
        (text_request("x", stopSequences=list("abcdef")), "stopSequences"),
        (text_request("x", logprobs=3), "responseLogprobs"),
        (text_request("x", responseMimeType="application/yaml"), "responseMimeType"),
        (text_request("x", responseMimeType="text/x.enum"), "enum"),
        (text_request("x", thinkingConfig={"thinkingBudget": -2}), "thinkingBudget"),
        (text_request("x", thinkingConfig={"thinking_budget": 1, "thinkingLevel": "LOW"}), "thinkingLevel"),
        (text_request("x", responseSchema={"type": "STRING"}), "application/json"),
        *(
            (text_request("x", responseMimeType="application/json", responseSchema=schema), "schema is invalid")
            for schema in (
                {},
                {"type": "ARRAY"},
                {"type": "OBJECT"},
                {"type": "STRING", "enum": []},
                {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["b"]},
                {"type": "STRING", "min_length": 3, "maxLength": "2"},
                {"ref": "#/defs/Pet"},
                {"type": "OBJECT", "properties": {"": {"type": "STRING"}}},
            )
        ),
    ],
)
def test_a_request_that_gemini_rejects_is_rejected(request_body: dict[str, Any], part: str) -> None:
    with pytest.raises(BackendError) as raised:
        echo(request_body)
    assert raised.value.code == 400
    assert part in raised.value.message
