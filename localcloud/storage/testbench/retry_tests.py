"""Retry tests: lists of failures that the calls with one id meet, each once, in their order."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.apis.discovery import read_document
from localcloud.storage.rules.errors import InvalidRequest, NotFound, NotImplementedHere
from localcloud.storage.testbench.instructions import Instruction, parse_instruction

# The names of resources in the testbench, which are not those of Google's API description.
_RESOURCES = {
    "bucket_acl": "bucketAccessControls",
    "default_object_acl": "defaultObjectAccessControls",
    "hmacKey": "projects.hmacKeys",
    "object_acl": "objectAccessControls",
    "serviceaccount": "projects.serviceAccount",
}
_TRANSPORTS = ("HTTP", "GRPC")


@dataclass
class RetryTest:
    """The failures that are left, by the name of the method as the caller wrote it."""

    left: dict[str, list[str]]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def next(self, method: str) -> Instruction | None:
        """Return the failure that the next call of ``method`` meets, if any; ``method`` is a name of Google's description."""
        for name, texts in self.left.items():
            if texts and canonical(name) == method:
                return parse_instruction(texts[0])
        return None

    def take(self, method: str) -> None:
        """Remove the failure that ``next`` returned, since a call has met it."""
        for name, texts in self.left.items():
            if texts and canonical(name) == method:
                texts.pop(0)
                return

    def resource(self) -> dict[str, Any]:
        """Return the test as the API shows it."""
        return {
            "id": self.id,
            "instructions": self.left,
            "transport": _TRANSPORTS[0],
            "completed": not any(self.left.values()),
        }


class RetryTests:
    """The retry tests that exist."""

    def __init__(self) -> None:
        """Start without tests."""
        self._tests: dict[str, RetryTest] = {}

    def create(self, request: Mapping[str, Any]) -> RetryTest:
        """Create the test that a request describes.

        Raises:
            InvalidRequest: The request has no instructions, or names a method or an instruction that does not exist.
            NotImplementedHere: The test is for the gRPC API.
        """
        transport = request.get("transport", _TRANSPORTS[0])
        if transport not in _TRANSPORTS:
            raise InvalidRequest(f"Invalid transport {transport!r}: HTTP is expected")
        if transport != _TRANSPORTS[0]:
            raise NotImplementedHere("The local cloud does not have the gRPC API, which transport asks for.")
        instructions = request.get("instructions")
        if not isinstance(instructions, dict) or not instructions:
            raise InvalidRequest('A retry test needs instructions, such as {"storage.buckets.list": ["return-503"]}')
        known = {method.id for method in read_document("storage.v1").methods}
        for name, texts in instructions.items():
            if canonical(name) not in known:
                raise InvalidRequest(f"Invalid method {name!r}: Cloud Storage does not have it")
            if not isinstance(texts, list):
                raise InvalidRequest(f"Invalid instructions of {name}: a list is expected")
            for text in texts:
                parse_instruction(text)
        test = RetryTest({name: list(texts) for name, texts in instructions.items()})
        self._tests[test.id] = test
        return test

    def get(self, test_id: str) -> RetryTest:
        """Return a test. Raises ``NotFound``."""
        if test_id not in self._tests:
            raise NotFound(f"The retry test {test_id} does not exist.")
        return self._tests[test_id]

    def all(self) -> Iterable[RetryTest]:
        """Return all tests, the oldest first."""
        return self._tests.values()

    def delete(self, test_id: str) -> None:
        """Delete a test. Raises ``NotFound``."""
        del self._tests[self.get(test_id).id]


def canonical(name: str) -> str:
    """Return the name in Google's API description of the method that the testbench calls ``name``."""
    service, _, rest = name.partition(".")
    resource, _, method = rest.rpartition(".")
    return f"{service}.{_RESOURCES.get(resource, resource)}.{method}"
