"""Decodes the JSON of a request as strictly as Google's parser: https://protobuf.dev/programming-guides/json/."""

from __future__ import annotations

import json
from typing import Any, NoReturn


class UndecodableRequest(Exception):
    """A text is not the JSON of a request."""

    def __init__(self, rule: str, hint: str = "") -> None:
        """Name the rule that the text breaks, in ``RULES``, and more about it."""
        super().__init__(rule)
        self.rule = rule
        self.hint = hint


def decoded(text: bytes | str) -> Any:
    """Return the value of a JSON text in UTF-8. Raises ``UndecodableRequest``."""
    try:
        # json.loads would also read UTF-16 and UTF-32, which Vertex AI does not.
        string = text.decode() if isinstance(text, bytes) else text
        value = _DECODER.decode(string)
        if "\\ud" in string or "\\uD" in string:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise UndecodableRequest("not_json", "the text is not UTF-8") from None
    except UnicodeEncodeError:
        raise UndecodableRequest("not_json", "it has half of a surrogate pair") from None
    except (ValueError, RecursionError):
        raise UndecodableRequest("not_json") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise UndecodableRequest("repeated_field")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse)
