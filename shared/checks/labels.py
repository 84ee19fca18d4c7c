"""The labels and the request id of a request: what a caller marks its jobs with and how repeats are recognised."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from shared.checks.fields import Fields
from shared.checks.identifiers import check_label
from shared.errors import Rejected

MOST_LABELS = 32
_RESERVED_PREFIX = "modeldrop_"


def read_labels(fields: Fields) -> tuple[tuple[str, str], ...]:
    """Return the caller's labels as sorted pairs of key and value.

    Raises:
        Rejected: A label that Google Cloud does not allow, a key that Modeldrop uses itself, or too many labels.
    """
    given = fields.text_map("labels")
    if len(given) > MOST_LABELS:
        raise fields.wrong("labels", f"must be at most {MOST_LABELS}, not {len(given)}")
    for name, value in given.items():
        check_label(name, value, fields.path("labels"))
        if name.startswith(_RESERVED_PREFIX):
            raise fields.wrong(f"labels.{name}", "begins with modeldrop_, which is kept for Modeldrop's own labels")
    return tuple(sorted(given.items()))


def right_labels(given: Mapping[object, object]) -> dict[str, str]:
    """Return those of ``given`` that can be labels, for the event of a request that is wrong elsewhere."""
    right: dict[str, str] = {}
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str) or len(right) == MOST_LABELS:
            continue
        with suppress(Rejected):
            check_label(name, value, "labels")
            right[name] = value
    return right


def read_request_id(fields: Fields, published: datetime) -> str | None:
    """Return the caller's request id with its date and hour filled in, or None if there is none.

    Raises:
        Rejected: The id holds a brace that is not part of ``{date}`` or ``{hour}``, or is not printable.
    """
    text = fields.optional_text("request_id", longest=256)
    if text is None:
        return None
    filled = fill_in_time(text, published)
    if "{" in filled or "}" in filled:
        raise fields.wrong("request_id", "may hold {date} or {hour}, and no other brace")
    if not filled.isprintable():
        raise fields.wrong("request_id", "must be printable")
    return filled


def fill_in_time(request_id: str, published: datetime) -> str:
    """Replace ``{date}`` and ``{hour}`` in a request id with the UTC time at which the message was published."""
    return request_id.replace("{date}", f"{published:%Y-%m-%d}").replace("{hour}", f"{published:%Y-%m-%dT%H}")
