"""The connections of the BigQuery Connection API, of the type Cloud resource, and their names in statements.

https://cloud.google.com/bigquery/docs/reference/bigqueryconnection/rest/v1/projects.locations.connections
"""

from __future__ import annotations

import re
import secrets
import threading
import uuid
from pathlib import Path
from typing import Any

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.resources import camel_case, canonical_name, read_resources, write_json

# https://cloud.google.com/bigquery/docs/create-cloud-resource-connection
_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_SETTABLE = frozenset({"friendlyName", "description"})
# https://cloud.google.com/bigquery/docs/default-connections
_DEFAULT = "__default_cloudresource_connection__"
# The other types of connections, which reach services that do not exist here.
_OTHER_TYPES = (
    "aws",
    "azure",
    "cloudSpanner",
    "cloudSql",
    "configuration",
    "salesforceDataCloud",
    "spark",
)


def connection_name(text: str, project: str, location: str) -> str:
    """Return the full name, ``project.location.connection``, of a connection in a statement.

    Args:
        text: ``location.connection``, the same after a project, a resource name, or DEFAULT.
        project: The project of names without one.
        location: The location of the default connection, such as ``US``.

    Raises:
        QueryError: The text is not the name of a connection.
    """
    if text == "DEFAULT":
        return f"{project}.{location.lower()}.{_DEFAULT}"
    # A table resource may have a resource name, or a semicolon before the name.
    path = text.split("/")
    parts = path[1::2] if len(path) == 6 and path[0] == "projects" else text.replace(";", ".").split(".")
    if len(parts) not in (2, 3) or not all(parts):
        raise QueryError(f"Invalid connection '{text}'; it must have the form location.connection.", location="query")
    *_, place, name = parts
    return f"{parts[0] if len(parts) == 3 else project}.{place.lower()}.{name}"


def check_location(connection: str, location: str, what: str) -> None:
    """Check that a connection is in the location where it is used.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-remote-model

    Args:
        connection: ``project.location.connection``, from ``connection_name``.
        location: The location, such as ``US``.
        what: What is in this location, for the error.

    Raises:
        QueryError: The connection is in another location.
    """
    place = connection.split(".")[1]
    if place != location.lower():
        raise QueryError(
            f"Invalid connection {connection}: it is in location {place}, and {what} is in {location.lower()}. They must "
            "be in the same location.",
            reason="invalid",
            location="query",
        )


class Connections:
    """All connections. It is safe to use from several threads."""

    def __init__(self, clock: Clock, file: Path | None) -> None:
        """Read the connections in ``file``, which follows every change; None keeps them in memory."""
        self._clock = clock
        self._file = file
        self._lock = threading.Lock()
        self._connections = read_resources(file)
        self._samples: dict[str, dict[str, Any]] = {}

    def create(self, parent: str, body: dict[str, Any], connection_id: str) -> dict[str, Any]:
        """Create a connection, and return it.

        Args:
            parent: The location: ``projects/P/locations/L``.
            body: The Connection.
            connection_id: The id; empty for a random one.

        Raises:
            QueryError: The id is not valid or taken, or the type of connection is not supported.
        """
        for kind in _OTHER_TYPES:
            if kind in body:
                raise QueryError(f"Connections of the type {kind} are not available locally.", reason="notImplemented")
        if "cloudResource" not in body:
            raise QueryError("A connection must have properties, such as cloudResource.", reason="invalid")
        _check_settable(body, _SETTABLE | {"cloudResource", "name"})
        if connection_id and not _ID.fullmatch(connection_id):
            raise QueryError(f'Invalid connection ID "{connection_id}": {_ID.pattern}.', reason="invalid")
        name = canonical_name(f"{parent}/connections/{connection_id or uuid.uuid4()}")
        with self._lock:
            if name in self._connections:
                raise QueryError(f"Already Exists: Connection {_short(name)}", reason="duplicate")
            self._samples.pop(name, None)
            self._connections[name] = self._resource(name, body)
            self._save()
            return dict(self._connections[name])

    def add_sample(self, name: str) -> None:
        """Let statements use a connection that nobody has created. Creating it replaces the sample.

        Args:
            name: ``project.location.connection``.
        """
        name = _resource_name(name)
        with self._lock:
            self._samples[name] = self._resource(name, {})

    def require(self, name: str) -> None:
        """Check that a connection exists. The first use of a default connection creates it.

        Args:
            name: ``project.location.connection``, from ``connection_name``.

        Raises:
            NotFound: The connection does not exist.
        """
        name = _resource_name(name)
        with self._lock:
            if name.endswith(f"/{_DEFAULT}") and name not in self._connections:
                self._connections[name] = self._resource(name, {})
                self._save()
            self._find(name)

    def _resource(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        number = secrets.randbelow(9 * 10**11) + 10**11
        account = f"bqcx-{number}-{secrets.token_hex(2)}@gcp-sa-bigquery-condel.iam.gserviceaccount.com"
        now = str(int(self._clock.now().timestamp() * 1000))
        return {
            "name": name,
            **{field: body[field] for field in sorted(_SETTABLE) if body.get(field)},
            "creationTime": now,
            "lastModifiedTime": now,
            "hasCredential": True,
            "cloudResource": {"serviceAccountId": account},
        }

    def get(self, name: str) -> dict[str, Any]:
        """Return a connection. Raises ``NotFound``."""
        with self._lock:
            return dict(self._find(name))

    def list(self, parent: str) -> list[dict[str, Any]]:
        """Return the connections of a location, sorted by name."""
        prefix = canonical_name(f"{parent}/connections/")
        with self._lock:
            known = self._samples | self._connections
            return [dict(found) for name, found in sorted(known.items()) if name.startswith(prefix)]

    def patch(self, name: str, body: dict[str, Any], mask: str) -> dict[str, Any]:
        """Change the fields of an update mask, and return the connection.

        Raises:
            QueryError: The connection does not exist, or a field cannot be changed.
        """
        fields = [camel_case(path) for path in mask.split(",") if path]
        _check_settable(dict.fromkeys(fields, True), _SETTABLE)
        with self._lock:
            connection = self._find(name)
            self._connections[connection["name"]] = connection
            for field in fields:
                if body.get(field):
                    connection[field] = body[field]
                else:
                    connection.pop(field, None)
            connection["lastModifiedTime"] = str(int(self._clock.now().timestamp() * 1000))
            self._save()
            return dict(connection)

    def delete(self, name: str) -> None:
        """Delete a connection. Raises ``NotFound``."""
        with self._lock:
            name = self._find(name)["name"]
            self._samples.pop(name, None)
            self._connections.pop(name, None)
            self._save()

    def _find(self, name: str) -> dict[str, Any]:
        name = canonical_name(name)
        found = self._connections.get(name) or self._samples.get(name)
        if found is None:
            raise NotFound(f"Not found: Connection {_short(name)}")
        return found

    def _save(self) -> None:
        if self._file is not None:
            write_json(self._file, self._connections)


def _resource_name(name: str) -> str:
    """Return the resource name of ``project.location.connection``."""
    project, location, connection = name.split(".")
    return canonical_name(f"projects/{project}/locations/{location}/connections/{connection}")


def _short(name: str) -> str:
    """Return the name as messages of BigQuery write it: ``project.location.connection``."""
    return ".".join(canonical_name(name).split("/")[1::2])


def _check_settable(body: dict[str, Any], settable: frozenset[str]) -> None:
    for field, value in body.items():
        if value and field not in settable:
            raise QueryError(f"The field {field} of a connection is not supported locally.", reason="notImplemented")
