"""BigQuery with its latency. A job is no more than the time at which it ends; every model, dataset and table exists.

https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/jobs
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

from benchmarks.services.http import Request, Response, error_response, json_response

API = "/bigquery/v2/projects/"
PAGE = 1000


class BigQuery:
    """The jobs of one project."""

    def __init__(self, latency: float, job_seconds: float) -> None:
        """Start without jobs.

        Args:
            latency: The seconds that each call takes.
            job_seconds: How long a job runs that is inserted.
        """
        self.calls: Counter[str] = Counter()
        """The calls, by method."""
        self.jobs: dict[str, tuple[float, float]] = {}
        """When each job was created and when it ends, in seconds since 1970."""
        self._latency = latency
        self._job_seconds = job_seconds
        self._lists: dict[tuple[str, ...], list[str]] = {}
        """The jobs of each list that is under way."""

    def handle(self, request: Request) -> Response:
        """Answer a call of the API."""
        project, collection, *names = request.names(after=API)
        match request.method, collection, names:
            case "GET", "jobs", []:
                return self._list(project, request)
            case "GET", "jobs", [job_id]:
                return self._get(project, job_id)
            case "POST", "jobs", []:
                return self._insert(project, request)
            case "GET", "datasets", [dataset]:
                return self._resource(
                    "datasets.get", {"datasetReference": _dataset(project, dataset), "location": "US"}
                )
            case "GET", "datasets", [dataset, "models", model]:
                reference = {**_dataset(project, dataset), "modelId": model}
                return self._resource("models.get", {"modelReference": reference, "creationTime": "1700000000000"})
            case _:
                return error_response(404, "notFound", f"Not found: {request.path}", seconds=self._latency)

    def _resource(self, method: str, value: dict[str, Any]) -> Response:
        self.calls[method] += 1
        return json_response(value, seconds=self._latency)

    def _list(self, project: str, request: Request) -> Response:
        start = int(request.query.get("pageToken", 0))
        bounds = tuple(request.query.get(name, "") for name in ("minCreationTime", "maxCreationTime"))
        if not start:
            now, first, last = time.time(), int(bounds[0] or 0), int(bounds[1] or 1 << 62)
            self._lists[bounds] = [
                job_id
                for job_id, (created, end) in self.jobs.items()
                if end > now and first <= int(created * 1000) <= last
            ]
        running = self._lists[bounds]
        page = running[start : start + PAGE]
        listed = _listed_id if "fields" in request.query else _listed
        value: dict[str, Any] = {"jobs": [listed(project, job_id) for job_id in page]}
        if start + PAGE < len(running):
            value["nextPageToken"] = str(start + PAGE)
        return self._resource("jobs.list", value)

    def _get(self, project: str, job_id: str) -> Response:
        job = self.jobs.get(job_id)
        if job is None:
            self.calls["jobs.get"] += 1
            return error_response(404, "notFound", f"Not found: Job {job_id}", seconds=self._latency)
        return self._resource("jobs.get", _job(project, job_id, *job))

    def _insert(self, project: str, request: Request) -> Response:
        body = request.json()
        job_id = body["jobReference"]["jobId"]
        if body["configuration"].get("dryRun"):
            fields = [{"name": "label", "type": "STRING", "mode": "NULLABLE"}]
            query = {"statementType": "SELECT", "schema": {"fields": fields}, "totalBytesProcessed": "1"}
            value = {**_job(project, job_id, time.time(), time.time()), "statistics": {"query": query}}
            return self._resource("jobs.insert", value)
        if job_id in self.jobs:
            self.calls["jobs.insert"] += 1
            return error_response(409, "duplicate", f"Already Exists: Job {job_id}", seconds=self._latency)
        self.jobs[job_id] = (time.time(), time.time() + self._job_seconds)
        return self._resource("jobs.insert", _job(project, job_id, *self.jobs[job_id]))


def _dataset(project: str, dataset: str) -> dict[str, str]:
    return {"projectId": project, "datasetId": dataset}


def _reference(project: str, job_id: str) -> dict[str, str]:
    return {"projectId": project, "jobId": job_id, "location": "US"}


def _listed_id(project: str, job_id: str) -> dict[str, Any]:
    return {"jobReference": {"jobId": job_id}}


def _listed(project: str, job_id: str) -> dict[str, Any]:
    return {
        "kind": "bigquery#job",
        "id": f"{project}:US.{job_id}",
        "jobReference": _reference(project, job_id),
        "state": "RUNNING",
        "status": {"state": "RUNNING"},
        "configuration": {"jobType": "QUERY", "query": {"query": ""}},
        "statistics": {"creationTime": "1700000000000", "startTime": "1700000000000"},
        "user_email": "modeldrop-runtime@benchmark.iam.gserviceaccount.com",
    }


def _job(project: str, job_id: str, created: float, end: float) -> dict[str, Any]:
    has_ended = end <= time.time()
    started = str(int(created * 1000))
    statistics: dict[str, Any] = {"creationTime": started, "startTime": started, "totalBytesProcessed": "1000"}
    if has_ended:
        stage = {"name": "S00: Output", "id": "0", "recordsRead": "10", "recordsWritten": "10", "status": "COMPLETE"}
        statistics |= {"endTime": str(int(end * 1000)), "totalSlotMs": "100"}
        statistics["query"] = {"statementType": "SELECT", "totalBytesProcessed": "1000", "queryPlan": [stage]}
    return {
        "kind": "bigquery#job",
        "id": f"{project}:US.{job_id}",
        "jobReference": _reference(project, job_id),
        "configuration": {"jobType": "QUERY", "labels": {}, "query": {"query": "SELECT 1", "priority": "INTERACTIVE"}},
        "status": {"state": "DONE" if has_ended else "RUNNING"},
        "statistics": statistics,
    }
