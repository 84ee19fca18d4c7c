"""The methods of the BigQuery Connection API, on the port of BigQuery, where ``bq`` calls them.

https://cloud.google.com/bigquery/docs/reference/bigqueryconnection/rest
"""

from __future__ import annotations

from localcloud.bigquery.base.connections import Connections
from localcloud.bigquery.rest.messages import Call, Response
from localcloud.bigquery.running.service import page_token, position_of

PAGE = 100


class ConnectionMethods:
    """Creates, returns, lists, changes and deletes connections."""

    def __init__(self, connections: Connections) -> None:
        """Serve ``connections``."""
        self._connections = connections

    def create(self, call: Call, names: dict[str, str]) -> Response:
        """Create a connection. Raises ``QueryError``."""
        return Response(200, self._connections.create(_parent(names), call.json(), call.query.get("connectionId", "")))

    def get(self, call: Call, names: dict[str, str]) -> Response:
        """Return a connection. Raises ``NotFound``."""
        return Response(200, self._connections.get(_name(names)))

    def list(self, call: Call, names: dict[str, str]) -> Response:
        """Return a page of the connections of a location."""
        found = self._connections.list(_parent(names))
        token = call.query.get("pageToken")
        start = position_of(token) if token else 0
        end = start + (call.integer("pageSize") or PAGE)
        body = {"connections": found[start:end], **({"nextPageToken": page_token(end)} if end < len(found) else {})}
        return Response(200, body)

    def patch(self, call: Call, names: dict[str, str]) -> Response:
        """Change a connection. Raises ``QueryError``."""
        return Response(200, self._connections.patch(_name(names), call.json(), call.query.get("updateMask", "")))

    def delete(self, call: Call, names: dict[str, str]) -> Response:
        """Delete a connection. Raises ``NotFound``."""
        self._connections.delete(_name(names))
        return Response(200, {})


def _parent(names: dict[str, str]) -> str:
    return f"projects/{names['project']}/locations/{names['location']}"


def _name(names: dict[str, str]) -> str:
    return f"{_parent(names)}/connections/{names['connection']}"
