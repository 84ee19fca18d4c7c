"""The interface of a model backend, and the choice of one by name."""

from __future__ import annotations

import os
from typing import Any, Protocol

from localcloud.gemini.developer_api import GEMINI_URL, GeminiBackend
from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.openai import OpenAIBackend
from localcloud.gemini.orders import orders_from


class ModelBackend(Protocol):
    """Answers requests to a model. Many threads call it at once."""

    def generate(self, model: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a GenerateContentRequest with a GenerateContentResponse, both as REST JSON.

        Args:
            model: The model's id or resource name, such as ``gemini-2.5-flash``.
            request: The body of the request.

        Raises:
            BackendError: The model rejects the request, or cannot be reached.
        """
        ...


def answers_at_once(backend: ModelBackend) -> bool:
    """Return whether a backend never waits, so that several threads gain nothing."""
    return type(backend) is EchoBackend and not backend.orders


def backend_from(name: str, echo: str = "") -> ModelBackend:
    """Return the backend with this name: ``echo``, ``openai:<base-url>[#<model>]`` or ``gemini[:<base-url>]``.

    Args:
        name: The name of the backend.
        echo: The orders of the backend ``echo``, as JSON; see ``localcloud/gemini/orders.py``.

    Raises:
        ValueError: The name is unknown, the orders are wrong, or it is ``gemini`` and ``GEMINI_API_KEY`` holds no key.
    """
    kind, _, address = name.partition(":")
    match kind:
        case "echo" if not address:
            return EchoBackend(orders_from(echo))
        case "openai" if address:
            return OpenAIBackend(address)
        case "gemini":
            key = os.environ.get("GEMINI_API_KEY")
            if not key:
                raise ValueError("The gemini backend needs an API key in GEMINI_API_KEY.")
            return GeminiBackend(key, url=address or GEMINI_URL)
        case _:
            raise ValueError(f"Unknown model backend: {name!r}. Use echo, openai:<base-url> or gemini.")
