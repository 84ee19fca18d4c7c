"""A running local BigQuery for tests, with its clients, and checks of its responses against Google's API description."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import grpc
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1 import BigQueryReadClient
from google.cloud.bigquery_storage_v1.services.big_query_read.transports import BigQueryReadGrpcTransport

from localcloud.apis.contract import Contract
from localcloud.apis.recorder import Exchange
from localcloud.base.asgi import ASGIApp, Message, Receive, Scope, Send
from localcloud.base.clock import Clock, SystemClock
from localcloud.bigquery.server import BigQuery
from localcloud.storage.service import Storage
from tests.waiting import LAST_LIMIT

PROJECT = "local-project"
BUCKET = "transfers"
# A query that runs for hours.
ENDLESS = """
    SELECT COUNT(*) AS n
    FROM UNNEST(GENERATE_ARRAY(1, 1000000)) AS a, UNNEST(GENERATE_ARRAY(1, 1000000)) AS b
    WHERE MOD(a * b, 7) = 3"""


@dataclass
class BigQueryWorld:
    """A local BigQuery and a Cloud Storage with one bucket."""

    bigquery: BigQuery
    storage: Storage
    exchanges: list[Exchange] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.bigquery.url

    def client(self) -> bigquery.Client:
        """Return Google's client with this world's address."""
        return bigquery.Client(
            project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": self.url}
        )

    def read_client(self) -> BigQueryReadClient:
        """Return Google's client of the Storage Read API with this world's address."""
        channel = grpc.insecure_channel(f"127.0.0.1:{self.bigquery.storage_api_port}")
        return BigQueryReadClient(transport=BigQueryReadGrpcTransport(channel=channel))

    def dataset(self, location: str = "US") -> str:
        """Create a dataset with a table ``titles`` of 100 rows (title, score), and return its id."""
        name = f"d_{uuid.uuid4().hex[:12]}"
        rows = ({"title": f"title {number}", "score": number} for number in range(100))
        self.bigquery.tables.write(
            f"{PROJECT}.{name}.titles",
            [{"name": "title", "type": "STRING"}, {"name": "score", "type": "INT64"}],
            rows,
            location=location,
        )
        return name

    def rows(self, sql: str, **options: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return [tuple(row) for row in self.client().query_and_wait(sql, **options)]

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send an HTTP request; ``path`` starts after ``/projects/PROJECT``."""
        return requests.request(
            method,
            f"{self.url}/bigquery/v2/projects/{PROJECT}{path}",
            timeout=LAST_LIMIT,
            allow_redirects=False,
            **options,
        )

    def insert(self, query: str, *, job_id: str | None = None, location: str | None = None, **options: Any) -> Any:
        """Insert a query job and return the HTTP response; ``options`` are fields of ``configuration.query``."""
        reference = {"projectId": PROJECT, "jobId": job_id or uuid.uuid4().hex}
        if location is not None:
            reference["location"] = location
        settings = {"query": {"query": query, "useLegacySql": False, **options}}
        return self.call("POST", "/jobs", json={"jobReference": reference, "configuration": settings})

    def check_responses(self) -> None:
        """Assert that each response so far has only fields and types of Google's API description."""
        contract = Contract()
        breaches = [
            f"{exchange.verb} {exchange.path}: {breach}"
            for exchange in self.exchanges
            for breach in contract.breaches_of_answer(exchange)
        ]
        assert not breaches, "\n".join(sorted(set(breaches)))


@contextmanager
def bigquery_world(directory: Path, *, kept: Path | None = None, clock: Clock | None = None) -> Iterator[BigQueryWorld]:
    """Run a local BigQuery with objects in ``directory`` and tables in ``kept``; check its responses at the end."""
    clock = clock or SystemClock()
    storage = Storage(directory, clock=clock, project=PROJECT)
    storage.store.ensure_bucket(BUCKET)
    exchanges: list[Exchange] = []
    service = BigQuery(
        clock=clock,
        project=PROJECT,
        store=storage.store,
        directory=kept,
        wrap=lambda app: _recorded(app, exchanges),
    )
    service.start()
    world = BigQueryWorld(service, storage, exchanges)
    try:
        yield world
        world.check_responses()
    finally:
        service.stop()
        storage.close()


def _recorded(app: ASGIApp, exchanges: list[Exchange]) -> ASGIApp:
    """Return ``app``, whose exchanges are appended to ``exchanges``."""

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 0, b""

        async def hear(message: Message) -> None:
            nonlocal status, body
            status, body = message.get("status", status), body + message.get("body", b"")
            await send(message)

        await app(scope, receive, hear)
        if "discovery" not in scope["path"]:
            exchanges.append(
                Exchange(
                    service="bigquery",
                    method=None,
                    kind="call",
                    caller=None,
                    verb=scope["method"],
                    path=scope["path"],
                    query=parse_qsl(scope["query_string"].decode()),
                    request=None,
                    status=status,
                    answer_type="application/json",
                    answer=json.loads(body) if body else None,
                )
            )

    return recorded
