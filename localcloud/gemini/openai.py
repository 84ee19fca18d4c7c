"""A backend that sends requests to a server with OpenAI's chat completions API.

Ollama, llama.cpp, vLLM and others provide it: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import os
from typing import Any

import requests

from localcloud.gemini.contents import (
    Part,
    Prompt,
    Turn,
    parse_request,
)
from localcloud.gemini.errors import BackendError
from localcloud.gemini.generation_config import Generation
from localcloud.gemini.request_fields import OPENAI

TIMEOUT_SECONDS = 600.0

ROLE_BY_ROLE = {"user": "user", "model": "assistant"}

FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}


class OpenAIBackend:
    """A model behind ``<base-url>/v1/chat/completions``.

    Each request uses the model in the address (``#<model>``), or else the name of the requested Gemini model. It sends
    the key in ``OPENAI_API_KEY``, if there is one.
    """

    def __init__(self, address: str) -> None:
        """Create the backend.

        Args:
            address: ``http://host:port``, optionally followed by ``/v1`` and ``#<model>``.
        """
        base, _, self._model = address.partition("#")
        self._url = base.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the server's response as a GenerateContentResponse.

        Raises:
            BackendError: 400 for a request that is invalid or cannot be converted, 501 for one with a field that the
                API does not have, 503 if the server cannot be reached, 502 if its response is not a chat completion,
                and the server's own status otherwise.
        """
        body = chat_request(self._model or model.rsplit("/", 1)[-1], parse_request(request))
        OPENAI.check(request)
        key = os.environ.get("OPENAI_API_KEY")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            response = requests.post(self._url, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as error:
            raise BackendError(503, f"The model server at {self._url} cannot be reached: {error}") from error
        if response.status_code != 200:
            raise BackendError(response.status_code, _error_message(response))
        try:
            return content_response(response.json())
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(502, f"The model server at {self._url} did not return a chat completion.") from error


def chat_request(model: str, prompt: Prompt) -> dict[str, Any]:
    """Return a prompt as the body of a chat completions request.

    Raises:
        BackendError: 400 if the prompt has tools, files or roles that the API does not support.
    """
    if prompt.has_tools:
        raise BackendError(400, "Tools are not supported by the OpenAI-compatible backend.")
    messages: list[dict[str, Any]] = []
    if prompt.system:
        messages.append({"role": "system", "content": prompt.system})
    messages += [_message(turn) for turn in prompt.turns]
    return {"model": model, "messages": messages, **_options(prompt.generation)}


def content_response(completion: dict[str, Any]) -> dict[str, Any]:
    """Return a chat completion as a GenerateContentResponse.

    Raises:
        KeyError, TypeError: ``completion`` is not a chat completion.
    """
    candidates = [
        {
            "content": {"role": "model", "parts": [{"text": choice["message"].get("content") or ""}]},
            "finishReason": FINISH_REASONS.get(choice.get("finish_reason") or "stop", "OTHER"),
            "index": index,
        }
        for index, choice in enumerate(completion["choices"])
    ]
    usage = completion.get("usage") or {}
    response: dict[str, Any] = {
        "candidates": candidates,
        "usageMetadata": {
            "promptTokenCount": int(usage.get("prompt_tokens", 0)),
            "candidatesTokenCount": int(usage.get("completion_tokens", 0)),
            "totalTokenCount": int(usage.get("total_tokens", 0)),
        },
        "modelVersion": str(completion.get("model", "")),
    }
    if completion.get("id"):
        response["responseId"] = str(completion["id"])
    return response


def _message(turn: Turn) -> dict[str, Any]:
    if turn.role not in ROLE_BY_ROLE:
        raise BackendError(400, f"Turns of the role {turn.role} are not supported by the OpenAI-compatible backend.")
    if all(not part.mime_type for part in turn.parts):
        return {"role": ROLE_BY_ROLE[turn.role], "content": turn.text}
    return {"role": ROLE_BY_ROLE[turn.role], "content": [_content_part(part) for part in turn.parts]}


def _content_part(part: Part) -> dict[str, Any]:
    if not part.mime_type:
        return {"type": "text", "text": part.text}
    if part.modality == "IMAGE" and part.data:
        return {"type": "image_url", "image_url": {"url": f"data:{part.mime_type};base64,{part.data}"}}
    if part.modality == "IMAGE" and part.uri.startswith(("http://", "https://")):
        return {"type": "image_url", "image_url": {"url": part.uri}}
    file = f"a file at {part.uri}" if part.uri else f"data of the type {part.mime_type}"
    raise BackendError(400, f"The OpenAI-compatible backend accepts images in the request or by URL, not {file}.")


def _options(generation: Generation) -> dict[str, Any]:
    options: dict[str, Any] = {
        "temperature": generation.temperature,
        "top_p": generation.top_p,
        "max_tokens": generation.max_output_tokens,
        "n": generation.candidate_count if generation.candidate_count > 1 else None,
        "stop": list(generation.stop_sequences) or None,
        "seed": generation.seed,
        "presence_penalty": generation.presence_penalty,
        "frequency_penalty": generation.frequency_penalty,
    }
    if generation.schema is not None:
        options["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "response", "schema": generation.schema},
        }
    elif generation.mime_type == "application/json":
        options["response_format"] = {"type": "json_object"}
    return {name: value for name, value in options.items() if value is not None}


def _error_message(response: requests.Response) -> str:
    try:
        error = response.json()["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return response.text[:1000] or response.reason
