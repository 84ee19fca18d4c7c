"""The OpenAI backend: requests and responses converted for a chat completions server."""

from __future__ import annotations

from typing import Any

import pytest

from localcloud.gemini.backends import backend_from
from localcloud.gemini.errors import BackendError
from localcloud.gemini.openai import OpenAIBackend
from tests.localcloud.gemini.model_server import ModelServer
from tests.localcloud.gemini.prompts import MODEL, PIXEL, text_request

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "llama3.2",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "A film."}, "finish_reason": "stop"},
        {"index": 1, "message": {"role": "assistant", "content": None}, "finish_reason": "length"},
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
}


def test_a_conversation_is_sent_and_its_response_returned(server: ModelServer) -> None:
    server.body = COMPLETION
    request = {
        "systemInstruction": {"parts": [{"text": "Be short."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "hello"}]},
            {"role": "model", "parts": [{"text": "yes?"}]},
            {
                "role": "user",
                "parts": [
                    {"text": "what is this?"},
                    {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a.png"}},
                ],
            },
        ],
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.9,
            "maxOutputTokens": 64,
            "stopSequences": ["END"],
            "candidateCount": 2,
            "seed": 7,
            "responseMimeType": "application/json",
        },
    }
    response = backend_from(f"openai:{server.url}").generate(MODEL, request)
    ((path, headers, body),) = server.requests
    assert path == "/v1/chat/completions"
    assert "authorization" not in headers
    assert body == {
        "model": "gemini-2.5-flash",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": "yes?"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what is this?"},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}},
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                ],
            },
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 64,
        "n": 2,
        "stop": ["END"],
        "seed": 7,
        "response_format": {"type": "json_object"},
    }
    assert response == {
        "candidates": [
            {"content": {"role": "model", "parts": [{"text": "A film."}]}, "finishReason": "STOP", "index": 0},
            {"content": {"role": "model", "parts": [{"text": ""}]}, "finishReason": "MAX_TOKENS", "index": 1},
        ],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
        "modelVersion": "llama3.2",
        "responseId": "chatcmpl-1",
    }


def test_the_response_schema_and_the_model_of_the_address_are_sent(server: ModelServer) -> None:
    server.body = COMPLETION
    schema = {"type": "OBJECT", "properties": {"title": {"type": "STRING"}}, "required": ["title"]}
    request = text_request("x", responseMimeType="application/json", responseSchema=schema)
    backend_from(f"openai:{server.url}/v1/#llama3.2").generate(MODEL, request)
    ((path, _, body),) = server.requests
    assert (path, body["model"]) == ("/v1/chat/completions", "llama3.2")
    assert body["response_format"]["json_schema"]["schema"] == {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
    }


@pytest.mark.parametrize(
    ("status", "body", "code", "part"),
    [
        (404, {"error": {"message": "model not found"}}, 404, "model not found"),
        (500, {"error": "out of memory"}, 500, "out of memory"),
        (429, b"slow down", 429, "slow down"),
        (200, b"<html>", 502, "not return a chat completion"),
        (200, {"choices": None}, 502, "not return a chat completion"),
    ],
)
def test_an_error_of_the_server_is_raised(server: ModelServer, status: int, body: Any, code: int, part: str) -> None:
    server.status, server.body = status, body
    with pytest.raises(BackendError) as raised:
        OpenAIBackend(server.url).generate(MODEL, text_request("x"))
    assert raised.value.code == code
    assert part in raised.value.message


def test_an_unreachable_server_is_unavailable() -> None:
    with pytest.raises(BackendError) as raised:
        OpenAIBackend("http://127.0.0.1:1").generate(MODEL, text_request("x"))
    assert raised.value.code == 503


@pytest.mark.parametrize(
    "request_body",
    [
        {"contents": []},
        text_request("x") | {"tools": [{"googleSearch": {}}]},
        {"contents": [{"parts": [{"fileData": {"mimeType": "image/png", "fileUri": "gs://b/x.png"}}]}]},
        {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": PIXEL}}]}]},
    ],
)
def test_an_unsupported_request_is_rejected_before_it_is_sent(
    server: ModelServer, request_body: dict[str, Any]
) -> None:
    with pytest.raises(BackendError) as raised:
        OpenAIBackend(server.url).generate(MODEL, request_body)
    assert raised.value.code == 400
    assert server.requests == []
