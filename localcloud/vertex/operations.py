"""Long-running operations: what a call began, and what it has become.

https://cloud.google.com/vertex-ai/docs/general/long-running-operations
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from localcloud.clock import Clock
from localcloud.vertex.errors import RequestError
from localcloud.vertex.moments import UniqueMoments, rfc3339_micros, serial

TYPE_PREFIX = "type.googleapis.com/"
EMPTY = f"{TYPE_PREFIX}google.protobuf.Empty"


def vertex_type(message: str) -> str:
    """Return the type URL of a message of the Vertex AI API in version 1, as ``DeployModelResponse``."""
    return f"{TYPE_PREFIX}google.cloud.aiplatform.v1.{message}"


@dataclass
class _Operation:
    name: str
    created: datetime
    due: datetime
    metadata_type: str
    finish: Callable[[], dict[str, Any]]
    response: dict[str, Any] | None = None

    def resource(self) -> dict[str, Any]:
        times = {"createTime": rfc3339_micros(self.created), "updateTime": rfc3339_micros(self.created)}
        answer: dict[str, Any] = {
            "name": self.name,
            "metadata": {"@type": vertex_type(self.metadata_type), "genericMetadata": times},
        }
        if self.response is not None:
            times["updateTime"] = rfc3339_micros(self.due)
            answer |= {"done": True, "response": self.response}
        return answer


class Operations:
    """The operations of the service. An operation takes its effect when it is due, whether or not anyone looks."""

    def __init__(self, *, clock: Clock, moments: UniqueMoments) -> None:
        self._clock = clock
        self._moments = moments
        self._operations: dict[str, _Operation] = {}
        self._open: list[_Operation] = []
        self._lock = threading.RLock()

    def begin(
        self, parent: str, metadata: str, finish: Callable[[], dict[str, Any]], *, seconds: float = 0.0
    ) -> dict[str, Any]:
        """Begin an operation and return it as the API tells it.

        Args:
            parent: The resource below which it is named.
            metadata: The message type of its metadata, as ``DeleteOperationMetadata``.
            finish: Takes the effect and returns the response, with its ``@type``.
            seconds: How long it takes; 0: it is done at once.
        """
        with self._lock:
            created = self._moments.next()
            due = created + timedelta(seconds=seconds)
            operation = _Operation(f"{parent}/operations/{serial(created)}", created, due, metadata, finish)
            self._operations[operation.name] = operation
            self._open.append(operation)
            if seconds <= 0:
                self._close(operation)
            return operation.resource()

    def settle(self) -> None:
        """Let every operation that is due take its effect; called before anything is read."""
        with self._lock:
            now = self._clock.now()
            for operation in [operation for operation in self._open if operation.due <= now]:
                self._close(operation)

    def get(self, name: str) -> dict[str, Any]:
        """Return an operation. Raises ``RequestError`` (NOT_FOUND)."""
        with self._lock:
            self.settle()
            if name not in self._operations:
                raise RequestError("NOT_FOUND", f"Operation {name} does not exist.")
            return self._operations[name].resource()

    def list(self, parent: str) -> list[dict[str, Any]]:
        """Return the operations of a resource, oldest first."""
        with self._lock:
            self.settle()
            prefix = f"{parent}/operations/"
            return [operation.resource() for name, operation in self._operations.items() if name.startswith(prefix)]

    def _close(self, operation: _Operation) -> None:
        self._open.remove(operation)
        operation.response = operation.finish()
