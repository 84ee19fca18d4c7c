"""Who answers for the model: the stand-in, a server of one's own, and the Gemini API."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema
import pytest

from localcloud.gemini.backends import backend_from
from localcloud.gemini.developer_api import GeminiBackend
from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.errors import BackendError
from localcloud.gemini.openai import OpenAIBackend
from localcloud.gemini.schemas import conforming_value, json_schema
from localcloud.vertex.enums import ENUMS, JOB_STATES
from tests.localcloud.vertex.world import text_request

PIXEL = "iVBORw0KGgo="
MODEL = "publishers/google/models/gemini-2.5-flash"


def echo(request: dict[str, Any]) -> dict[str, Any]:
    return EchoBackend().generate(MODEL, request)


def text_of(response: dict[str, Any], index: int = 0) -> str:
    return str(response["candidates"][index]["content"]["parts"][0]["text"])


class TestEcho:
    def test_is_the_same_for_the_same_request_and_says_what_it_is(self) -> None:
        assert echo(text_request("hello")) == echo(text_request("hello"))
        assert echo(text_request("hello"))["responseId"] != echo(text_request("bye"))["responseId"]
        assert echo(text_request("hello"))["modelVersion"] == "localcloud-echo (stand-in for gemini-2.5-flash)"
        assert text_of(echo(text_request("hello"))) == "Echo: hello"

    def test_answers_the_last_message_and_names_its_files(self) -> None:
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

    def test_follows_count_length_and_stops(self) -> None:
        response = echo(text_request("one two", candidateCount=3))
        assert [text_of(response, index) for index in range(3)] == [
            "Echo: one two",
            "Echo: one two (2)",
            "Echo: one two (3)",
        ]
        short = echo(text_request("one two three four", maxOutputTokens=2))
        assert (text_of(short), short["candidates"][0]["finishReason"]) == ("Echo: on", "MAX_TOKENS")
        stopped = echo(text_request("one two three", stopSequences=["three", " two"]))
        assert (text_of(stopped), stopped["candidates"][0]["finishReason"]) == ("Echo: one", "STOP")

    def test_answers_in_json_when_asked(self) -> None:
        assert json.loads(text_of(echo(text_request("x", responseMimeType="application/json")))) == {"echo": "x"}
        schema = {"type": "STRING", "enum": ["ACTION", "COMEDY", "DRAMA"]}
        chosen = text_of(echo(text_request("x", responseMimeType="text/x.enum", responseSchema=schema)))
        assert chosen in schema["enum"]
        json_answer = text_request(
            "x", responseMimeType="application/json", responseJsonSchema={"type": "object", "properties": {}}
        )
        assert text_of(echo(json_answer)) == "{}"

    @pytest.mark.parametrize(
        ("request_body", "said"),
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
            (text_request("x", candidateCount=9), "candidateCount"),
            (text_request("x", maxOutputTokens=0), "maxOutputTokens"),
            (text_request("x", responseSchema={"type": "STRING"}), "application/json"),
        ],
    )
    def test_refuses_what_gemini_refuses(self, request_body: dict[str, Any], said: str) -> None:
        with pytest.raises(BackendError) as refused:
            echo(request_body)
        assert refused.value.code == 400
        assert said in refused.value.message


class TestResponseSchema:
    @pytest.mark.parametrize(
        "schema",
        [
            {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}, "b": {"type": "NUMBER", "nullable": True}}},
            {"type": "INTEGER", "minimum": 10, "maximum": 12},
            {"type": "NUMBER", "maximum": -5},
            {"type": "NUMBER", "minimum": 0.25, "maximum": 0.75},
            {"type": "ARRAY", "items": {"type": "BOOLEAN"}, "minItems": "3", "maxItems": "4"},
            {"type": "ARRAY", "items": {"type": "STRING"}, "maxItems": "0"},
            {"type": "STRING", "enum": ["x", "y"]},
            {"type": "STRING", "minLength": "20"},
            {"type": "STRING", "max_length": "2"},
            {"type": 6, "properties": {"when": {"type": 1, "format": "date-time"}}, "required": ["when"]},
            {"anyOf": [{"type": "INTEGER"}, {"type": "STRING"}]},
        ],
    )
    @pytest.mark.parametrize("words", ["a poster", "another poster"])
    def test_is_conformed_to(self, schema: dict[str, Any], words: str) -> None:
        as_json = json_schema(schema)
        jsonschema.validate(conforming_value(as_json, words), as_json)
        assert conforming_value(as_json, words) == conforming_value(as_json, words)

    def test_keeps_the_order_that_was_asked_for(self) -> None:
        schema = {
            "type": "OBJECT",
            "properties": {"a": {"type": "STRING"}, "b": {"type": "STRING"}, "c": {"type": "STRING"}},
            "propertyOrdering": ["c", "a"],
        }
        assert list(conforming_value(json_schema(schema), "x")) == ["c", "a", "b"]

    def test_may_refer_to_itself(self) -> None:
        schema = {
            "$defs": {
                "Node": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "children": {"$ref": "#/$defs/Children"}},
                    "required": ["name"],
                },
                "Children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
            "$ref": "#/$defs/Node",
        }
        jsonschema.validate(conforming_value(schema, "x"), schema)


@dataclass
class Server:
    """A small HTTP server that keeps what it was asked and answers what it was told to."""

    status: int = 200
    answer: Any = None
    asked: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}, body))
            content = told.answer if isinstance(told.answer, bytes) else json.dumps(told.answer).encode()
            self.send_response(told.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield told
    running.shutdown()
    running.server_close()
    thread.join()


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


class TestOpenAI:
    def test_sends_the_conversation_and_returns_the_answer(self, server: Server) -> None:
        server.answer = COMPLETION
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
        ((path, headers, body),) = server.asked
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

    def test_sends_the_response_schema_and_the_model_of_the_address(self, server: Server) -> None:
        server.answer = COMPLETION
        schema = {"type": "OBJECT", "properties": {"title": {"type": "STRING"}}, "required": ["title"]}
        request = text_request("x", responseMimeType="application/json", responseSchema=schema)
        backend_from(f"openai:{server.url}/v1/#llama3.2").generate(MODEL, request)
        ((path, _, body),) = server.asked
        assert (path, body["model"]) == ("/v1/chat/completions", "llama3.2")
        assert body["response_format"]["json_schema"]["schema"] == {
            "type": "object",
            "properties": {"title": {"type": "string"}},
            "required": ["title"],
        }

    @pytest.mark.parametrize(
        ("status", "answer", "code", "said"),
        [
            (404, {"error": {"message": "model not found"}}, 404, "model not found"),
            (500, {"error": "out of memory"}, 500, "out of memory"),
            (429, b"slow down", 429, "slow down"),
            (200, b"<html>", 502, "no chat completion"),
            (200, {"choices": None}, 502, "no chat completion"),
        ],
    )
    def test_errors_of_the_server_are_told(
        self, server: Server, status: int, answer: Any, code: int, said: str
    ) -> None:
        server.status, server.answer = status, answer
        with pytest.raises(BackendError) as refused:
            OpenAIBackend(server.url).generate(MODEL, text_request("x"))
        assert refused.value.code == code
        assert said in refused.value.message

    def test_a_server_that_is_not_there(self) -> None:
        with pytest.raises(BackendError) as refused:
            OpenAIBackend("http://127.0.0.1:1").generate(MODEL, text_request("x"))
        assert refused.value.code == 503

    @pytest.mark.parametrize(
        "request_body",
        [
            {"contents": []},
            text_request("x") | {"tools": [{"googleSearch": {}}]},
            {"contents": [{"parts": [{"fileData": {"mimeType": "image/png", "fileUri": "gs://b/x.png"}}]}]},
            {"contents": [{"parts": [{"inlineData": {"mimeType": "video/mp4", "data": PIXEL}}]}]},
        ],
    )
    def test_what_the_protocol_has_no_words_for_is_refused_and_not_sent(
        self, server: Server, request_body: dict[str, Any]
    ) -> None:
        with pytest.raises(BackendError) as refused:
            OpenAIBackend(server.url).generate(MODEL, request_body)
        assert refused.value.code == 400
        assert server.asked == []


class TestGemini:
    def test_sends_the_request_with_the_callers_key(self, server: Server) -> None:
        server.answer = {"candidates": []}
        request = text_request("x") | {"labels": {"team": "films"}}
        assert GeminiBackend("secret", url=server.url).generate(MODEL, request) == {"candidates": []}
        ((path, headers, body),) = server.asked
        assert path == "/v1beta/models/gemini-2.5-flash:generateContent"
        assert headers["x-goog-api-key"] == "secret"
        assert body == text_request("x")

    def test_errors_are_the_apis_own(self, server: Server) -> None:
        server.status = 400
        server.answer = {"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}
        with pytest.raises(BackendError) as refused:
            GeminiBackend("wrong", url=server.url).generate(MODEL, text_request("x"))
        assert (refused.value.code, refused.value.message) == (400, "API key not valid.")


@pytest.mark.parametrize("name", ["", "echoes", "openai", "openai:", "echo:x"])
def test_a_backend_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="model backend"):
        backend_from(name)


def test_enums_have_googles_numbers() -> None:
    from google.cloud import aiplatform_v1 as api

    official = {
        "state": api.JobState,
        "finishReason": api.Candidate.FinishReason,
        "modality": api.Modality,
        "sourceType": api.ModelSourceInfo.ModelSourceType,
        "supportedDeploymentResourcesTypes": api.Model.DeploymentResourcesType,
    }
    assert official.keys() == ENUMS.keys()
    assert ENUMS["state"] == JOB_STATES
    for field_name, enum in official.items():
        assert {name: number for number, name in enumerate(ENUMS[field_name])} == {
            member.name: member.value for member in enum
        }
