"""Two of BigQuery's quotas, off by default.

https://cloud.google.com/bigquery/quotas
"""

from __future__ import annotations

import threading
from collections import deque
from datetime import datetime, timedelta

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.history import JobHistory
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.sql.reading.statement import TableName

DAY = timedelta(days=1)


class Quotas:
    """Counts queued queries and table modifications.

    Attributes:
        queued_interactive: The maximum number of unfinished interactive queries per project; None for no limit.
        table_modifications_per_day: The maximum number of jobs that write one table in 24 hours; None for no limit.
    """

    def __init__(self, clock: Clock) -> None:
        """Start without limits."""
        self._clock = clock
        self._lock = threading.Lock()
        self.queued_interactive: int | None = None
        self.table_modifications_per_day: int | None = None
        self._modified: dict[TableName, deque[datetime]] = {}

    def check(self, job: Job, history: JobHistory) -> None:
        """Reject a job that exceeds a quota, else count it.

        A job counts as queued until it is done, because jobs on this machine hardly ever wait for a thread. Load, copy
        and query jobs with a destination table are table modifications; DML is not.

        Raises:
            QueryError: 403 ``quotaExceeded``.
        """
        if self.queued_interactive is None and self.table_modifications_per_day is None:
            return
        kind = str(job.configuration["jobType"]).lower()
        details = job.configuration[kind]
        if kind == "query" and details.get("priority") != "BATCH" and self.queued_interactive is not None:
            waiting = [other for other in history.unfinished(job.key.project) if "query" in other.configuration]
            interactive = sum(1 for other in waiting if other.configuration["query"].get("priority") != "BATCH")
            if interactive >= self.queued_interactive:
                raise QueryError(
                    "Quota exceeded: Your project_and_region exceeded quota for max number of jobs that can be queued "
                    "per project.",
                    reason="quotaExceeded",
                )
        target = details.get("destinationTable")
        if target and target.get("datasetId") and self.table_modifications_per_day is not None:
            self._count(TableName.of(target, job.key.project), self.table_modifications_per_day)

    def _count(self, table: TableName, limit: int) -> None:
        now = self._clock.now()
        with self._lock:
            times = self._modified.setdefault(table, deque())
            while times and now - times[0] >= DAY:
                times.popleft()
            if len(times) >= limit:
                raise QueryError(
                    "Quota exceeded: Your table exceeded quota for imports or query appends per table.",
                    reason="quotaExceeded",
                    location="load_job_per_table.long",
                )
            times.append(now)
