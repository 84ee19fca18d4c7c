"""The control endpoints, which Google Cloud does not have.

/         the state and the addresses of services and functions
/faults   rules that make requests and deliveries fail
/quotas   limits of BigQuery and Cloud Storage
/calls    the number of calls of each method
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from localcloud.base.api_errors import error_body
from localcloud.base.asgi import ASGIApp
from localcloud.faults.active import Faults
from localcloud.faults.quotas import QuotaError, Quotas
from localcloud.faults.rules import RuleError
from localcloud.front.call_log import Calls


class Control:
    """The control endpoints."""

    def __init__(self, faults: Faults, calls: Calls, quotas: Quotas, describe: Callable[[], dict[str, Any]]) -> None:
        """Create the app; ``describe`` returns the state and the addresses of everything."""
        self._faults = faults
        self._calls = calls
        self._quotas = quotas
        self._describe = describe
        self.app: ASGIApp = Starlette(
            routes=[
                Route("/", self._show_state, methods=["GET"]),
                Route("/faults", self._add_faults, methods=["POST"]),
                Route("/faults", self._list_faults, methods=["GET"]),
                Route("/faults", self._clear_faults, methods=["DELETE"]),
                Route("/quotas", self._set_quotas, methods=["POST"]),
                Route("/quotas", self._list_quotas, methods=["GET"]),
                Route("/quotas", self._lift_quotas, methods=["DELETE"]),
                Route("/calls", self._list_calls, methods=["GET"]),
                Route("/calls", self._start_counting, methods=["DELETE"]),
            ]
        )

    async def _show_state(self, request: Request) -> Response:
        return JSONResponse(self._describe())

    async def _add_faults(self, request: Request) -> Response:
        try:
            given = json.loads(await request.body())
            ids = self._faults.add(given if isinstance(given, list) else [given])
        except RuleError as error:
            return _bad_request(str(error))
        except ValueError as error:
            return _bad_request(f"The body is not JSON: {error}")
        return JSONResponse({"ids": ids})

    async def _list_faults(self, request: Request) -> Response:
        return JSONResponse({"faults": self._faults.describe()})

    async def _clear_faults(self, request: Request) -> Response:
        self._faults.clear(request.query_params.get("id"))
        return JSONResponse({"faults": self._faults.describe()})

    async def _set_quotas(self, request: Request) -> Response:
        try:
            self._quotas.limit(json.loads(await request.body()))
        except QuotaError as error:
            return _bad_request(str(error))
        except ValueError as error:
            return _bad_request(f"The body is not JSON: {error}")
        return JSONResponse(self._quotas.describe())

    async def _list_quotas(self, request: Request) -> Response:
        return JSONResponse(self._quotas.describe())

    async def _lift_quotas(self, request: Request) -> Response:
        self._quotas.lift()
        return JSONResponse(self._quotas.describe())

    async def _list_calls(self, request: Request) -> Response:
        calls = self._calls.describe(request.query_params.get("caller"))
        return JSONResponse({"counting": self._calls.counting, "calls": calls})

    async def _start_counting(self, request: Request) -> Response:
        self._calls.begin()
        return JSONResponse({"counting": True, "calls": []})


def _bad_request(message: str) -> Response:
    return JSONResponse(error_body(400, message, reason="invalid"), status_code=400)
