"""Compares what is declared with what exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

COUNT = "count"
"""The part of a path that is the length of a list."""
OURS_TO_IGNORE = frozenset({"LOG_EXECUTION_ID"})
"""Variables that Cloud Functions adds by itself: https://cloud.google.com/functions/docs/monitoring/logging"""


class Difference(NamedTuple):
    """A field that has another value than the declared one."""

    path: str
    found: object
    declared: object

    def __str__(self) -> str:
        """Return the difference as a person reads it."""
        return f"{self.path} is {_shown(self.found)}, declared {_shown(self.declared)}"


def differences(declared: Mapping[str, object], found: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield the fields of ``found`` that differ from ``declared``, whose keys are paths with dots."""
    for path, value in declared.items():
        there = value_at(found, path)
        if isinstance(value, Mapping) and isinstance(there or {}, Mapping):
            yield from _mapping_differences(path, value, there or {})
        elif not _is_same(value, there):
            yield Difference(path, there, value)


def value_at(found: object, path: str) -> Any:
    """Return the value at a path with dots; None if there is none.

    Parts of the path are the keys of mappings and the positions of lists; the part ``count`` of a list is its length.
    """
    for part in path.split("."):
        if isinstance(found, list):
            found = len(found) if part == COUNT else _item(found, part)
        elif isinstance(found, Mapping):
            found = found.get(part)
        else:
            return None
    return found


def _item(found: list[Any], part: str) -> Any:
    return found[int(part)] if part.isdecimal() and int(part) < len(found) else None


def flattened(document: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each single value of a document with its path, and the length of each list.

    A service adds fields of its own to what it stores, so only the values of the document are compared.
    """
    prefix = f"{path}." if path else ""
    if isinstance(document, Mapping):
        for name, value in document.items():
            yield from flattened(value, f"{prefix}{name}")
    elif isinstance(document, list | tuple):
        yield f"{prefix}{COUNT}", len(document)
        for position, value in enumerate(document):
            yield from flattened(value, f"{prefix}{position}")
    else:
        yield path, document


def _mapping_differences(path: str, declared: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Difference]:
    for name in sorted({*declared, *found} - OURS_TO_IGNORE):
        if not _is_same(declared.get(name), found.get(name)):
            yield Difference(f"{path}.{name}", found.get(name), declared.get(name))


def _is_same(declared: object, found: object) -> bool:
    """Return whether two values mean the same.

    Google's JSON has large numbers as text, names of locations in capitals, and leaves out empty values.
    """
    if isinstance(declared, list | tuple) and isinstance(found, list | tuple):
        return sorted(map(str, declared)) == sorted(map(str, found))
    if found is None:
        return declared in (None, 0, "0", "0s", "", False)
    if isinstance(declared, int | float) and not isinstance(declared, bool):
        return declared == _number(found)
    return _plain(declared) == _plain(found)


def _number(found: object) -> float | None:
    """Return the number that a text means; None if it means none. Cloud Run writes parts of a CPU in thousandths: `500m`."""
    text = str(found)
    try:
        return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    except ValueError:
        return None


def _plain(value: object) -> str:
    text = str(value).casefold()
    # Cloud Scheduler adds the slash of an empty path to a URL.
    return text.rstrip("/") if text.startswith("https://") else text


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)
