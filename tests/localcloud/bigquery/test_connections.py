"""The BigQuery Connection API, through Google's client library of discovery documents, as ``bq`` uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from localcloud.base.clock import ManualClock
from localcloud.bigquery.rest.connections import Connections
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world
from tests.waiting import LAST_LIMIT

PARENT = f"projects/{PROJECT}/locations/US"
RESOURCE = {"cloudResource": {}, "friendlyName": "Gemini"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture(scope="module")
def connections(world: BigQueryWorld) -> Iterator[Any]:
    document = requests.get(f"{world.url}/$discovery/rest", params={"version": "v1"}, timeout=LAST_LIMIT).json()
    with discovery.build_from_document(document, developerKey="key") as service:
        yield service.projects().locations().connections()


def test_a_connection_has_a_service_account_and_is_listed_changed_and_deleted(connections: Any) -> None:
    created = connections.create(parent=PARENT, connectionId="gemini_conn", body=RESOURCE).execute()
    name = f"projects/{PROJECT}/locations/us/connections/gemini_conn"
    assert (created["name"], created["friendlyName"], created["hasCredential"]) == (name, "Gemini", True)
    account = created["cloudResource"]["serviceAccountId"]
    assert account.startswith("bqcx-")
    assert account.endswith("@gcp-sa-bigquery-condel.iam.gserviceaccount.com")
    assert connections.get(name=f"{PARENT}/connections/gemini_conn").execute() == created
    assert connections.list(parent=PARENT).execute() == {"connections": [created]}
    assert connections.list(parent=f"projects/{PROJECT}/locations/eu").execute() == {"connections": []}

    changed = connections.patch(name=name, updateMask="friendlyName,description", body={"description": "x"}).execute()
    assert (changed.get("friendlyName"), changed["description"]) == (None, "x")
    connections.delete(name=name).execute()
    with pytest.raises(HttpError, match=f"Not found: Connection {PROJECT}.us.gemini_conn") as missing:
        connections.get(name=name).execute()
    assert missing.value.status_code == 404


def test_a_list_has_pages(connections: Any) -> None:
    parent = f"projects/{PROJECT}/locations/us-east1"
    for number in range(3):
        connections.create(parent=parent, connectionId=f"c{number}", body={"cloudResource": {}}).execute()
    first = connections.list(parent=parent, pageSize=2).execute()
    second = connections.list(parent=parent, pageSize=2, pageToken=first["nextPageToken"]).execute()
    assert [one["name"][-2:] for one in (*first["connections"], *second["connections"])] == ["c0", "c1", "c2"]
    assert "nextPageToken" not in second


@pytest.mark.parametrize(
    ("connection_id", "body", "status", "problem"),
    [
        ("taken", RESOURCE, 409, "Already Exists: Connection"),
        ("no name", RESOURCE, 400, "Invalid connection ID"),
        ("x", {}, 400, "must have properties"),
        ("x", {"cloudSql": {"instanceId": "i"}}, 501, "the type cloudSql"),
        ("x", {**RESOURCE, "kmsKeyName": "k"}, 501, "field kmsKeyName"),
    ],
)
def test_a_connection_that_is_not_valid_is_rejected(
    connections: Any, connection_id: str, body: dict[str, Any], status: int, problem: str
) -> None:
    parent = f"projects/{PROJECT}/locations/eu"
    if connection_id == "taken":
        connections.create(parent=parent, connectionId=connection_id, body=RESOURCE).execute()
    with pytest.raises(HttpError, match=problem) as rejected:
        connections.create(parent=parent, connectionId=connection_id, body=body).execute()
    assert rejected.value.status_code == status


def test_connections_survive_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "connections.json"
    created = Connections(ManualClock(), file).create(PARENT, RESOURCE, "kept")
    assert Connections(ManualClock(), file).list(PARENT) == [created]
