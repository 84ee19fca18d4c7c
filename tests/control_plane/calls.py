"""One call of an API, and the table that says which function answers it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.control_plane.project import FakeProject


@dataclass(frozen=True)
class Call:
    """A call of an API."""

    verb: str
    """The HTTP method."""
    api: str
    """The name of the API, such as ``pubsub``."""
    path: str
    """The path after the API's name, without a leading slash."""
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    permission: str = ""
    """The permission that the call needs, such as ``pubsub.topics.get``."""

    @property
    def service(self) -> str:
        """The service that must be enabled, such as ``pubsub.googleapis.com``."""
        return f"{self.api}.googleapis.com"


Answer = dict[str, Any]
Handler = Callable[["FakeProject", Call, "re.Match[str]"], Answer]


@dataclass(frozen=True)
class Route:
    """The function that answers the calls of one method."""

    api: str
    verb: str
    pattern: re.Pattern[str]
    permission: str
    handler: Handler


ROUTES: list[Route] = []
"""Every method that the project knows; the modules of the APIs add theirs."""


def route(api: str, verb: str, pattern: str, permission: str) -> Callable[[Handler], Handler]:
    """Let a function answer the calls of a method.

    Args:
        api: The name of the API.
        verb: The HTTP method.
        pattern: A regular expression for the whole path.
        permission: The permission that a caller needs.
    """

    def add(handler: Handler) -> Handler:
        ROUTES.append(Route(api, verb, re.compile(pattern), permission, handler))
        return handler

    return add
