"""The methods of the BigQuery Reservation API, on the port of BigQuery, where ``bq`` calls them.

https://cloud.google.com/bigquery/docs/reference/reservations/rest
"""

from __future__ import annotations

from typing import Any

from localcloud.bigquery.base.errors import NotFound
from localcloud.bigquery.rest.messages import Call, Response
from localcloud.bigquery.rest.reservations import Reservations
from localcloud.bigquery.running.service import page_token, position_of

PAGE = 100


class ReservationMethods:
    """Creates, returns, lists and deletes reservations and assignments."""

    def __init__(self, reservations: Reservations) -> None:
        """Serve ``reservations``."""
        self._reservations = reservations

    def create(self, call: Call, names: dict[str, str]) -> Response:
        """Create a reservation. Raises ``QueryError``."""
        name = call.query.get("reservationId", "")
        return Response(200, self._reservations.create(_location(names), call.json(), name))

    def get(self, call: Call, names: dict[str, str]) -> Response:
        """Return a reservation. Raises ``NotFound``."""
        return Response(200, self._reservations.get(_reservation(names)))

    def list(self, call: Call, names: dict[str, str]) -> Response:
        """Return a page of the reservations of a location."""
        found = self._reservations.list(f"{_location(names)}/reservations")
        return _page(call, "reservations", found)

    def delete(self, call: Call, names: dict[str, str]) -> Response:
        """Delete a reservation. Raises ``QueryError``."""
        self._reservations.delete(_reservation(names))
        return Response(200, {})

    def assign(self, call: Call, names: dict[str, str]) -> Response:
        """Create an assignment. Raises ``QueryError``."""
        name = call.query.get("assignmentId", "")
        return Response(200, self._reservations.assign(_reservation(names), call.json(), name))

    def list_assignments(self, call: Call, names: dict[str, str]) -> Response:
        """Return a page of the assignments of a reservation."""
        return _page(call, "assignments", self._reservations.list(f"{_reservation(names)}/assignments"))

    def delete_assignment(self, call: Call, names: dict[str, str]) -> Response:
        """Delete an assignment. Raises ``NotFound``."""
        self._reservations.delete(f"{_reservation(names)}/assignments/{names['assignment']}")
        return Response(200, {})

    def get_bi(self, call: Call, names: dict[str, str]) -> Response:
        """Raise ``NotFound``: nothing is reserved for BI Engine. ``bq ls --reservation`` looks for it."""
        raise NotFound(f"Not found: BI Engine reservation in {_location(names)}")

    def search(self, call: Call, names: dict[str, str]) -> Response:
        """Return a page of the assignments of the assignee in the query ``assignee=projects/P``."""
        wanted = call.query.get("query", "").removeprefix("assignee=")
        found = self._reservations.assignments(names["location"])
        return _page(call, "assignments", [each for each in found if wanted in ("", each["assignee"])])


def _page(call: Call, key: str, found: list[dict[str, Any]]) -> Response:
    token = call.query.get("pageToken")
    start = position_of(token) if token else 0
    end = start + (call.integer("pageSize") or PAGE)
    return Response(200, {key: found[start:end], **({"nextPageToken": page_token(end)} if end < len(found) else {})})


def _location(names: dict[str, str]) -> str:
    return f"projects/{names['project']}/locations/{names['location']}"


def _reservation(names: dict[str, str]) -> str:
    return f"{_location(names)}/reservations/{names['reservation']}"
