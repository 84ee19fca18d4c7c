"""The methods of batch prediction jobs, and a method of the local cloud only: setting the state of a job."""

from __future__ import annotations

from typing import Any

from localcloud.base.json_api import Call, Route
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.pages import page_size
from localcloud.vertex.base.rest import LOCATION, Handler, version_of
from localcloud.vertex.batch.jobs import Jobs
from localcloud.vertex.request_checks import check_fields

JOB = f"{LOCATION}/batchPredictionJobs/{{job}}"


class JobRoutes:
    """Serves the methods of ``projects.locations.batchPredictionJobs``."""

    def __init__(self, jobs: Jobs) -> None:
        """Serve ``jobs``."""
        self._jobs = jobs

    def routes(self) -> list[Route[Handler]]:
        """Return the routes."""
        return [
            Route("POST", f"{LOCATION}/batchPredictionJobs", self._create),
            Route("GET", f"{LOCATION}/batchPredictionJobs", self._list),
            Route("GET", JOB, self._get),
            Route("DELETE", JOB, self._delete),
            Route("POST", f"{JOB}:cancel", self._cancel),
            Route("POST", f"/localcloud/vertex/{JOB}:setState", self._set_state),
        ]

    def _create(self, call: Call) -> dict[str, Any]:
        body = call.json()
        check_fields("BatchPredictionJob", body, version_of(call), "batch_prediction_job")
        return self._jobs.create(LOCATION.format(**call.names), body)

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
        """Set a job to ``{"state": "JOB_STATE_..."}``; a null state runs the job again from its start."""
        body = call.json()
        if "state" not in body:
            raise RequestError("INVALID_ARGUMENT", "The body must have a state, which may be null.")
        return self._jobs.force_state(JOB.format(**call.names), body["state"])
