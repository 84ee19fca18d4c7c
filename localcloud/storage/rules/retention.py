"""What keeps objects from being removed: holds, retention, versioning and soft deletion.

Rules: https://cloud.google.com/storage/docs/bucket-lock, https://cloud.google.com/storage/docs/object-holds,
https://cloud.google.com/storage/docs/object-lock and https://cloud.google.com/storage/docs/soft-delete
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from localcloud.base.clock import rfc3339
from localcloud.storage.rules.errors import Forbidden, InvalidRequest, RetentionNotMet
from localcloud.storage.rules.resources import Bucket, StoredObject

DEFAULT_SOFT_DELETE_SECONDS = 7 * 86400
LARGEST_SOFT_DELETE_SECONDS = 90 * 86400
LARGEST_RETENTION_SECONDS = 3_155_760_000
"""A hundred years."""


def keeps_versions(bucket: Bucket) -> bool:
    """Return whether a generation that is replaced or deleted stays as a noncurrent one."""
    return bucket.settings.get("versioning", {}).get("enabled") is True


def soft_delete_period(bucket: Bucket) -> timedelta:
    """Return how long a deleted generation can be restored; zero if it cannot."""
    return _seconds(bucket.settings.get("softDeletePolicy", {}), "retentionDurationSeconds")


def retention_end(bucket: Bucket, stored: StoredObject) -> datetime | None:
    """Return until when the bucket's retention policy keeps ``stored``; ``None`` if it does not, or if a hold decides."""
    period = _seconds(bucket.settings.get("retentionPolicy", {}), "retentionPeriod")
    if not period or stored.event_based_hold:
        return None
    return (stored.released or stored.created) + period


def is_removable(stored: StoredObject, now: datetime, *, archived: bool) -> bool:
    """Return whether ``check_removable`` allows to remove ``stored``."""
    try:
        check_removable(stored, now, archived=archived)
    except Forbidden:
        return False
    return True


def check_removable(stored: StoredObject, now: datetime, *, archived: bool) -> None:
    """Raise ``Forbidden`` or ``RetentionNotMet`` if ``stored`` may not be deleted or replaced.

    Args:
        stored: The generation that would no longer be live, or no longer exist.
        now: The current time.
        archived: Whether it would stay as a noncurrent generation, which retention allows and holds do not.
    """
    name = f"Object '{stored.bucket}/{stored.name}'"
    for held, kind in ((stored.temporary_hold, "Temporary"), (stored.event_based_hold, "Event-Based")):
        if held:
            raise Forbidden(
                f"{name} is under active {kind} hold and cannot be deleted, overwritten or archived until hold is removed."
            )
    if archived:
        return
    if stored.retained_until is not None and stored.retained_until > now:
        raise RetentionNotMet(
            f"{name} is subject to bucket's retention policy or object retention and cannot be deleted or overwritten"
            f" until {rfc3339(stored.retained_until)}"
        )
    until = stored.retention.get("retainUntilTime")
    if until and datetime.fromisoformat(until) > now:
        raise RetentionNotMet(
            f"{name} is subject to bucket's retention policy or object retention and cannot be deleted or overwritten"
            f" until {until}"
        )


