"""Finds folders of the model bucket that belong to no drop and were not reported.

Their events were lost, or they were uploaded before deployment. It also finds markers of folders that no longer exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice

from shared.drops.contents.ignored import MARKERS, REPORTED_AGAIN, marker_of, report_ignored
from shared.drops.contents.layout import Misplaced
from shared.engine.ledger.objects import ListedObject
from shared.engine.services import Services
from shared.events.incoming import StoredObject
from shared.log import log
from shared.poller.pieces import Piece

# The event of a younger object may be on its way.
DELIVERED = timedelta(minutes=1)

# How many markers are held in memory. A bucket with more such folders was not meant for drops: only events report its objects.
MOST_MARKERS = 10_000
# How many folders one reconciliation reports, before the poller continues open work; the next one reports others.
MOST_REPORTS = 200


class IgnoredFolders:
    """The folders of the model bucket that belong to no drop."""

    def __init__(self, services: Services) -> None:
        """List the markers of the folders that were reported."""
        self._services = services
        self._now = services.now()
        listed = islice(services.ledger.objects.listed(MARKERS), MOST_MARKERS + 1)
        self._markers: dict[str, ListedObject] = {each.name: each for each in listed}
        self._are_all_known = len(self._markers) <= MOST_MARKERS
        self._present: set[str] = set()
        self._unreported: dict[str, Piece] = {}
        if not self._are_all_known:
            log("WARNING", "too many folders of the model bucket belong to no drop to look for others")

    def note(self, found: Misplaced, name: str, written: datetime) -> None:
        """Note a folder that was listed.

        Args:
            found: Why its objects belong to no drop.
            name: The name of one of them.
            written: When the newest of them was written.
        """
        if not self._are_all_known or found.folder in self._unreported:
            return
        bucket = self._services.settings.model_bucket
        marker = self._markers.get(marker_of(f"gs://{bucket}/{found.folder}"))
        if marker is not None:
            self._present.add(marker.name)
        is_reported = marker is not None and written - marker.written < REPORTED_AGAIN
        if is_reported or self._now - written < DELIVERED or len(self._unreported) >= MOST_REPORTS:
            return
        file = StoredObject(bucket, name, 0, written)
        report = partial(report_ignored, file, found, self._services)
        self._unreported[found.folder] = Piece(report, {"object": f"gs://{bucket}/{name}"})

    def reports(self) -> list[Piece]:
        """Return the reports to make, one for each folder that was noted and not reported before."""
        return list(self._unreported.values())

    def expired(self) -> Iterator[ListedObject]:
        """Yield the markers that were kept long enough. A marker stays while its folder is there."""
        kept = timedelta(days=self._services.settings.ledger_retention_days)
        for each in self._markers.values():
            if each.written < self._now - kept and each.name not in self._present:
                yield each
