"""Requests to Gemini for tests."""

from __future__ import annotations

from typing import Any

MODEL = "publishers/google/models/gemini-2.5-flash"

# The first bytes of a PNG file, in base64.
PIXEL = "iVBORw0KGgo="


def text_request(text: str, **generation: Any) -> dict[str, Any]:
    """Return a request with one message of the user."""
    request: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
    return request | ({"generationConfig": generation} if generation else {})
