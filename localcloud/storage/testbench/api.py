"""The retry-test API: https://github.com/googleapis/storage-testbench#retry-test-api."""

from __future__ import annotations

from starlette.responses import Response

from localcloud.base.json_api import Call, Route, json_response
from localcloud.storage.rest.api import Handler
from localcloud.storage.testbench.retry_tests import RetryTests


class RetryTestApi:
    """Handlers for retry tests."""

    def __init__(self, tests: RetryTests) -> None:
        """Serve ``tests``."""
        self._tests = tests

    def routes(self) -> list[Route[Handler]]:
        """Return the routes of the handlers."""
        return [
            Route("POST", "/retry_test", self._create),
            Route("GET", "/retry_tests", self._list),
            Route("GET", "/retry_test/{id}", self._get),
            Route("DELETE", "/retry_test/{id}", self._delete),
        ]

    async def _create(self, call: Call) -> Response:
        return json_response(self._tests.create(call.json()).resource())

    async def _list(self, call: Call) -> Response:
        return json_response({"retry_test": [test.resource() for test in self._tests.all()]})

    async def _get(self, call: Call) -> Response:
        return json_response(self._tests.get(call.names["id"]).resource())

    async def _delete(self, call: Call) -> Response:
        self._tests.delete(call.names["id"])
        return json_response({})
