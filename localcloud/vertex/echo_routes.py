"""The orders of the stand-in model, which Vertex AI does not have: read and replaced at ``/localcloud/vertex/echo``."""

from __future__ import annotations

from typing import Any

from localcloud.base.json_api import Call, Route
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.echo import EchoBackend
from localcloud.gemini.orders import parse_orders
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.rest import Handler

PATH = "/localcloud/vertex/echo"


class EchoRoutes:
    """Serves the orders of the stand-in model."""

    def __init__(self, backend: ModelBackend) -> None:
        """Serve the orders of ``backend``, if it is the stand-in."""
        self._backend = backend

    def routes(self) -> list[Route[Handler]]:
        """Return the routes."""
        return [Route("GET", PATH, self._get), Route("PUT", PATH, self._put)]

    def _echo(self) -> EchoBackend:
        if not isinstance(self._backend, EchoBackend):
            raise RequestError("FAILED_PRECONDITION", "Only the stand-in model (GEMINI_BACKEND=echo) accepts orders.")
        return self._backend

    def _get(self, call: Call) -> dict[str, Any]:
        return {"orders": self._echo().orders.shown()}

    def _put(self, call: Call) -> dict[str, Any]:
        """Replace the orders by those in ``{"orders": [...]}``."""
        echo = self._echo()
        body = call.json()
        if set(body) != {"orders"}:
            raise RequestError("INVALID_ARGUMENT", 'The body must be {"orders": [...]}.')
        try:
            echo.orders.replace(parse_orders(body["orders"]))
        except ValueError as error:
            raise RequestError("INVALID_ARGUMENT", str(error)) from None
        return {"orders": echo.orders.shown()}
