"""The reservations of the BigQuery Reservation API, and their assignments. They are kept, and have no effect on jobs.

https://cloud.google.com/bigquery/docs/reference/reservations/rest
"""

from __future__ import annotations

import re
import threading
import uuid
from pathlib import Path
from typing import Any

from localcloud.base.clock import Clock, rfc3339
from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.resources import camel_case, canonical_name, read_resources, write_json

# https://cloud.google.com/bigquery/docs/reference/reservations/rest/v1/projects.locations.reservations/create
_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,62}[a-z0-9])?")
_EDITIONS = frozenset({"EDITION_UNSPECIFIED", "STANDARD", "ENTERPRISE", "ENTERPRISE_PLUS"})
_JOB_TYPES = frozenset(
    {"PIPELINE", "QUERY", "ML_EXTERNAL", "BACKGROUND", "CONTINUOUS", "BACKGROUND_CHANGE_DATA_CAPTURE"}
)
_RESERVATION_FIELDS = frozenset(
    {
        "name",
        "slotCapacity",
        "ignoreIdleSlots",
        "autoscale",
        "concurrency",
        "edition",
        "labels",
        "maxSlots",
        "scalingMode",
    }
)
_ASSIGNMENT_FIELDS = frozenset({"name", "assignee", "jobType"})
_ASSIGNEE = re.compile(r"(?:projects|folders|organizations)/[A-Za-z0-9_.:-]+")


class Reservations:
    """All reservations and assignments. It is safe to use from several threads."""

    def __init__(self, clock: Clock, file: Path | None) -> None:
        """Read the resources in ``file``, which follows every change; None keeps them in memory."""
        self._clock = clock
        self._file = file
        self._lock = threading.Lock()
        self._resources = read_resources(file)

    def create(self, parent: str, body: dict[str, Any], reservation_id: str) -> dict[str, Any]:
        """Create a reservation, and return it.

        Args:
            parent: The location: ``projects/P/locations/L``.
            body: The Reservation.
            reservation_id: The id.

        Raises:
            QueryError: The id is not valid or taken, or a field is not valid or not supported.
        """
        body = _camel_keys(body)
        _check_fields("reservation", body, _RESERVATION_FIELDS)
        if not _ID.fullmatch(reservation_id):
            raise QueryError(f'Invalid reservation ID "{reservation_id}": {_ID.pattern}.', reason="invalid")
        edition = body.get("edition") or "STANDARD"
        if edition not in _EDITIONS:
            raise QueryError(f"Invalid edition {edition}: use one of {', '.join(sorted(_EDITIONS))}.", reason="invalid")
        slots, autoscale = _whole_number(body, "slotCapacity"), body.get("autoscale")
        now = rfc3339(self._clock.now())
        name = canonical_name(f"{parent}/reservations/{reservation_id}")
        given = {field: value for field, value in body.items() if value not in (None, "")}
        if isinstance(autoscale, dict):
            given["autoscale"] = {"maxSlots": _whole_number(autoscale, "maxSlots")}
        return self._add(
            name,
            "Reservation",
            given | {"slotCapacity": slots, "edition": edition, "creationTime": now, "updateTime": now},
        )

    def assign(self, reservation: str, body: dict[str, Any], assignment_id: str) -> dict[str, Any]:
        """Create an assignment to a reservation, and return it.

        Raises:
            NotFound: The reservation does not exist.
            QueryError: A field is missing, not valid or not supported, or the assignee has one for such jobs.
        """
        body = _camel_keys(body)
        _check_fields("assignment", body, _ASSIGNMENT_FIELDS)
        self.get(reservation)
        kind, assignee = str(body.get("jobType") or ""), str(body.get("assignee") or "")
        if kind not in _JOB_TYPES:
            raise QueryError(f"Invalid jobType '{kind}': use one of {', '.join(sorted(_JOB_TYPES))}.", reason="invalid")
        if not _ASSIGNEE.fullmatch(assignee):
            raise QueryError(
                f"Invalid assignee '{assignee}': it must be projects/PROJECT, or a folder.", reason="invalid"
            )
        location = canonical_name(reservation).partition("/reservations/")[0].split("/")[-1]
        for other in self.assignments(location):
            if (other["assignee"], other["jobType"]) == (assignee, kind):
                raise QueryError(
                    f"Already Exists: Assignment of {assignee} for jobs of the type {kind}: {other['name']}",
                    reason="duplicate",
                )
        name = f"{canonical_name(reservation)}/assignments/{assignment_id or uuid.uuid4().int % 10**19}"
        return self._add(name, "Assignment", {"assignee": assignee, "jobType": kind, "state": "ACTIVE"})

    def get(self, name: str) -> dict[str, Any]:
        """Return a reservation. Raises ``NotFound``."""
        with self._lock:
            return dict(self._find(name))

    def assignments(self, location: str) -> list[dict[str, Any]]:
        """Return all assignments in a location, sorted by name."""
        part = f"/locations/{location.lower()}/"
        with self._lock:
            return [
                dict(found)
                for name, found in sorted(self._resources.items())
                if part in name and "/assignments/" in name
            ]

    def list(self, parent: str) -> list[dict[str, Any]]:
        """Return the reservations of a location, or the assignments of a reservation, sorted by name.

        Args:
            parent: ``projects/P/locations/L/reservations``, or that of one reservation with ``/assignments``; ``-`` is
                any reservation.
        """
        pattern = re.compile(re.escape(canonical_name(parent)).replace("/\\-/", "/[^/]+/") + "/[^/]+")
        with self._lock:
            return [dict(found) for name, found in sorted(self._resources.items()) if pattern.fullmatch(name)]

    def delete(self, name: str) -> None:
        """Delete a reservation without assignments, or an assignment.

        Raises:
            NotFound: It does not exist.
            QueryError: The reservation has assignments.
        """
        with self._lock:
            found = self._find(name)["name"]
            if any(other.startswith(f"{found}/assignments/") for other in self._resources):
                raise QueryError(f"Reservation {found} has assignments: delete them first.", reason="invalid")
            del self._resources[found]
            self._save()

    def _add(self, name: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if name in self._resources:
                raise QueryError(f"Already Exists: {kind} {name}", reason="duplicate")
            self._resources[name] = fields | {"name": name}
            self._save()
            return dict(self._resources[name])

    def _find(self, name: str) -> dict[str, Any]:
        found = self._resources.get(canonical_name(name))
        if found is None:
            raise NotFound(
                f"Not found: {'Assignment' if '/assignments/' in name else 'Reservation'} {canonical_name(name)}"
            )
        return found

    def _save(self) -> None:
        if self._file is not None:
            write_json(self._file, self._resources)


def _camel_keys(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body whose names are in camelCase, except those of labels: ``bq`` sends some in snake_case."""
    return {
        camel_case(name): _camel_keys(value) if isinstance(value, dict) and name != "labels" else value
        for name, value in body.items()
    }


def _whole_number(fields: dict[str, Any], name: str) -> str:
    """Return a field of the type int64 as a text, as REST has it. Raises ``QueryError`` if it is no whole number."""
    number = str(fields.get(name) or 0)
    if not number.isdigit():
        raise QueryError(f"Invalid {name} {number}: it must be a whole number.", reason="invalid")
    return number


def _check_fields(kind: str, body: dict[str, Any], supported: frozenset[str]) -> None:
    for field, value in body.items():
        if value and field not in supported:
            raise QueryError(f"The field {field} of a {kind} is not supported locally.", reason="notImplemented")
