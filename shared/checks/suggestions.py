"""Finds the name that was probably meant by a misspelt one."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# How similar two names are at least, from 0 to 1, so that one counts as a misspelling of the other.
_SIMILAR = 0.7


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of ``names`` that is most similar to ``name``, in any case; None if none is similar."""
    by_lower = {each.lower(): each for each in names if len(each) <= 80}
    found = difflib.get_close_matches(name[:80].lower(), by_lower, n=1, cutoff=_SIMILAR)
    return by_lower[found[0]] if found else None
