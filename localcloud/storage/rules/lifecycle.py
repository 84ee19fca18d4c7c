"""The lifecycle rules of buckets: which rules a bucket can have, and what they do with an object.

Rules: https://cloud.google.com/storage/docs/lifecycle
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.resources import Bucket, StoredObject

_DELETE, _SET_CLASS, _ABORT = "Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"
_COUNTS = ("age", "daysSinceCustomTime", "daysSinceNoncurrentTime", "numNewerVersions")
_DATES = ("createdBefore", "customTimeBefore", "noncurrentTimeBefore")
_DATE_LENGTH = len("2026-01-31")
_TEXTS = ("matchesPrefix", "matchesSuffix")
# https://cloud.google.com/storage/docs/lifecycle#abort-mpu
_OF_UPLOADS = frozenset({"age", *_TEXTS})


@dataclass(frozen=True)
class Due:
    """What a rule does with a generation: delete it, or give it a storage class."""

    stored: StoredObject
    storage_class: str | None = None
    """``None`` deletes the generation."""


def check_rules(settings: Mapping[str, Any]) -> None:
    """Raise ``InvalidRequest`` if the ``settings`` of a bucket have a lifecycle rule that no bucket can have."""
    for number, rule in enumerate(settings.get("lifecycle", {}).get("rule") or []):
        try:
            _check_rule(rule)
        except ValueError as error:
            raise InvalidRequest(f"Invalid value for field lifecycle.rule[{number}]: {error}") from None


def _check_rule(rule: Mapping[str, Any]) -> None:
    action, condition = rule.get("action") or {}, rule.get("condition") or {}
    kind = action.get("type")
    if not kind:
        raise ValueError("it has no action")
    if not condition:
        raise ValueError("it has no condition")
    if (kind == _SET_CLASS) is not bool(action.get("storageClass")):
        raise ValueError(f"an action {_SET_CLASS}, and no other, has a storageClass")
    if condition.get("matchesPattern") is not None:
        raise ValueError("matchesPattern is for accounts to which Google has given it")
    if kind == _ABORT and not set(condition) <= _OF_UPLOADS:
        raise ValueError(f"the conditions of {_ABORT} are {', '.join(sorted(_OF_UPLOADS))}")
    for name in _COUNTS:
        if (condition.get(name) or 0) < 0:
            raise ValueError(f"{name} is negative")
    for name in _DATES:
        if condition.get(name) is not None:
            _check_date(name, condition[name])


def _check_date(name: str, text: str) -> None:
    try:
        is_date = len(text) == _DATE_LENGTH and bool(date.fromisoformat(text))
    except ValueError:
        is_date = False
    if not is_date:
        raise ValueError(f"{name} is {text!r}, not a date such as 2026-01-31")


def due_actions(bucket: Bucket, generations: Iterable[StoredObject], now: datetime) -> list[Due]:
    """Return what the rules of a bucket do with its objects now, at most one action for each generation.

    A deletion takes precedence over a storage class, and a class that costs less to keep over the others.

    Args:
        bucket: The bucket.
        generations: The live and noncurrent generations, sorted by name and from the oldest to the newest.
        now: The current time.
    """
    rules = bucket.settings.get("lifecycle", {}).get("rule") or []
    due = []
    for _, of_name in groupby(generations, key=lambda stored: stored.name):
        for newer, stored in enumerate(reversed(list(of_name))):
            action = _due(rules, _Candidate(stored, newer), now)
            if action is not None:
                due.append(action)
    return due


@dataclass(frozen=True)
class _Candidate:
    """A generation of an object, and how many newer ones there are."""

    stored: StoredObject
    newer: int


# From the most to the least that a byte costs.
_CLASSES = ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE")


def _due(rules: Sequence[Mapping[str, Any]], candidate: _Candidate, now: datetime) -> Due | None:
    stored = candidate.stored
    actions = [rule["action"] for rule in rules if _applies(rule.get("condition") or {}, candidate, now)]
    if any(action["type"] == _DELETE for action in actions):
        return Due(stored)
    classes = [action["storageClass"] for action in actions if action["type"] == _SET_CLASS]
    wanted = max(classes, key=_rank, default=None)
    if wanted is None or _rank(wanted) <= _rank(stored.storage_class):
        return None
    return Due(stored, wanted)


def _rank(storage_class: str) -> int:
    """Return the position of a class; the older names of classes are kinds of STANDARD."""
    return _CLASSES.index(storage_class) if storage_class in _CLASSES else 0


def _applies(condition: Mapping[str, Any], candidate: _Candidate, now: datetime) -> bool:
    """Return whether all parts of a condition hold. A part that is ``None`` is not set."""
    return all(_holds(name, expected, candidate, now) for name, expected in condition.items() if expected is not None)


def _holds(name: str, expected: Any, candidate: _Candidate, now: datetime) -> bool:
    stored = candidate.stored
    custom = datetime.fromisoformat(stored.custom_time) if stored.custom_time else None
    match name:
        case "age":
            return _days_passed(stored.created, expected, now)
        case "createdBefore":
            return _is_before(stored.created, expected)
        case "daysSinceCustomTime":
            return _days_passed(custom, expected, now)
        case "customTimeBefore":
            return _is_before(custom, expected)
        case "daysSinceNoncurrentTime":
            return _days_passed(stored.deleted, expected, now)
        case "noncurrentTimeBefore":
            return _is_before(stored.deleted, expected)
        case "numNewerVersions":
            return candidate.newer >= int(expected)
        case "isLive":
            return (stored.deleted is None) is expected
        case "matchesStorageClass":
            return stored.storage_class in expected
        case "matchesPrefix":
            return stored.name.startswith(tuple(expected))
        case "matchesSuffix":
            return stored.name.endswith(tuple(expected))
    return False


def _days_passed(since: datetime | None, days: int, now: datetime) -> bool:
    return since is not None and now - since >= timedelta(days=days)


def _is_before(moment: datetime | None, day: str) -> bool:
    """Return whether a moment is before midnight of ``day`` in UTC."""
    return moment is not None and moment < datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
