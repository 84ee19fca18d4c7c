"""The rows of INFORMATION_SCHEMA.JOBS.

https://cloud.google.com/bigquery/docs/information-schema-jobs
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from localcloud.bigquery.job.jobs import Job


def job_rows(jobs: Iterable[Job]) -> Iterator[dict[str, Any]]:
    """Yield a row for each job."""
    for job in jobs:
        query = job.configuration.get("query") or {}
        statistics = job.statistics
        details = statistics.get("query") or {}
        yield {
            "creation_time": job.created,
            "project_id": job.key.project,
            "user_email": job.user,
            "job_id": job.key.id,
            "job_type": job.configuration.get("jobType"),
            "statement_type": details.get("statementType"),
            "priority": query.get("priority", "INTERACTIVE") if query else None,
            "start_time": job.started,
            "end_time": job.ended,
            "query": query.get("query"),
            "state": job.state,
            "total_bytes_processed": _number(statistics.get("totalBytesProcessed")),
            "total_slot_ms": _number(statistics.get("totalSlotMs")),
            "error_result": _error(job),
            "cache_hit": details.get("cacheHit"),
            "destination_table": _table(_destination(job.configuration)),
            "referenced_tables": [_table(each) for each in details.get("referencedTables") or ()],
            "labels": [{"key": key, "value": value} for key, value in (job.configuration.get("labels") or {}).items()],
            "total_bytes_billed": _number(details.get("totalBytesBilled")),
            "parent_job_id": job.parent,
            "session_info": {"session_id": job.session_id} if job.session_id else None,
            "dml_statistics": _changes(details.get("dmlStats")),
        }


def _number(text: Any) -> int | None:
    return None if text is None else int(text)


def _error(job: Job) -> dict[str, Any] | None:
    if job.error is None:
        return None
    return {"reason": job.error.reason, "location": job.error.location, "message": job.error.message}


def _destination(configuration: Mapping[str, Any]) -> Mapping[str, Any] | None:
    for kind in ("query", "load", "copy"):
        if (found := (configuration.get(kind) or {}).get("destinationTable")) is not None:
            return found  # type: ignore[no-any-return]
    return None


def _table(reference: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if reference is None:
        return None
    return {
        "project_id": reference.get("projectId"),
        "dataset_id": reference.get("datasetId"),
        "table_id": reference.get("tableId"),
    }


def _changes(statistics: Mapping[str, Any] | None) -> dict[str, int] | None:
    if statistics is None:
        return None
    return {
        "inserted_row_count": int(statistics.get("insertedRowCount") or 0),
        "deleted_row_count": int(statistics.get("deletedRowCount") or 0),
        "updated_row_count": int(statistics.get("updatedRowCount") or 0),
    }
