"""The BigQuery Connection API, through Google's client library of discovery documents, as ``bq`` uses it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core.exceptions import BadRequest, NotFound
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from localcloud.base.clock import ManualClock
from localcloud.bigquery.base.connections import Connections
from localcloud.bigquery.base.errors import NotFound as Missing
from tests.localcloud.bigquery.world import BUCKET, PROJECT, BigQueryWorld
from tests.waiting import LAST_LIMIT

PARENT = f"projects/{PROJECT}/locations/US"
RESOURCE = {"cloudResource": {}, "friendlyName": "Gemini"}


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


MODEL = "CREATE MODEL {0}.m REMOTE WITH CONNECTION {1} OPTIONS (endpoint = 'gemini-3.8-flash')"
OBJECTS = (
    "CREATE EXTERNAL TABLE {0}.objects WITH CONNECTION {1} "
    f"OPTIONS (object_metadata = 'SIMPLE', uris = ['gs://{BUCKET}/images/*'])"
)


@pytest.mark.parametrize("statement", [MODEL, OBJECTS])
def test_a_statement_with_an_unknown_connection_is_rejected(world: BigQueryWorld, statement: str) -> None:
    dataset = world.dataset()
    with pytest.raises(NotFound, match=f"Not found: Connection {PROJECT}.us.nothing"):
        world.rows(statement.format(dataset, "us.nothing"))
    with pytest.raises(BadRequest, match="must have the form"):
        world.rows(statement.format(dataset, "nothing"))


def test_a_connection_can_be_used_until_it_is_deleted(world: BigQueryWorld, connections: Any) -> None:
    dataset = world.dataset()
    connections.create(parent=PARENT, connectionId="passing", body=RESOURCE).execute()
    world.rows(MODEL.format(dataset, f"`{PROJECT}.US.passing`"))
    connections.delete(name=f"{PARENT}/connections/passing").execute()
    with pytest.raises(NotFound):
        world.rows(MODEL.format(dataset, "us.passing").replace("CREATE", "CREATE OR REPLACE"))


def test_the_first_use_of_the_default_connection_creates_it(world: BigQueryWorld, connections: Any) -> None:
    dataset = world.dataset("asia-east1")
    client = world.client()
    client.query_and_wait(OBJECTS.format(dataset, "DEFAULT"), location="asia-east1")
    listed = connections.list(parent=f"projects/{PROJECT}/locations/asia-east1").execute()["connections"]
    assert [each["name"].rsplit("/", 1)[-1] for each in listed] == ["__default_cloudresource_connection__"]


def test_an_object_table_is_an_external_table(world: BigQueryWorld, connections: Any) -> None:
    dataset = world.dataset()
    connections.create(parent=PARENT, connectionId="images", body=RESOURCE).execute()
    world.storage.store.write(BUCKET, "images/a.png", b"a", content_type="image/png")
    world.rows(OBJECTS.format(dataset, "us.images"))
    client = world.client()
    assert world.rows(
        f"SELECT table_type, is_insertable_into FROM {dataset}.INFORMATION_SCHEMA.TABLES ORDER BY table_name"
    ) == [
        ("EXTERNAL", "NO"),
        ("BASE TABLE", "YES"),
    ]
    by_statement = client.get_table(f"{dataset}.objects").to_api_repr()
    assert (by_statement["type"], by_statement["externalDataConfiguration"]) == (
        "EXTERNAL",
        {
            "autodetect": False,
            "connectionId": f"{PROJECT}.us.images",
            "objectMetadata": "SIMPLE",
            "sourceUris": [f"gs://{BUCKET}/images/*"],
        },
    )
    assert {each.table_id: each.table_type for each in client.list_tables(dataset)} == {
        "objects": "EXTERNAL",
        "titles": "TABLE",
    }

    body = {
        "tableReference": {"projectId": PROJECT, "datasetId": dataset, "tableId": "by_rest"},
        "externalDataConfiguration": {
            "connectionId": f"projects/{PROJECT}/locations/us/connections/images",
            "objectMetadata": "SIMPLE",
            "sourceUris": [f"gs://{BUCKET}/images/*"],
        },
    }
    created = world.call("POST", f"/datasets/{dataset}/tables", json=body).json()
    assert (created["type"], created["externalDataConfiguration"]) == (
        "EXTERNAL",
        by_statement["externalDataConfiguration"],
    )
    assert world.rows(f"SELECT uri FROM {dataset}.by_rest") == [(f"gs://{BUCKET}/images/a.png",)]
    with pytest.raises(BadRequest, match="Cannot list a table of type EXTERNAL"):
        list(client.list_rows(f"{dataset}.objects"))
    world.rows(f"DROP TABLE {dataset}.by_rest")
    assert {each.table_id for each in client.list_tables(dataset)} == {"objects", "titles"}


@pytest.mark.parametrize("end", ["", "; SELECT 1"])
def test_an_object_table_keeps_its_description_labels_and_expiry(
    world: BigQueryWorld, connections: Any, end: str
) -> None:
    dataset = world.dataset()
    world.rows(
        OBJECTS.format(dataset, "DEFAULT").removesuffix(")")
        + ", description = 'Posters', labels = [('team', 'films')], "
        f"expiration_timestamp = TIMESTAMP '2100-01-01 00:00:00 UTC'){end}"
    )
    table = world.client().get_table(f"{dataset}.objects")
    assert (table.description, table.labels, table.expires) == (
        "Posters",
        {"team": "films"},
        datetime(2100, 1, 1, tzinfo=UTC),
    )
    options = f"SELECT option_name, option_value FROM {dataset}.INFORMATION_SCHEMA.TABLE_OPTIONS"
    assert dict(world.rows(options))["labels"] == '[STRUCT("team", "films")]'


def test_creating_a_sample_connection_replaces_it() -> None:
    known = Connections(ManualClock(), None)
    known.add_sample(f"{PROJECT}.us.gemini_conn")
    known.require(f"{PROJECT}.us.gemini_conn")
    created = known.create(PARENT, RESOURCE, "gemini_conn")
    assert known.list(PARENT) == [created]
    known.delete(created["name"])
    with pytest.raises(Missing):
        known.require(f"{PROJECT}.us.gemini_conn")
