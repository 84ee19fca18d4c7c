"""A running local Vertex AI for tests: its clients, its tables, and a check of each response against Google's API."""

from __future__ import annotations

import atexit
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.oauth2.credentials import Credentials

from localcloud.base.asgi import ASGIApp, Message, Receive, Scope, Send
from localcloud.base.clock import Clock, SystemClock
from localcloud.base.http import HttpServer
from localcloud.bigquery.ml.models.registration import VersionNumbers
from localcloud.bigquery.server import BigQuery
from localcloud.bigquery.tables.facade import Tables
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.echo import EchoBackend
from localcloud.storage.objects.store import ObjectStore
from localcloud.vertex.pace import Pace
from localcloud.vertex.service import Vertex

PROJECT = "local-project"
LOCATION = "us-central1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"
FINAL = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")


@cache
def local_bigquery() -> tuple[BigQuery, bigquery.Client]:
    """Return one local BigQuery for all tests, and its client; each world empties it."""
    store = ObjectStore(Path(tempfile.mkdtemp(prefix="bigquery-store-")), clock=SystemClock())
    running = BigQuery(clock=SystemClock(), project=PROJECT, store=store)
    running.start()
    atexit.register(running.stop)
    client = bigquery.Client(
        project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": running.url}
    )
    return running, client


