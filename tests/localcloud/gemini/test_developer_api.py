"""The Gemini backend: requests to the Gemini Developer API, and its errors."""

from __future__ import annotations

import pytest

from localcloud.gemini.developer_api import GeminiBackend
from localcloud.gemini.errors import BackendError
from tests.localcloud.gemini.model_server import ModelServer
from tests.localcloud.gemini.prompts import MODEL, text_request


def test_the_request_is_sent_with_the_users_key(server: ModelServer) -> None:
    server.body = {"candidates": []}
    request = text_request("x") | {"labels": {"team": "films"}}
    assert GeminiBackend("secret", url=server.url).generate(MODEL, request) == {"candidates": []}
    ((path, headers, body),) = server.requests
    assert path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert headers["x-goog-api-key"] == "secret"
    assert body == text_request("x")


def test_a_request_that_vertex_ai_refuses_is_not_sent(server: ModelServer) -> None:
    with pytest.raises(BackendError, match="valid role"):
        GeminiBackend("secret", url=server.url).generate(MODEL, {"contents": [{"parts": [{"text": "x"}]}]})
    assert server.requests == []


def test_an_error_keeps_the_status_and_message_of_the_api(server: ModelServer) -> None:
    server.status = 400
    server.body = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
    with pytest.raises(BackendError) as raised:
        GeminiBackend("wrong", url=server.url).generate(MODEL, text_request("x"))
    assert (raised.value.code, raised.value.message) == (400, "API key not valid.")
