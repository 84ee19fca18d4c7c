"""Long-running operations.

https://cloud.google.com/vertex-ai/docs/general/long-running-operations
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from localcloud.base.api_errors import CODES
from localcloud.base.clock import Clock
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.moments import UniqueMoments, rfc3339_micros, serial
from localcloud.vertex.base.records import RecordJournal

TYPE_PREFIX = "type.googleapis.com/"
VERTEX_TYPES = f"{TYPE_PREFIX}google.cloud.aiplatform.v1."
# The kind of the records in the journal.
RECORD = "operation"
EMPTY = {"@type": f"{TYPE_PREFIX}google.protobuf.Empty"}


def vertex_message(kind: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a message of the Vertex AI API with its type; ``kind`` is such as ``DeployModelResponse``."""
    return {"@type": VERTEX_TYPES + kind, **(content or {})}


def in_version(answer: dict[str, Any], version: str) -> dict[str, Any]:
    """Return an operation with the message types of the API version ``version``."""
    typed = {
        key: value | {"@type": value["@type"].replace(VERTEX_TYPES, VERTEX_TYPES.replace(".v1.", f".{version}."))}
        for key, value in answer.items()
        if key in ("metadata", "response") and isinstance(value, dict) and "@type" in value
    }
    return answer | typed


@dataclass
class _Operation:
    name: str
    created: datetime
    due: datetime
    metadata: str
    details: dict[str, Any]
    finish: Callable[[], dict[str, Any]] = dict
    ended: bool = False
    response: dict[str, Any] | None = None
    error: dict[str, Any] | None = None

    def close(self) -> None:
        try:
            self.response = self.finish()
        except RequestError as error:
            self.error = {"code": CODES[error.status][0], "message": error.message}
        self.ended = True

    def to_record(self) -> dict[str, Any]:
        times = {
            "created": self.created.isoformat(),
            "due": self.due.isoformat(),
            "metadata": self.metadata,
            "details": self.details,
        }
        return times | {"ended": self.ended, "response": self.response, "error": self.error}

    @classmethod
    def from_record(cls, name: str, record: dict[str, Any]) -> _Operation:
        created, due = (datetime.fromisoformat(record[key]) for key in ("created", "due"))
        operation = cls(name, created, due, record["metadata"], record.get("details", {}), ended=True)
        operation.response, operation.error = record["response"], record["error"]
        if not record["ended"]:
            message = "The local Vertex AI was stopped before the operation ended, so it had no effect. Start it again."
            operation.error = {"code": CODES["ABORTED"][0], "message": message}
        return operation

    def resource(self) -> dict[str, Any]:
        updated = self.due if self.ended else self.created
        times = {"createTime": rfc3339_micros(self.created), "updateTime": rfc3339_micros(updated)}
        answer: dict[str, Any] = {
            "name": self.name,
            "metadata": vertex_message(self.metadata, {"genericMetadata": times, **self.details}),
        }
        if self.ended:
            answer["done"] = True
        if self.ended and self.error is not None:
            answer["error"] = self.error
        elif self.ended:
            answer["response"] = self.response
        return answer


class Operations:
    """The operations of the service. Callers ``settle`` due operations before they read resources."""

    def __init__(self, journal: RecordJournal, *, clock: Clock, moments: UniqueMoments) -> None:
        """Read the operations of the journal; those that had not ended when it was closed have failed."""
        self._journal = journal
        self._clock = clock
        self._moments = moments
        self._operations = {
            name: _Operation.from_record(name, record) for name, record in journal.records(RECORD).items()
        }
        self._open: list[_Operation] = []
        self._lock = threading.Lock()

    def begin(
        self,
        parent: str,
        metadata: str,
        finish: Callable[[], dict[str, Any]],
        *,
        seconds: float = 0.0,
        details: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Start an operation and return its resource.

        Args:
            parent: The name of the parent resource.
            metadata: The message type of the metadata, such as ``DeleteOperationMetadata``.
            finish: Applies the effect and returns the response with its ``@type``, or raises ``RequestError``.
            seconds: The duration; 0 completes the operation at once.
            details: Further fields of the metadata.
        """
        created = self._moments.next()
        due = created + timedelta(seconds=seconds)
        operation = _Operation(f"{parent}/operations/{serial(created)}", created, due, metadata, details or {}, finish)
        if seconds <= 0:
            operation.close()
        with self._lock:
            self._operations[operation.name] = operation
            self._journal.save(RECORD, operation.name, operation.to_record())
            if not operation.ended:
                self._open.append(operation)
        return operation.resource()

    def settle(self) -> None:
        """Apply the effects of all operations that are due. No lock is held, because effects take their own."""
        with self._lock:
            now = self._clock.now()
            due = [operation for operation in self._open if operation.due <= now]
            self._open = [operation for operation in self._open if operation.due > now]
        for operation in due:
            operation.close()
            self._journal.save(RECORD, operation.name, operation.to_record())

    def get(self, name: str) -> dict[str, Any]:
        """Return an operation. Raises ``RequestError`` (NOT_FOUND)."""
        self.settle()
        with self._lock:
            operation = self._operations.get(name)
        if operation is None:
            raise RequestError("NOT_FOUND", f"Operation {name} does not exist.")
        return operation.resource()

    def list(self, parent: str) -> list[dict[str, Any]]:
        """Return the operations of a resource, oldest first."""
        self.settle()
        with self._lock:
            found = [operation for name, operation in self._operations.items() if name.startswith(f"{parent}/oper")]
        return [operation.resource() for operation in found]

    def wait(self, name: str, seconds: float) -> dict[str, Any]:
        """Return an operation once it is done, or after ``seconds``. Raises ``RequestError`` (NOT_FOUND)."""
        answer = self.get(name)
        if not answer.get("done"):
            with self._lock:
                left = (self._operations[name].due - self._clock.now()).total_seconds()
            self._clock.wait(threading.Event(), min(max(left, 0), seconds))
            answer = self.get(name)
        return answer
