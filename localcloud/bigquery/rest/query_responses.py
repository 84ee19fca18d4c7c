"""The response bodies with the rows of a query: jobs.query and jobs.getQueryResults."""

from __future__ import annotations

from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import DONE, Job, Rows
from localcloud.bigquery.rest.messages import Call
from localcloud.bigquery.rest.rows import rest_rows
from localcloud.bigquery.running.service import page_token, position_of
from localcloud.bigquery.tables.results import NO_ROWS

# BigQuery ends a page at about 10 MB (https://cloud.google.com/bigquery/docs/paging-results), which is about this size.
ROWS_PER_PAGE = 50_000
# HTTP has no status for a cancelled job. Google's clients read 499 as "cancelled".
_CANCELLED = 499


def _raise_failure(job: Job) -> None:
    """Raise the error of a failed job as the response to a call for its rows."""
    if job.error is None:
        return
    status = {"stopped": _CANCELLED}.get(job.error.reason, job.error.status)
    raise QueryError(job.error.message, reason=job.error.reason, location=job.error.location, status=status)


def query_response(job: Job, body: dict[str, Any], *, rows: bool = True) -> dict[str, Any]:
    """Return the response body of jobs.query.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query

    Args:
        job: The query job.
        body: The body of the request.
        rows: Whether to add the rows of a job that is DONE.

    Raises:
        QueryError: The query failed.
    """
    response = _common(job, "bigquery#queryResponse")
    if job.session_id is not None:
        response["sessionInfo"] = {"sessionId": job.session_id}
    if body.get("dryRun"):
        response.pop("jobReference")
        response["jobReference"] = {"projectId": job.key.project, "location": job.key.location}
        response["schema"] = job.statistics.get("query", {}).get("schema", {"fields": []})
        return response
    if rows and job.state == DONE:
        options = body.get("formatOptions") or {}
        maximum = body.get("maxResults")
        _add_rows(
            response,
            job,
            start=0,
            size=int(maximum) if maximum is not None else None,
            int64_timestamps=bool(options.get("useInt64Timestamp")),
        )
    if body.get("jobCreationMode") == "JOB_CREATION_OPTIONAL":
        _name_query(response, job)
    return response


def _name_query(response: dict[str, Any], job: Job) -> None:
    """Name the query and not its job, if the response has all rows; else say why there is a job.

    https://cloud.google.com/bigquery/docs/running-queries#optional-job-creation
    """
    response["queryId"] = job.key.id
    if response["jobComplete"] and "pageToken" not in response and job.session_id is None:
        response.pop("jobReference")
        response["location"] = job.key.location
    else:
        code = "LARGE_RESULTS" if response["jobComplete"] else "LONG_RUNNING"
        response["jobCreationReason"] = {"code": code}


def results_response(job: Job, call: Call) -> dict[str, Any]:
    """Return the response body of jobs.getQueryResults for the requested page. Raises ``QueryError``."""
    response = _common(job, "bigquery#getQueryResultsResponse")
    if job.state == DONE:
        token = call.query.get("pageToken")
        _add_rows(
            response,
            job,
            start=position_of(token) if token else call.integer("startIndex") or 0,
            size=call.integer("maxResults"),
            int64_timestamps=call.flag("formatOptions.useInt64Timestamp"),
        )
    return response


def _common(job: Job, kind: str) -> dict[str, Any]:
    response: dict[str, Any] = {"kind": kind, "jobReference": job.reference(), "jobComplete": job.state == DONE}
    if job.state != DONE:
        return response
    _raise_failure(job)
    query = job.statistics.get("query", {})
    response["totalBytesProcessed"] = query.get("totalBytesProcessed", "0")
    response["cacheHit"] = query.get("cacheHit", False)
    if query.get("numDmlAffectedRows") is not None:
        response["numDmlAffectedRows"] = query["numDmlAffectedRows"]
    return response


def _add_rows(response: dict[str, Any], job: Job, *, start: int, size: int | None, int64_timestamps: bool) -> None:
    rows: Rows = job.result or NO_ROWS
    fields = rows.fields
    if not fields:
        # A statement without rows. DML responses have no total, by which clients recognise them.
        if "numDmlAffectedRows" not in response:
            response["totalRows"] = "0"
        response["schema"] = {"fields": []}
        return
    total = rows.total
    response["schema"] = {"fields": fields}
    response["totalRows"] = str(total)
    wanted = ROWS_PER_PAGE if size is None else min(size, ROWS_PER_PAGE)
    if wanted > 0 and start < total:
        page = rest_rows(rows.page(start, wanted), int64_timestamps=int64_timestamps)
        response["rows"] = page
        if start + len(page) < total:
            response["pageToken"] = page_token(start + len(page))
    elif start < total:
        response["pageToken"] = page_token(start)
