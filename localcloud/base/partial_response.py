"""The parameter ``fields`` of Google's JSON APIs, which selects fields of the answer.

Rules: https://cloud.google.com/storage/docs/json_api#partial-response and
https://cloud.google.com/apis/docs/system-parameters
"""

from __future__ import annotations

import re
from typing import Any

# Each selected field, and the selection within it; an empty selection selects everything.
Selection = dict[str, "Selection"]

_TOKENS = re.compile(r"[A-Za-z0-9_*-]+|[,/()]")


def parse_fields(text: str) -> Selection:
    """Parse a selection such as ``items(name,owner/entity),nextPageToken``. Raises ``ValueError`` if it is malformed."""
    tokens = _TOKENS.findall(text)
    if "".join(tokens) != text.replace(" ", ""):
        raise ValueError(f"Invalid field selection {text}")
    tokens.append("")
    selection = _parse_list(tokens)
    if tokens != [""]:
        raise ValueError(f"Invalid field selection {text}")
    return selection


def select(value: Any, selection: Selection) -> Any:
    """Return ``value`` with the selected fields only; in a list, of each member."""
    if not selection:
        return value
    if isinstance(value, list):
        return [select(member, selection) for member in value]
    if not isinstance(value, dict):
        return value
    everything = selection.get("*")
    chosen = {name: selection.get(name, everything) for name in value}
    return {name: select(value[name], inner) for name, inner in chosen.items() if inner is not None}


def _parse_list(tokens: list[str]) -> Selection:
    selection: Selection = {}
    while True:
        _parse_one(tokens, selection)
        if tokens[0] != ",":
            return selection
        tokens.pop(0)


def _parse_one(tokens: list[str], selection: Selection) -> None:
    name = tokens.pop(0)
    if not name or name in ",/()":
        raise ValueError("Invalid field selection")
    inner = selection.setdefault(name, {})
    if tokens[0] == "/":
        tokens.pop(0)
        _parse_one(tokens, inner)
    elif tokens[0] == "(":
        tokens.pop(0)
        inner.update(_parse_list(tokens))
        if tokens.pop(0) != ")":
            raise ValueError("Invalid field selection")
