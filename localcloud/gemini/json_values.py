"""JSON as Google's parser accepts it: names in either spelling, and one element in place of a list."""

from __future__ import annotations

import re
from typing import Any

from localcloud.gemini.errors import BackendError


def camel_keys(message: Any) -> dict[str, Any]:
    """Return a JSON object with its top-level keys in camelCase.

    Raises:
        BackendError: 400 if ``message`` is not an object.
    """
    if not isinstance(message, dict):
        raise BackendError(400, f"Invalid JSON payload received. Expected an object, got {type(message).__name__}.")
    return {re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), key): value for key, value in message.items()}


def as_list(value: Any) -> list[Any]:
    """Return a repeated field as a list: an empty list for None, a list of one element for a single element."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
