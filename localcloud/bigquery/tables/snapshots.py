"""Keeps snapshots of small tables for time travel."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bqemulator.versioning.snapshots import SnapshotManager

# A snapshot for time travel is a copy of the table, so only small tables have snapshots.
SNAPSHOT_ROWS = 10_000
SNAPSHOTS_KEPT = 20


class Snapshots(SnapshotManager):
    """Time travel over the last DML changes of tables of up to ``SNAPSHOT_ROWS`` rows.

    A query with time travel reads the current rows of larger tables, and of tables written in another way since.
    """

    def capture(self, project_id: str, dataset_id: str, table_id: str, *, kind: str = "AUTO") -> Any:
        """Capture a snapshot, unless the table is too large; drop the oldest automatic snapshots."""
        if kind == "AUTO":
            count = self._engine.execute(f'SELECT count(*) FROM "{project_id}__{dataset_id}"."{table_id}"').fetchone()
            if count is not None and count[0] > SNAPSHOT_ROWS:
                self.drop_snapshots_for_table(project_id, dataset_id, table_id, include_user=False)
                return None
        captured = super().capture(project_id, dataset_id, table_id, kind=kind)
        kept = [s for s in self._catalog.list_snapshots_for_table(project_id, dataset_id, table_id) if s.kind == "AUTO"]
        for old in sorted(kept, key=lambda snapshot: snapshot.snapshot_time)[:-SNAPSHOTS_KEPT]:
            self.drop_snapshot(old)
        return captured

    def resolve_time_travel(self, project_id: str, dataset_id: str, table_id: str, target: datetime) -> Any:
        """Return the automatic snapshot for a time, or None for the current rows. Those of users are tables of their own."""
        found = super().resolve_time_travel(project_id, dataset_id, table_id, target)
        if found is None or found.kind == "AUTO":
            return found
        taken = self._catalog.list_snapshots_for_table(project_id, dataset_id, table_id)
        before = [each for each in taken if each.kind == "AUTO" and each.snapshot_time <= found.snapshot_time]
        return max(before, key=lambda each: each.snapshot_time, default=None)
