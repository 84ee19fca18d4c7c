"""A backend that sends requests to Gemini, through the Gemini Developer API.

https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Any

import requests

from localcloud.gemini.contents import parse_request
from localcloud.gemini.errors import BackendError
from localcloud.gemini.json_values import camel_keys

GEMINI_URL = "https://generativelanguage.googleapis.com"
TIMEOUT_SECONDS = 600.0

# Fields of Vertex AI's request that the Gemini Developer API does not accept, and that change no answer.
VERTEX_ONLY_FIELDS = ("labels", "model", "endpoint")


class GeminiBackend:
    """Gemini itself, with the user's own API key."""

    def __init__(self, key: str, *, url: str = GEMINI_URL) -> None:
        """Create the backend.

        Args:
            key: The API key.
            url: The base URL of the API.
        """
        self._key = key
        self._url = url.rstrip("/")

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        """Return Gemini's response.

        The Developer API accepts requests that Vertex AI refuses, such as contents without a role, so these are checked
        before.

        Raises:
            BackendError: 400 for such a request, 501 for one with a template of Model Armor, 503 if the API cannot be
                reached; otherwise with the API's own status and message.
        """
        parse_request(request)
        if camel_keys(request).get("modelArmorConfig"):
            raise BackendError(501, "The field modelArmorConfig is not supported by the Gemini Developer API.")
        name = model.rsplit("/", 1)[-1].partition("@")[0]
        body = {key: value for key, value in request.items() if key not in VERTEX_ONLY_FIELDS}
        try:
            response = requests.post(
                f"{self._url}/v1beta/models/{name}:generateContent",
                json=body,
                headers={"x-goog-api-key": self._key},
                timeout=TIMEOUT_SECONDS,
            )
            content = response.json()
        except requests.RequestException as error:
            raise BackendError(503, f"The Gemini API at {self._url} cannot be reached: {error}") from error
        if response.status_code != 200:
            details = content.get("error", {}) if isinstance(content, dict) else {}
            raise BackendError(response.status_code, str(details.get("message", response.reason)))
        return dict(content)
