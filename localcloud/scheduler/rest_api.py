"""Cloud Scheduler's REST API, as ``gcloud scheduler`` and the client libraries call it.

https://cloud.google.com/scheduler/docs/reference/rest
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Any

from starlette.responses import Response

from localcloud.base.api_errors import ApiError, InvalidArgument, Unimplemented
from localcloud.base.json_api import Call, JsonApi, Route, json_response
from localcloud.base.partial_response import parse_fields, select
from localcloud.pubsub.api.rest import SYSTEM_PARAMETERS
from localcloud.scheduler.jobs import Jobs

PARENT = "projects/{project}/locations/{location}"
JOB = f"{PARENT}/jobs/{{job}}"
LARGEST_PAGE = 500
PARAMETERS = SYSTEM_PARAMETERS | {"pageSize", "pageToken", "updateMask"}
"""The parameters of the query string that calls may have."""

Handler = Callable[[Call], dict[str, Any]]


class SchedulerApi(JsonApi[Handler]):
    """The methods of ``projects.locations.jobs``."""

    def __init__(self, jobs: Jobs) -> None:
        """Create the application that serves ``jobs``."""
        self._jobs = jobs
        super().__init__(
            [
                Route("POST", f"/v1/{PARENT}/jobs", self._create),
                Route("GET", f"/v1/{PARENT}/jobs", self._list),
                Route("GET", f"/v1/{JOB}", lambda call: jobs.get(_name(call))),
                Route("PATCH", f"/v1/{JOB}", self._patch),
                Route("DELETE", f"/v1/{JOB}", self._delete),
                Route("POST", f"/v1/{JOB}:run", lambda call: jobs.run(_name_without_body(call))),
                Route("POST", f"/v1/{JOB}:pause", lambda call: jobs.pause(_name_without_body(call))),
                Route("POST", f"/v1/{JOB}:resume", lambda call: jobs.resume(_name_without_body(call))),
            ]
        )

    async def answer(self, handler: Handler, call: Call) -> Response:
        """Return what ``handler`` returns as the answer, with the fields that the call names. Raises ``ApiError``."""
        for name in call.query:
            if name not in PARAMETERS:
                raise InvalidArgument(
                    f"Invalid JSON payload received. Unknown name \"{name}\": Cannot bind query parameter. Field '{name}'"
                    " could not be found in request message."
                )
        try:
            selection = parse_fields(call.query["fields"]) if call.query.get("fields") else {}
        except ValueError as error:
            raise InvalidArgument(str(error)) from None
        return json_response(select(handler(call), selection))

    def unknown_method(self, method: str, path: str, *, path_exists: bool) -> ApiError:
        """Return the error for a request that no route serves."""
        return Unimplemented(f"{method} {path} is not served by the local Scheduler.")

    def _create(self, call: Call) -> dict[str, Any]:
        job = call.json()
        if not job.get("name"):
            job = {**job, "name": f"{_parent(call)}/jobs/{secrets.randbelow(10**19):019d}"}
        if not str(job.get("name", "")).startswith(f"{_parent(call)}/jobs/"):
            raise InvalidArgument(f"The job's name must begin with '{_parent(call)}/jobs/'.")
        return self._jobs.create(job)

    def _list(self, call: Call) -> dict[str, Any]:
        jobs = self._jobs.list_all(_parent(call))
        token, size = call.query.get("pageToken") or "0", call.query.get("pageSize") or "0"
        if not token.isdecimal() or not size.isdecimal():
            raise InvalidArgument("Invalid page token or page size.")
        start = int(token)  # a token is the offset of its page
        end = start + min(int(size) or LARGEST_PAGE, LARGEST_PAGE)
        more = {"nextPageToken": str(end)} if end < len(jobs) else {}
        return {"jobs": jobs[start:end], **more} if jobs else {}

    def _patch(self, call: Call) -> dict[str, Any]:
        changes, mask = call.json(), call.query.get("updateMask", "")
        # Google's APIs take the names of fields in both forms.
        paths = re.sub("_([a-z])", lambda letter: letter[1].upper(), mask).split(",") if mask else list(changes)
        return self._jobs.update(_name(call), changes, paths)

    def _delete(self, call: Call) -> dict[str, Any]:
        self._jobs.delete(_name(call))
        return {}


def _parent(call: Call) -> str:
    return PARENT.format(**call.names)


def _name(call: Call) -> str:
    return JOB.format(**call.names)


def _name_without_body(call: Call) -> str:
    """Return the job's name; raise ``InvalidArgument`` if the body has a field, because these methods take none."""
    for field in call.json():
        raise InvalidArgument(f"Invalid JSON payload received. Unknown name {field!r}: Cannot find field.")
    return _name(call)
