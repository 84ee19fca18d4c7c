"""Compares what is declared with what exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

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
    """Return the value at a path with dots; None if there is none."""
    for part in path.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(part)
    return found


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
    return _plain(declared) == _plain(found)


def _plain(value: object) -> str:
    text = str(value).casefold()
    # Cloud Scheduler adds the slash of an empty path to a URL.
    return text.rstrip("/") if text.startswith("https://") else text


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)
