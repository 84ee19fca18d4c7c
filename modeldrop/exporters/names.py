"""Names of columns for the inputs and outputs of a model."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shared.drops.formats.model_facts import fault_of_column

_LONGEST = 100
_IDENTIFIER = re.compile(r"[A-Za-z]\w*", re.ASCII)
_OTHERS = re.compile(r"\W+", re.ASCII)


def column_names(names: Iterable[str], *, identifiers: bool = False) -> dict[str, str]:
    """Return a name that a column can have for each name: the same one if possible.

    Args:
        names: The names of inputs or of outputs.
        identifiers: Whether names must have only letters, digits and underscores, as those of functions' parameters.
    """
    used: set[str] = set()
    found: dict[str, str] = {}
    for name in names:
        wanted = name
        if fault_of_column(name) or (identifiers and not _IDENTIFIER.fullmatch(name)):
            wanted = _OTHERS.sub("_", name)[:_LONGEST].strip("_") or "column"
            # A name of letters and digits can still begin with a digit, or as BigQuery's own columns do.
            if fault_of_column(wanted) or wanted[0].isdigit():
                wanted = f"column_{wanted}"
        free, number = wanted, 1
        while free.casefold() in used:
            number += 1
            free = f"{wanted}_{number}"
        used.add(free.casefold())
        found[name] = free
    return found


def renamed(names: dict[str, str]) -> tuple[str, ...]:
    """Return a note about names that were changed; empty if none were."""
    changed = [f"{old!r} is now {new!r}" for old, new in names.items() if old != new]
    return (f"names that columns cannot have were changed: {', '.join(changed[:10])}",) if changed else ()
