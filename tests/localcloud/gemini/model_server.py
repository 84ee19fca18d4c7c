"""The state of the model server that a test talks to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class ModelServer:
    """A small HTTP server that records its requests.

    Attributes:
        status: The status of its responses.
        body: The body of its responses: bytes, or a value to send as JSON.
        requests: The path, headers and JSON body of each request.
        url: Its base URL.
    """

    status: int = 200
    body: Any = None
    requests: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)
    url: str = ""
