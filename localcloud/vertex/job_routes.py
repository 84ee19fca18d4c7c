"""The calls of batch prediction jobs, and the one that is this cloud's own: to put a job into a state."""

from __future__ import annotations

from typing import Any

from localcloud.base.json_api import Call, Route
from localcloud.gemini.errors import RequestError
from localcloud.vertex.jobs import Jobs
from localcloud.vertex.rest import Handler

LOCATION = "projects/{project}/locations/{location}"
JOB = f"{LOCATION}/batchPredictionJobs/{{job}}"


class JobRoutes:
    """Answers the calls of ``projects.locations.batchPredictionJobs``."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def routes(self) -> list[Route[Handler]]:
        """Return the calls."""
        return [
            Route("POST", f"{LOCATION}/batchPredictionJobs", self._create),
            Route("GET", f"{LOCATION}/batchPredictionJobs", self._list),
            Route("GET", JOB, self._get),
            Route("DELETE", JOB, self._delete),
            Route("POST", f"{JOB}:cancel", self._cancel),
            Route("POST", f"/localcloud/vertex/{JOB}:setState", self._set_state),
        ]

    def _create(self, call: Call) -> dict[str, Any]:
        return self._jobs.create(LOCATION.format(**call.names), call.json())

    def _list(self, call: Call) -> dict[str, Any]:
        answer = self._jobs.list(
            LOCATION.format(**call.names),
            call.query.get("filter", ""),
            page_size(call),
            call.query.get("pageToken", ""),
        )
        mask = [path for path in call.query.get("readMask", "").split(",") if path not in ("", "*")]
        if mask:
            jobs = answer["batchPredictionJobs"]
            answer["batchPredictionJobs"] = [{key: job[key] for key in mask if key in job} for job in jobs]
        return answer

    def _get(self, call: Call) -> dict[str, Any]:
        return self._jobs.get(JOB.format(**call.names))

    def _delete(self, call: Call) -> dict[str, Any]:
        return self._jobs.delete(JOB.format(**call.names))

    def _cancel(self, call: Call) -> dict[str, Any]:
        self._jobs.cancel(JOB.format(**call.names))
        return {}

    def _set_state(self, call: Call) -> dict[str, Any]:
        """Put a job into ``{"state": "JOB_STATE_..."}``; with a null state it goes on from its beginning."""
        body = call.json()
        if "state" not in body:
            raise RequestError("INVALID_ARGUMENT", "The body must have a state, which may be null.")
        return self._jobs.force_state(JOB.format(**call.names), body["state"])


def page_size(call: Call) -> int:
    """Return the page size that a call asks for, 0 if it does not. Raises ``RequestError`` if it is no number."""
    try:
        return int(call.query.get("pageSize") or 0)
    except ValueError:
        raise RequestError("INVALID_ARGUMENT", "The page size must be a number.") from None