def with_policies(settings: Mapping[str, Any], before: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the ``settings`` of a bucket with the fields of its policies that Cloud Storage sets itself.

    Args:
        settings: The settings as the caller wants them.
        before: The settings so far; empty for a new bucket.
        now: The time at which a policy that differs takes effect.

    Raises:
        InvalidRequest: A period is out of range.
        Forbidden: The retention policy is locked, and would be removed or shortened.
    """
    completed = dict(settings)
    if "objectRetention" in before:
        completed["objectRetention"] = before["objectRetention"]
    retention = dict(settings.get("retentionPolicy") or {})
    earlier = before.get("retentionPolicy") or {}
    _check_lock(earlier, retention)
    if retention:
        seconds = _checked(retention, "retentionPeriod", LARGEST_RETENTION_SECONDS)
        completed["retentionPolicy"] = _effective(retention, earlier, "retentionPeriod", seconds, now)
    soft_delete = dict(settings.get("softDeletePolicy") or {"retentionDurationSeconds": DEFAULT_SOFT_DELETE_SECONDS})
    seconds = _checked(soft_delete, "retentionDurationSeconds", LARGEST_SOFT_DELETE_SECONDS)
    if 0 < seconds < DEFAULT_SOFT_DELETE_SECONDS:
        raise InvalidRequest(
            "The soft delete retention duration must be 0, or at least 7 days"
            f" ({DEFAULT_SOFT_DELETE_SECONDS} seconds): {seconds}"
        )
    completed["softDeletePolicy"] = _effective(
        soft_delete, before.get("softDeletePolicy") or {}, "retentionDurationSeconds", seconds, now
    )
    return completed


def locked(bucket: Bucket) -> dict[str, Any]:
    """Return the settings of ``bucket`` with its retention policy locked. Raises ``InvalidRequest`` if it has none."""
    policy = bucket.settings.get("retentionPolicy")
    if not policy:
        raise InvalidRequest("The bucket has no retention policy that could be locked.")
    return {**bucket.settings, "retentionPolicy": {**policy, "isLocked": True}}


def with_holds(
    bucket: Bucket, stored: StoredObject, resource: Mapping[str, Any], now: datetime, *, override: bool = False
) -> StoredObject:
    """Return ``stored``, an object of ``bucket``, with the holds and the retention of ``resource``, where it has any.

    Args:
        bucket: The bucket.
        stored: The object.
        resource: The fields of the request.
        now: The current time.
        override: Whether a retention that is not locked may be removed, shortened or locked.

    Raises:
        InvalidRequest: A field has the wrong type, or the bucket does not allow a retention of single objects.
        Forbidden: The object's own retention is locked, or not locked but not overridden, and would be removed or shortened.
    """
    changed = stored
    if "temporaryHold" in resource:
        changed = replace(changed, temporary_hold=_hold(resource, "temporaryHold"))
    if "eventBasedHold" in resource:
        held = _hold(resource, "eventBasedHold")
        released = now if stored.event_based_hold and not held else stored.released
        changed = replace(changed, event_based_hold=held, released=released)
    if resource.get("retention") and "objectRetention" not in bucket.settings:
        raise InvalidRequest(
            "The bucket was not created with object retention enabled, so its objects cannot have any."
        )
    if "retention" in resource:
        changed = replace(changed, retention=_retention(stored, resource["retention"], now, override))
    return changed


def _hold(resource: Mapping[str, Any], name: str) -> bool | None:
    value = resource[name]
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"Invalid value for field {name}")
    return value


def _retention(stored: StoredObject, wanted: object, now: datetime, override: bool) -> dict[str, str]:
    if wanted is not None and not isinstance(wanted, dict):
        raise InvalidRequest("Invalid value for field retention")
    mode, until = (wanted or {}).get("mode"), (wanted or {}).get("retainUntilTime")
    if not mode and not until:
        chosen: dict[str, str] = {}
    elif mode not in ("Locked", "Unlocked") or not isinstance(until, str):
        raise InvalidRequest("A retention has a mode, Locked or Unlocked, and a retainUntilTime.")
    else:
        try:
            end = datetime.fromisoformat(until)
        except ValueError:
            raise InvalidRequest(f"Invalid value for field retention.retainUntilTime: {until!r}") from None
        if end.tzinfo is None or end <= now:
            raise InvalidRequest(f"retention.retainUntilTime must be in the future: {until!r}")
        chosen = {"mode": mode, "retainUntilTime": rfc3339(end)}
    former = stored.retention
    if former:
        weaker = not chosen or _end_of(chosen) < _end_of(former)
        other_mode = chosen.get("mode") != former["mode"]
        if former["mode"] == "Locked" and (weaker or other_mode):
            raise Forbidden("The retention of this object is locked; it cannot be removed or shortened.")
        if former["mode"] == "Unlocked" and (weaker or other_mode) and not override:
            # https://cloud.google.com/storage/docs/json_api/v1/objects/patch
            raise Forbidden(
                "The retention of this object can be removed, shortened or locked only with overrideUnlockedRetention."
            )
    return chosen


def _end_of(retention: Mapping[str, str]) -> datetime:
    return datetime.fromisoformat(retention["retainUntilTime"])


def _check_lock(earlier: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if not earlier.get("isLocked"):
        return
    if _seconds(wanted, "retentionPeriod") < _seconds(earlier, "retentionPeriod"):
        raise Forbidden("Cannot remove or shorten the retention period of a bucket whose retention policy is locked.")


def _effective(
    policy: Mapping[str, Any], earlier: Mapping[str, Any], name: str, seconds: int, now: datetime
) -> dict[str, Any]:
    unchanged = earlier and int(earlier[name]) == seconds
    return {
        name: str(seconds),
        "effectiveTime": earlier["effectiveTime"] if unchanged else rfc3339(now),
        **({"isLocked": True} if earlier.get("isLocked") else {}),
    }


def _checked(policy: Mapping[str, Any], name: str, largest: int) -> int:
    value = policy.get(name)
    try:
        seconds = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else -1
    except ValueError:
        seconds = -1
    if not (0 if name == "retentionDurationSeconds" else 1) <= seconds <= largest:
        raise InvalidRequest(f"Invalid value for field {name}: {value!r} is not a number of seconds up to {largest}")
    return seconds


def _seconds(policy: Mapping[str, Any], name: str) -> timedelta:
    return timedelta(seconds=int(policy.get(name) or 0))
