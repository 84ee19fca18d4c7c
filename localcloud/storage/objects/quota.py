"""The limit on writes to one object."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

from localcloud.storage.rules.errors import RateLimited


class WriteQuota:
    """Limits the writes a second to one object name, once a limit is set.

    Cloud Storage accepts one a second: https://cloud.google.com/storage/quotas#objects
    """

    def __init__(self) -> None:
        """Start without a limit."""
        self._interval: timedelta | None = None
        self._last_writes: OrderedDict[tuple[str, str], datetime] = OrderedDict()

    def limit(self, per_second: float | None) -> None:
        """Allow ``per_second`` writes to one object; ``None`` allows any number."""
        self._interval = None if per_second is None else timedelta(seconds=1 / per_second)
        self._last_writes.clear()

    def take(self, bucket: str, name: str, now: datetime) -> None:
        """Count a write at ``now``. Raises ``RateLimited`` without counting it if it is too early."""
        if self._interval is None:
            return
        while self._last_writes and now - next(iter(self._last_writes.values())) >= self._interval:
            self._last_writes.popitem(last=False)
        if (bucket, name) in self._last_writes:
            raise RateLimited(
                f"The object {bucket}/{name} exceeded the rate limit for object mutation operations (create, update,"
                " and delete). Please reduce your request rate."
            )
        self._last_writes[bucket, name] = now
