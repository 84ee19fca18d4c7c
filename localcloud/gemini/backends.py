"""Who answers a request to a model: a stand-in, a server of one's own, or Gemini itself."""

from __future__ import annotations

import os
from typing import Any, Protocol

import requests

from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.errors import BackendError
from localcloud.gemini.openai import OpenAIBackend

__all__ = ["BackendError", "EchoBackend", "GeminiBackend", "ModelBackend", "OpenAIBackend", "backend_from"]

GEMINI_URL = "https://generativelanguage.googleapis.com"
TIMEOUT_SECONDS = 600.0

# Fields of Vertex AI's request that the Gemini Developer API does not know.
VERTEX_ONLY_FIELDS = ("labels", "modelArmorConfig", "model_armor_config", "model", "endpoint")


class ModelBackend(Protocol):
    """Answers requests to a model; called from many threads at once."""

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a GenerateContentRequest with a GenerateContentResponse, both as REST JSON.

        Args:
            model: The model's id or resource name, as ``gemini-2.5-flash``.
            request: The request's body.

        Raises:
            BackendError: The model refuses the request, or cannot be asked.
        """
        ...


class GeminiBackend:
    """Gemini itself, through the Gemini Developer API: https://ai.google.dev/api/generate-content"""

    def __init__(self, key: str, *, url: str = GEMINI_URL) -> None:
        """Keep the caller's API key and the address of the API."""
        self._key = key
        self._url = url.rstrip("/")

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return the model's answer. Raises ``BackendError`` with the API's own status and message, or 503."""
        name = model.rsplit("/", 1)[-1].partition("@")[0]
        body = {key: value for key, value in request.items() if key not in VERTEX_ONLY_FIELDS}
        try:
            answer = requests.post(
                f"{self._url}/v1beta/models/{name}:generateContent",
                json=body,
                headers={"x-goog-api-key": self._key},
                timeout=TIMEOUT_SECONDS,
            )
            told = answer.json()
        except requests.RequestException as error:
            raise BackendError(503, f"The Gemini API at {self._url} cannot be reached: {error}") from error
        if answer.status_code != 200:
            error = told.get("error", {}) if isinstance(told, dict) else {}
            raise BackendError(answer.status_code, str(error.get("message", answer.reason)))
        return dict(told)


def backend_from(name: str) -> ModelBackend:
    """Return the backend of a name: ``echo``, ``openai:<base-url>[#<model>]`` or ``gemini[:<base-url>]``.

    Raises:
        ValueError: There is no such backend, or ``gemini`` without a key in ``GEMINI_API_KEY``.
    """
    kind, _, address = name.partition(":")
    match kind:
        case "echo" if not address:
            return EchoBackend()
        case "openai" if address:
            return OpenAIBackend(address)
        case "gemini":
            key = os.environ.get("GEMINI_API_KEY")
            if not key:
                raise ValueError("The gemini backend needs an API key in GEMINI_API_KEY.")
            return GeminiBackend(key, url=address or GEMINI_URL)
        case _:
            raise ValueError(f"No such model backend: {name!r}. There are echo, openai:<base-url> and gemini.")
