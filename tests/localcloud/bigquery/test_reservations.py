"""The BigQuery Reservation API, through Google's client library of discovery documents, as ``bq`` uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from localcloud.base.clock import ManualClock
from localcloud.bigquery.rest.reservations import Reservations
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld
from tests.waiting import LAST_LIMIT

PARENT = f"projects/{PROJECT}/locations/US"
ASSIGNED = {"assignee": f"projects/{PROJECT}", "job_type": "QUERY"}


@pytest.fixture(scope="module")
def locations(world: BigQueryWorld) -> Iterator[Any]:
    document = requests.get(f"{world.url}/$discovery/rest", params={"version": "v1"}, timeout=LAST_LIMIT).json()
    with discovery.build_from_document(document, developerKey="key") as service:
        yield service.projects().locations()


def test_a_reservation_is_created_listed_assigned_and_deleted(locations: Any) -> None:
    reservations = locations.reservations()
    body = {"slotCapacity": "100", "edition": "ENTERPRISE", "ignoreIdleSlots": True}
    created = reservations.create(parent=PARENT, reservationId="lab", body=body).execute()
    name = f"projects/{PROJECT}/locations/us/reservations/lab"
    assert (created["name"], created["slotCapacity"], created["edition"]) == (name, "100", "ENTERPRISE")
    assert reservations.get(name=f"{PARENT}/reservations/lab").execute() == created
    assert reservations.list(parent=PARENT).execute() == {"reservations": [created]}
    assert reservations.list(parent=f"projects/{PROJECT}/locations/eu").execute() == {"reservations": []}

    assigned = reservations.assignments().create(parent=name, body=ASSIGNED).execute()
    assert (assigned["assignee"], assigned["jobType"], assigned["state"]) == (f"projects/{PROJECT}", "QUERY", "ACTIVE")
    for parent in (name, f"{PARENT}/reservations/-"):
        assert reservations.assignments().list(parent=parent).execute() == {"assignments": [assigned]}
    query = f"assignee=projects/{PROJECT}"
    found = locations.searchAllAssignments(parent="projects/-/locations/us", query=query).execute()
    assert found == {"assignments": [assigned]}
    with pytest.raises(HttpError, match="delete them first"):
        reservations.delete(name=name).execute()
    reservations.assignments().delete(name=assigned["name"]).execute()
    reservations.delete(name=name).execute()
    with pytest.raises(HttpError, match="Not found: Reservation"):
        reservations.get(name=name).execute()


def test_names_of_nested_fields_are_in_camel_case(locations: Any) -> None:
    body = {"edition": "ENTERPRISE", "slot_capacity": 0, "autoscale": {"max_slots": 50}}
    created = locations.reservations().create(parent=PARENT, reservationId="scaled", body=body).execute()
    assert created["autoscale"] == {"maxSlots": "50"}
    locations.reservations().delete(name=created["name"]).execute()


@pytest.mark.parametrize(
    ("reservation_id", "body", "status", "problem"),
    [
        ("taken", {}, 409, "Already Exists: Reservation"),
        ("Upper", {}, 400, "Invalid reservation ID"),
        ("x", {"edition": "GOLD"}, 400, "Invalid edition GOLD"),
        ("x", {"slotCapacity": "many"}, 400, "Invalid slotCapacity"),
        ("x", {"secondaryLocation": "eu"}, 501, "field secondaryLocation"),
    ],
)
def test_a_reservation_that_is_not_valid_is_rejected(
    locations: Any, reservation_id: str, body: dict[str, Any], status: int, problem: str
) -> None:
    parent = f"projects/{PROJECT}/locations/eu"
    if reservation_id == "taken":
        locations.reservations().create(parent=parent, reservationId=reservation_id, body={}).execute()
    with pytest.raises(HttpError, match=problem) as rejected:
        locations.reservations().create(parent=parent, reservationId=reservation_id, body=body).execute()
    assert rejected.value.status_code == status


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (ASSIGNED, 409, "Already Exists: Assignment"),
        ({**ASSIGNED, "job_type": "FAST"}, 400, "Invalid jobType 'FAST'"),
        ({**ASSIGNED, "assignee": "me"}, 400, "Invalid assignee 'me'"),
    ],
)
def test_an_assignment_that_is_not_valid_is_rejected(
    locations: Any, body: dict[str, Any], status: int, problem: str
) -> None:
    parent = f"projects/{PROJECT}/locations/asia-east1"
    name = f"{parent}/reservations/r"
    if not locations.reservations().list(parent=parent).execute()["reservations"]:
        locations.reservations().create(parent=parent, reservationId="r", body={}).execute()
        locations.reservations().assignments().create(parent=name, body=ASSIGNED).execute()
    with pytest.raises(HttpError, match=problem) as rejected:
        locations.reservations().assignments().create(parent=name, body=body).execute()
    assert rejected.value.status_code == status


def test_reservations_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "reservations.json"
    created = Reservations(ManualClock(), file).create(PARENT, {}, "kept")
    assert Reservations(ManualClock(), file).list(f"{PARENT}/reservations") == [created]