@dataclass
class Recorder:
    """An ASGI application that records the exchanges of another one, which may be replaced."""

    app: ASGIApp | None = None
    exchanges: list[tuple[str, str, int, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: dict[str, Any] = {"status": 0, "body": b""}

        async def keep(message: Message) -> None:
            answer["status"] = message.get("status", answer["status"])
            answer["body"] += message.get("body", b"")
            await send(message)

        assert self.app is not None
        await self.app(scope, receive, keep)
        self.exchanges.append((scope["method"], scope["path"], answer["status"], answer["body"]))


@cache
def local_server() -> tuple[HttpServer, Recorder]:
    """Return one HTTP server for all tests; each world puts its service behind it."""
    recorder = Recorder()
    server = HttpServer(recorder)
    server.start()
    atexit.register(server.stop)
    return server, recorder


class Discovery:
    """Google's description of the Vertex AI API, which responses must match."""

    def __init__(self) -> None:
        folder = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
        document = json.loads((folder / "aiplatform.v1.json").read_text())
        self._schemas = document["schemas"]
        self._methods: list[tuple[str, re.Pattern[str], str]] = []
        self._collect(document)

    def _collect(self, node: dict[str, Any]) -> None:
        for method in node.get("methods", {}).values():
            path = re.sub(r"\\{\w+\\}", "[^/:]+", re.escape("/" + method["flatPath"]))
            self._methods.append((method["httpMethod"], re.compile(path), method["response"]["$ref"]))
        for child in node.get("resources", {}).values():
            self._collect(child)

    def check(self, method: str, path: str, body: Any) -> None:
        """Assert that a response matches the description of its method."""
        # Google's clients request operations below /ui/, which the description omits.
        versioned = re.sub(r"^/(v1beta1|ui)/", "/v1/", path)
        schemas = [schema for verb, pattern, schema in self._methods if verb == method and pattern.fullmatch(versioned)]
        if versioned == "/v1/publishers/google/models":  # a method of v1beta1 only
            return
        assert schemas, f"the document knows no method {method} {path}"
        self.conform(body, {"$ref": schemas[0]}, path)

    def conform(self, value: Any, schema: dict[str, Any], where: str) -> None:
        if "$ref" in schema:
            schema = self._schemas[schema["$ref"]]
        match schema.get("type"):
            case "object":
                assert isinstance(value, dict), f"{where}: {value!r} is not an object"
                for key, inner in value.items():
                    part = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
                    assert part is not None, f"{where}.{key} is not documented"
                    self.conform(inner, part, f"{where}.{key}")
            case "array":
                assert isinstance(value, list), f"{where}: {value!r} is not an array"
                for inner in value:
                    self.conform(inner, schema["items"], f"{where}[]")
            case "string":
                # Enums are numbers for clients that request it.
                allowed = (str, int) if "enum" in schema else str
                assert isinstance(value, allowed) and not isinstance(value, bool), f"{where}: {value!r} is not a string"
                assert not isinstance(value, str) or value in schema.get("enum", [value]), f"{where}: {value!r}"
            case "integer":
                assert isinstance(value, int) and not isinstance(value, bool), f"{where}: {value!r} is not an integer"
            case "number":
                assert isinstance(value, int | float) and not isinstance(value, bool), f"{where}: {value!r}"
            case "boolean":
                assert isinstance(value, bool), f"{where}: {value!r} is not a boolean"


@cache
def discovery_document() -> Discovery:
    """Return the description, read once."""
    return Discovery()


@dataclass
class World:
    """A running local Vertex AI with the services that it uses."""

    vertex: Vertex
    bigquery: bigquery.Client
    tables: Tables
    store: ObjectStore
    recorder: Recorder
    url: str

    def job_client(self) -> Any:
        """Return the official client of the job service, over REST."""
        from google.cloud import aiplatform_v1

        return aiplatform_v1.JobServiceClient(
            transport="rest", client_options={"api_endpoint": self.url}, credentials=AnonymousCredentials()
        )

    def genai_client(self, location: str = LOCATION) -> Any:
        """Return Google's Gen AI SDK, pointed here."""
        from google import genai
        from google.genai.types import HttpOptions

        return genai.Client(
            vertexai=True,
            project=PROJECT,
            location=location,
            credentials=Credentials("local"),
            http_options=HttpOptions(base_url=self.url),
        )

    def add_dataset(self, name: str, location: str = LOCATION) -> None:
        """Create a dataset, by default in the jobs' region."""
        dataset = bigquery.Dataset(f"{PROJECT}.{name}")
        dataset.location = location
        self.bigquery.create_dataset(dataset, exists_ok=True)

    def add_requests(self, requests: list[Any], *, kind: str = "JSON", location: str = LOCATION) -> str:
        """Create the table ``batches.requests`` with an ``id`` for each request, and return its URI."""
        self.add_dataset("batches", location)
        columns = [
            {"name": "id", "type": "INTEGER", "mode": "NULLABLE"},
            {"name": "request", "type": kind, "mode": "NULLABLE"},
        ]
        rows = [
            {"id": number, "request": request if request is None else json.dumps(request)}
            for number, request in enumerate(requests)
        ]
        self.tables.write(f"{PROJECT}.batches.requests", columns, rows)
        return f"bq://{PROJECT}.batches.requests"

    def add_selected(self, columns: str) -> str:
        """Create the table ``batches.requests`` from a SELECT, and return its URI."""
        self.add_dataset("batches")
        self.bigquery.query(f"CREATE TABLE batches.requests AS SELECT {columns}", location=LOCATION).result()
        return f"bq://{PROJECT}.batches.requests"

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return a table's rows as the official client reads them, by ``id`` if they have one."""
        rows = [dict(row) for row in self.bigquery.list_rows(table.removeprefix("bq://"))]
        return sorted(rows, key=lambda row: row.get("id", 0))

    def columns(self, table: str) -> list[tuple[str, str]]:
        """Return the names and types of a table's columns."""
        found = self.bigquery.get_table(table.removeprefix("bq://"))
        return [(column.name, column.field_type) for column in found.schema]

    def table_names(self, dataset: str = "batches") -> list[str]:
        """Return the names of a dataset's tables."""
        return sorted(table.table_id for table in self.bigquery.list_tables(dataset))

    def check_answers(self) -> None:
        """Assert that every response so far matches Google's description."""
        discovery = discovery_document()
        for method, path, status, body in self.recorder.exchanges:
            if not path.startswith("/localcloud/"):
                _check_answer(discovery, method, path, status, body)


def _check_answer(discovery: Discovery, method: str, path: str, status: int, body: bytes) -> None:
    if status != 200:
        error = json.loads(body)["error"]
        assert error.keys() == {"code", "message", "status"}
        assert error["code"] == status
        return
    if body.startswith(b"data: "):
        answers = [json.loads(line.removeprefix(b"data: ")) for line in body.split(b"\r\n\r\n") if line]
    else:
        answer = json.loads(body)
        answers = answer if isinstance(answer, list) else [answer]
    for answer in answers:
        discovery.check(method, path, answer)


@contextmanager
def vertex_world(
    directory: Path,
    *,
    backend: ModelBackend | None = None,
    clock: Clock | None = None,
    pace: Pace | None = None,
    kept: Path | None = None,
) -> Iterator[World]:
    """Run a local Vertex AI with files in ``directory``, its jobs in ``kept`` if given.

    At the end, hold every answer that it gave to Google's document.
    """
    clock = clock or SystemClock()
    warehouse, client = local_bigquery()
    store = ObjectStore(directory, clock=clock)
    vertex = Vertex(
        clock=clock,
        learning=warehouse.learning,
        tables=warehouse.tables,
        store=store,
        backend=backend or EchoBackend(),
        pace=pace or Pace(pending_seconds=0.02),
        directory=kept,
    )
    server, recorder = local_server()
    recorder.app, recorder.exchanges = vertex.app, []
    vertex.start()
    world = World(vertex, client, warehouse.tables, store, recorder, server.url)
    try:
        yield world
        world.check_answers()
    finally:
        vertex.stop()
        warehouse.learning.models.connect(VersionNumbers())
        store.close()
        for dataset in client.list_datasets():
            client.delete_dataset(dataset.reference, delete_contents=True)


def job_body(source: str, destination: str, **more: Any) -> dict[str, Any]:
    """Return the body of a create call; ``bq://`` and ``gs://`` decide the formats."""
    table_in, table_out = source.startswith("bq://"), destination.startswith("bq://")
    return {
        "displayName": "posters",
        "model": "publishers/google/models/gemini-2.5-flash",
        "inputConfig": {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": source}}
        if table_in
        else {"instancesFormat": "jsonl", "gcsSource": {"uris": [source]}},
        "outputConfig": {"predictionsFormat": "bigquery", "bigqueryDestination": {"outputUri": destination}}
        if table_out
        else {"predictionsFormat": "jsonl", "gcsDestination": {"outputUriPrefix": destination}},
        **more,
    }
