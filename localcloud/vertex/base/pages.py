"""Pages of lists, newest first. A page token stays valid while resources are created and deleted."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from typing import TypeVar

from localcloud.base.json_api import Call
from localcloud.vertex.base.errors import RequestError

MAX_PAGE_SIZE = 100

Item = TypeVar("Item")


def page(items: Iterable[tuple[int, Item]], size: int, page_token: str) -> tuple[list[Item], str]:
    """Return one page of ``items`` and the token of the next page, which is empty at the end.

    Args:
        items: Pairs of a unique serial number and an item.
        size: The largest number of items; 0 means the maximum.
        page_token: The token from the previous page; empty for the first page.

    Raises:
        RequestError: INVALID_ARGUMENT for a negative size or an invalid token.
    """
    if size < 0:
        raise RequestError("INVALID_ARGUMENT", "Page size must not be negative.")
    size = min(size or MAX_PAGE_SIZE, MAX_PAGE_SIZE)
    before = _serial(page_token) if page_token else None
    ordered = sorted(items, key=lambda item: -item[0])
    rest = [item for item in ordered if before is None or item[0] < before]
    token = base64.urlsafe_b64encode(str(rest[size - 1][0]).encode()).decode() if len(rest) > size else ""
    return [item for _, item in rest[:size]], token


def page_size(call: Call) -> int:
    """Return the page size of a call, 0 if there is none. Raises ``RequestError`` if it is not a number."""
    try:
        return int(call.query.get("pageSize") or 0)
    except ValueError:
        raise RequestError("INVALID_ARGUMENT", "The page size must be a number.") from None


def _serial(token: str) -> int:
    try:
        return int(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error):
        raise RequestError("INVALID_ARGUMENT", "The page token is invalid.") from None
