"""Cloud Scheduler over REST: what ``gcloud scheduler`` and the client libraries speak.

https://cloud.google.com/scheduler/docs/reference/rest
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.base.http import ASGIApp
from localcloud.scheduler.errors import InvalidArgument, SchedulerError, Unimplemented

if TYPE_CHECKING:
    from localcloud.scheduler.service import Scheduler

JOBS = "/v1/projects/{project}/locations/{location}/jobs"
ONE_JOB = f"{JOBS}/{{job}}"
MAXIMUM_PAGE = 500

Body = dict[str, Any]
Operation = Callable[["Scheduler", Request, Body], Body]


def rest_face(scheduler: Scheduler) -> ASGIApp:
    """Return the application that serves ``/v1/projects/P/locations/L/jobs...``."""
    routes = [_route(scheduler, *operation) for operation in OPERATIONS]
    return Starlette(routes=routes, exception_handlers={HTTPException: _no_such_method})


def _create(scheduler: Scheduler, request: Request, body: Body) -> Body:
    if not body.get("name", "").startswith(f"{_parent(request)}/jobs/"):
        raise InvalidArgument(f"The job's name must begin with '{_parent(request)}/jobs/'.")
    return scheduler.create_job(body)


def _list(scheduler: Scheduler, request: Request, body: Body) -> Body:
    jobs = scheduler.jobs(_parent(request))
    token, size = request.query_params.get("pageToken") or "0", request.query_params.get("pageSize") or "0"
    if not token.isdecimal() or not size.isdecimal():
        raise InvalidArgument("Invalid page token or page size.")
    start = int(token)  # a token is the offset of its page
    end = start + min(int(size) or MAXIMUM_PAGE, MAXIMUM_PAGE)
    more = {"nextPageToken": str(end)} if end < len(jobs) else {}
    return {"jobs": jobs[start:end], **more} if jobs else {}


def _get(scheduler: Scheduler, request: Request, body: Body) -> Body:
    return scheduler.job(_name(request))


def _patch(scheduler: Scheduler, request: Request, body: Body) -> Body:
    mask = request.query_params.get("updateMask", "")
    return scheduler.update_job(_name(request), body, mask.split(",") if mask else list(body))


def _delete(scheduler: Scheduler, request: Request, body: Body) -> Body:
    scheduler.delete_job(_name(request))
    return {}


def _run(scheduler: Scheduler, request: Request, body: Body) -> Body:
    return scheduler.run_job(_name(request))


def _pause(scheduler: Scheduler, request: Request, body: Body) -> Body:
    return scheduler.pause_job(_name(request))


def _resume(scheduler: Scheduler, request: Request, body: Body) -> Body:
    return scheduler.resume_job(_name(request))


# A path with a verb after a colon stands before the one without, which would match it too.
OPERATIONS: list[tuple[str, str, Operation]] = [
    ("POST", JOBS, _create),
    ("GET", JOBS, _list),
    ("POST", f"{ONE_JOB}:run", _run),
    ("POST", f"{ONE_JOB}:pause", _pause),
    ("POST", f"{ONE_JOB}:resume", _resume),
    ("GET", ONE_JOB, _get),
    ("PATCH", ONE_JOB, _patch),
    ("DELETE", ONE_JOB, _delete),
]


def _route(scheduler: Scheduler, verb: str, path: str, operation: Operation) -> Route:
    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(operation(scheduler, request, _parse(await request.body())))
        except SchedulerError as error:
            return _error_response(error)

    return Route(path, endpoint, methods=[verb])


async def _no_such_method(request: Request, error: Exception) -> Response:
    """Answer a path that is none of the service's, or that has not this verb."""
    return _error_response(Unimplemented(f"{request.method} {request.url.path} is not served by the local Scheduler."))


def _error_response(error: SchedulerError) -> Response:
    """Return ``error`` as Google's JSON APIs show it."""
    body = {"code": error.code, "message": error.message, "status": error.status}
    return JSONResponse({"error": body}, status_code=error.code)


def _parse(body: bytes) -> Body:
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise InvalidArgument(f"Invalid JSON payload received. {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidArgument("Invalid JSON payload received. An object is expected.")
    return parsed


def _parent(request: Request) -> str:
    return "projects/{project}/locations/{location}".format(**request.path_params)


def _name(request: Request) -> str:
    return f"{_parent(request)}/jobs/{request.path_params['job']}"
