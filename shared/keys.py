"""Keys: what makes two deliveries the same piece of work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def hash_of(*parts: str) -> str:
    """Return the hash of ``parts``: 32 hexadecimal digits, which fit into a job id, an object name and a label."""
    digest = hashlib.sha256()
    for part in parts:
        # Half of a surrogate pair is no text, but it may stand in an event's id all the same.
        encoded = part.encode(errors="surrogatepass")
        # The length goes in first, so that ("ab", "c") and ("a", "bc") differ.
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


def hash_of_json(value: Mapping[str, Any]) -> str:
    """Return the hash of a JSON object, whatever the order of its fields."""
    return hash_of(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True))
