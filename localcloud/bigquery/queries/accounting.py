"""Computes the statistics of queries (bytes, referenced tables, the plan) and checks ``maximumBytesBilled``.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics2
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import Job, milliseconds
from localcloud.bigquery.queries.reading import Reading
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.sql.reading.statement_types import DML_TYPES
from localcloud.bigquery.tables.sizes import Sizes, billed

_NOTHING_READ: dict[str, Any] = {"totalBytesProcessed": "0", "totalBytesBilled": "0", "cacheHit": False}


class Accounting:
    """Computes the statistics of query jobs."""

    def __init__(self, sizes: Sizes, reading: Reading) -> None:
        """Create it with the sizes of tables, and what statements read."""
        self._sizes = sizes
        self._reading = reading

    def describe(self, statement: Statement, written: Statement | None = None) -> dict[str, Any]:
        """Return the part of ``statistics.query`` that depends on the statement only.

        Args:
            statement: The statement that runs, without ML functions and views that use models.
            written: The statement as the client wrote it, or None if it is the same.
        """
        found = self._reading.of(statement, written)
        read = [name for name in found.tables if name != statement.target or statement.kind in DML_TYPES]
        processed = sum(map(self._sizes.query, found.statements))
        described: dict[str, Any] = _NOTHING_READ | {
            "totalBytesProcessed": str(processed),
            "totalBytesBilled": str(billed(processed, sum(map(self._reading.is_stored, read)))),
        }
        if statement.kind:
            described["statementType"] = statement.kind
        if read:
            described["referencedTables"] = [name.reference() for name in read]
        if found.routines:
            described["referencedRoutines"] = [
                {"projectId": name.project, "datasetId": name.dataset, "routineId": name.table}
                for name in found.routines
            ]
        return described

    def check_billing(self, query: dict[str, Any], statement: Statement) -> None:
        """Reject a query that reads more than its ``maximumBytesBilled``. Raises ``QueryError``."""
        limit = query.get("maximumBytesBilled")
        if limit is None:
            return
        found = self._reading.of(statement)
        stored = sum(map(self._reading.is_stored, found.tables))
        needed = billed(sum(map(self._sizes.query, found.statements)), stored)
        if needed > int(limit):
            raise QueryError(
                f"Query exceeded limit for bytes billed: {limit}. {needed} or higher required.",
                reason="bytesBilledLimitExceeded",
            )

    @staticmethod
    def job_statistics(
        job: Job, now: datetime, query: dict[str, Any], *, written: int | None, children: int | None
    ) -> dict[str, Any]:
        """Return a finished query job's ``statistics``.

        Args:
            job: The job.
            now: When the job ended.
            query: The ``statistics.query`` without times.
            written: The number of rows that the job wrote into a table, or None.
            children: The number of child jobs of a script; None for other jobs.
        """
        started = job.started or now
        # One thread runs the job, so the slot time is the elapsed time. BigQuery never reports 0.
        elapsed = str(max(1, milliseconds(now) - milliseconds(started)))
        details = _NOTHING_READ | query | {"totalSlotMs": elapsed, "totalPartitionsProcessed": "0", "billingTier": 1}
        if written is not None:
            details["queryPlan"] = [_stage(written, started, now, elapsed)]
        statistics: dict[str, Any] = {
            "totalBytesProcessed": details["totalBytesProcessed"],
            "totalSlotMs": elapsed,
            "query": details,
        }
        if children is not None:
            statistics["numChildJobs"] = str(children)
        return statistics


def _stage(written: int, started: datetime, ended: datetime, elapsed: str) -> dict[str, Any]:
    """Return the single stage of our query plans; its ``recordsWritten`` is the number of written rows."""
    return {
        "name": "S00: Output",
        "id": "0",
        "status": "COMPLETE",
        "startMs": str(milliseconds(started)),
        "endMs": str(milliseconds(ended)),
        "recordsRead": str(written),
        "recordsWritten": str(written),
        "parallelInputs": "1",
        "completedParallelInputs": "1",
        "shuffleOutputBytes": "0",
        "shuffleOutputBytesSpilled": "0",
        "slotMs": elapsed,
        "steps": [],
    }
