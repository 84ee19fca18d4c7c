"""A service returns a state that the code does not know: it is reported once, and the job is still watched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
import requests
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from localcloud.base.http import HttpServer
from tests.e2e.deeds import (
    ask,
    check_batch,
    check_prediction,
    post_requests,
)
from tests.e2e.world import World, fresh
from tests.waiting import LAST_LIMIT

# The state of an ended job in each service's answers, and its replacement. Vertex AI's client requests states as numbers.
ENDED = {"BIGQUERY_EMULATOR_HOST": rb'"state": ?"DONE"', "VERTEX_ENDPOINT": rb'"state": ?4\b'}
UNKNOWN = {"BIGQUERY_EMULATOR_HOST": b'"state": "HIBERNATING"', "VERTEX_ENDPOINT": b'"state": 77'}
NOT_PASSED_ON = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}


class Retelling:
    """A proxy between the functions and a service that replaces the state of an ended job."""

    def __init__(self, variable: str) -> None:
        """``variable`` leads functions to the service."""
        self.service = ""
        """The service's address, once it is known."""
        self.begun = False
        self._ended, self._unknown = re.compile(ENDED[variable]), UNKNOWN[variable]
        methods = ["GET", "POST", "PATCH", "DELETE"]
        self.server = HttpServer(Starlette(routes=[Route("/{path:path}", self._pass_on, methods=methods)]))
        self.server.start()

    async def _pass_on(self, request: Request) -> Response:
        answer = await run_in_threadpool(
            requests.request,
            request.method,
            f"{self.service}{request.url.path}?{request.url.query}",
            data=await request.body(),
            headers={name: value for name, value in request.headers.items() if name not in NOT_PASSED_ON},
            timeout=LAST_LIMIT,
        )
        content = self._ended.sub(self._unknown, answer.content) if self.begun else answer.content
        return Response(content, answer.status_code, media_type=answer.headers.get("content-type"))


@pytest.fixture(scope="module")
def retelling() -> Iterator[dict[str, Retelling]]:
    """One for each service, by the variable that leads functions to it."""
    between = {variable: Retelling(variable) for variable in ENDED}
    yield between
    for each in between.values():
        each.server.stop()


@pytest.fixture(scope="module")
def retold(
    start_world: Callable[..., AbstractContextManager[World]], retelling: dict[str, Retelling]
) -> Iterator[World]:
    """A world whose functions reach BigQuery and Vertex AI through these."""
    settings = {variable: between.server.url for variable, between in retelling.items()}
    with start_world("retold", settings=settings) as world:
        for variable, between in retelling.items():
            between.service = world.environment[variable]
        world.import_shifter("seven", 7)
        yield world


@pytest.mark.parametrize(
    ("variable", "do", "check"),
    [
        pytest.param("BIGQUERY_EMULATOR_HOST", ask, check_prediction, marks=pytest.mark.matrix),
        pytest.param("VERTEX_ENDPOINT", post_requests, check_batch, marks=pytest.mark.matrix),
    ],
)
def test_an_unknown_state_is_reported_once_and_the_job_is_still_watched(
    retold: World,
    retelling: dict[str, Retelling],
    variable: str,
    do: Callable[[World, str], None],
    check: Callable[[World, str], None],
) -> None:
    name = fresh("unknown")
    retelling[variable].begun = True
    do(retold, name)
    stuck = retold.event("job.stuck", request_id=name)
    for _ in range(3):
        retold.tick()
    assert len(retold.events.all(request_id=name)) == 1
    assert stuck.data["error"]["code"] == "unknown_state"
    assert stuck.data["job"]["id"] in stuck.data["error"]["message"]

    retelling[variable].begun = False
    retold.quiet()

    check(retold, name)
    assert len(retold.events.all(request_id=name)) == 2
