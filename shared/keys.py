"""Keys: two deliveries with the same key are the same piece of work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def hash_of(*parts: str) -> str:
    """Return the hash of ``parts`` as 32 hexadecimal digits, which are valid in a job id, an object name and a label."""
    digest = hashlib.sha256()
    for part in parts:
        # The id of an event may hold half of a surrogate pair, which strict UTF-8 cannot encode.
        encoded = part.encode(errors="surrogatepass")
        # The length comes first, so that ("ab", "c") and ("a", "bc") differ.
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()[:32]


def hash_of_json(value: Mapping[str, Any]) -> str:
    """Return the hash of a JSON object, which does not depend on the order of its fields."""
    return hash_of(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True))
