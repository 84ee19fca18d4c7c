"""Jobs as JSON records, from which they are restored after a restart."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import Job, JobKey


def record_of(job: Job) -> dict[str, Any]:
    """Return a job without its rows as JSON."""
    return {
        "project": job.key.project,
        "location": job.key.location,
        "id": job.key.id,
        "configuration": job.configuration,
        "user": job.user,
        "created": job.created.isoformat(),
        "started": job.started.isoformat() if job.started is not None else None,
        "ended": job.ended.isoformat() if job.ended is not None else None,
        "parent": job.parent,
        "session": job.session_id,
        "request": job.request,
        "statistics": job.statistics,
        "error": vars(job.error) if job.error is not None else None,
        "warnings": job.warnings,
        "written": job.written,
        "scripted": job.scripted,
    }


def job_of(record: dict[str, Any]) -> Job:
    """Return the job of a record; it is DONE if the record has an end time."""
    key = JobKey(record["project"], record["location"], record["id"])
    created = datetime.fromisoformat(record["created"])
    job = Job(key, record["configuration"], user=record["user"], created=created, parent=record["parent"])
    job.session_id = record["session"]
    job.request = (record["request"][0], record["request"][1]) if record["request"] is not None else None
    job.statistics = record["statistics"]
    job.warnings = record.get("warnings", [])
    job.written = record["written"]
    job.scripted = record["scripted"]
    if record["started"] is not None:
        job.begin(datetime.fromisoformat(record["started"]))
    if record["ended"] is not None:
        error = record["error"]
        job.finish(datetime.fromisoformat(record["ended"]), QueryError(**error) if error is not None else None)
    return job
