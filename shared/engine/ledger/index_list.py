"""Lists all index objects, several pages at the same time if there are many.

The pages of one list follow each other, because each leads to the next one. So after the first page the rest of a folder is
divided into lists of their own. The names in a folder are keys, which are hashes: the first page shows how many are left, and
equal parts of the names hold equal numbers of objects. Up to 1,000 objects are one call.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial
from itertools import pairwise
from math import ceil

from shared.cloud.storage import PAGE
from shared.engine.ledger.index import INDEX, DamagedIndex, Pending, is_key, read_index
from shared.engine.ledger.objects import StateObjects

# How many lists run at the same time. More do not help: reading a page takes half as long as its call.
LISTS = 4

# So many hexadecimal digits of a key divide the names. Keys have 32.
_DIGITS = 8
_KEYS = 16**_DIGITS


Names = tuple[str, str]
"""The names from the first one, which need not exist, to the one before the second; empty: no bound."""


def list_index(objects: StateObjects, *, most: int = PAGE) -> list[Pending | DamagedIndex]:
    """Return all index objects, in no order.

    Args:
        objects: The objects of the state bucket.
        most: How many objects a call lists before the rest is divided.

    Raises:
        TryLater: Cloud Storage does not answer.
    """
    found: list[Pending | DamagedIndex] = []
    start, token = "", ""
    while True:
        page = objects.page(INDEX, start=start, token=token, most=most)
        found += map(read_index, page.objects)
        if page.token is None:
            return found
        if not page.objects:
            # It has only folders, which some tools create.
            token = page.token
            continue
        names = [each.name for each in page.objects]
        parts = rest_of_folder(names, most)
        with ThreadPoolExecutor(LISTS) as pool:
            for listed in pool.map(partial(_list, objects, names[-1], copy_context()), parts):
                found += listed
        start, token = parts[-1][1], ""
        if not start:
            return found


def rest_of_folder(names: Sequence[str], most: int = PAGE) -> list[Names]:
    """Return parts that together are the rest of the folder in which a page ends, or of all folders if its end is no key.

    Args:
        names: The names of the page, in their order. The last one is the first of the rest.
        most: How many objects a part should have at most.
    """
    last = names[-1]
    folder, _, key = last.rpartition("/")
    if not is_key(key):
        return [(last, "")]
    # The end of the folder: "0" is the character after "/".
    end, folder = f"{folder}0", f"{folder}/"
    same = [name for name in names if name.startswith(folder)]
    first, now = _position(same[0], folder), _position(last, folder)
    left = len(same) * (1 - now) / (now - first) if now > first else most * LISTS
    count = max(1, min(LISTS, ceil(left / most)))
    bounds = [f"{folder}{int((now + (1 - now) * part / count) * _KEYS):0{_DIGITS}x}" for part in range(1, count)]
    bounds = [last, *(each for each in bounds if each > last), end]
    return list(pairwise(bounds))


def _position(name: str, folder: str) -> float:
    """Return where the key in a name is among all keys, from 0 to 1."""
    key = name.removeprefix(folder)
    return int(key[:_DIGITS], 16) / _KEYS if is_key(key) else 0.0


def _list(objects: StateObjects, known: str, context: Context, names: Names) -> list[Pending | DamagedIndex]:
    """List a part in the context of the call; ``known`` is the name of an object that is listed already."""

    def read() -> list[Pending | DamagedIndex]:
        start, end = names
        return [read_index(each) for each in objects.listed(INDEX, start=start, end=end) if each.name != known]

    return context.copy().run(read)
