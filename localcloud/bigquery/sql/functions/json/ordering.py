"""Writes the members of JSON objects in the order of their names, as BigQuery's JSON does; the first of equal names counts.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#json_type
"""

from __future__ import annotations

import json
import re
from typing import Any

_SPACE = re.compile(r"\s")


class Written(str):
    """A number as it is written."""


def first_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, whose first value of a name counts."""
    return dict(reversed(pairs)) if len({name for name, _ in pairs}) < len(pairs) else dict(pairs)


def in_order(text: str) -> str:
    """Return JSON without spaces, whose objects have their members in the order of their names."""
    if ("{" not in text or "," not in text) and _SPACE.search(text) is None:
        return text
    value = json.loads(text, parse_int=Written, parse_float=Written, object_pairs_hook=first_members)
    return written(value, ordered=True)


def written(value: Any, *, ordered: bool = False) -> str:
    """Return the JSON of a value whose numbers are ``Written``."""
    match value:
        case Written():
            return str(value)
        case dict():
            members = sorted(value.items(), key=lambda member: member[0].encode()) if ordered else value.items()
            return "{" + ",".join(f"{written(name)}:{written(each, ordered=ordered)}" for name, each in members) + "}"
        case list():
            return "[" + ",".join(written(each, ordered=ordered) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)
