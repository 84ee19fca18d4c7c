"""A running local Cloud Storage for tests: its clients, its events, and a check of its answers against Google's API."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage as google_storage

from localcloud.apis.discovery import Discovery, read_document
from localcloud.base.asgi import ASGIApp, Message, Receive, Scope, Send
from localcloud.base.clock import Clock, SystemClock
from localcloud.base.http import HttpServer
from localcloud.cloud import STORAGE_UPLOADS
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.resources import StorageEvent
from localcloud.storage.service import Storage
from tests.waiting import LAST_LIMIT

PROJECT = "local-project"
BUCKET = "drops"
# Verb and path of a request, status and body of its answer.
Answer = tuple[str, str, int, bytes]


@dataclass
class StorageWorld:
    """A local Cloud Storage at ``url`` with one bucket; ``events`` are all its events in their order."""

    storage: Storage
    directory: Path
    url: str
    events: list[StorageEvent] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)

    @property
    def store(self) -> ObjectStore:
        return self.storage.store

    def client(self) -> google_storage.Client:
        """Return the official client, connected to ``url``."""
        return google_storage.Client(
            project=PROJECT,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": self.url},
        )

    def bucket(self) -> google_storage.Bucket:
        """Return the bucket of the official client."""
        return self.client().bucket(BUCKET)

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        """Send a request by hand."""
        return requests.request(method, f"{self.url}{path}", timeout=LAST_LIMIT, allow_redirects=False, **options)

    def event_names(self) -> list[tuple[str, str]]:
        """Return the last word of each event's type, and the name of its object."""
        return [(event.type.rpartition(".")[2], event.stored.name) for event in self.events]

    def files(self) -> list[Path]:
        """Return the files of contents."""
        return [path for path in (self.directory / "contents").rglob("*") if path.is_file()]

    def check_answers(self) -> None:
        """Assert that every JSON answer so far has only the fields and types of Google's API description."""
        discovery = Discovery()
        schemas = read_document("storage.v1").schemas
        for verb, path, status, body in self.answers:
            if status >= 300 or not body.startswith(b"{"):
                continue
            called = discovery.find("storage", verb, path)
            assert called is not None, f"{verb} {path} is not documented"
            if called.kind in ("call", "upload", "upload part"):
                assert called.method.response or verb == "PUT", f"{verb} {path} has no documented answer"
                _conform(json.loads(body), {"$ref": called.method.response}, schemas, f"{verb} {path}")


class Stage:
    """A server that serves one local Cloud Storage after the other, since starting a server takes longer."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None
        self.server = HttpServer(self, streamed=STORAGE_UPLOADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert self.app is not None, "received a request without a service"
        await self.app(scope, receive, send)


@contextmanager
def running_stage() -> Iterator[Stage]:
    """Start a server."""
    stage = Stage()
    stage.server.start()
    try:
        yield stage
    finally:
        stage.server.stop()


@contextmanager
def storage_world(
    stage: Stage, directory: Path, *, clock: Clock | None = None, **options: Any
) -> Iterator[StorageWorld]:
    """Serve a local Cloud Storage in ``directory`` on ``stage``; check its answers at the end."""
    storage = Storage(directory, clock=clock or SystemClock(), project=PROJECT, **options)
    # Without soft deletion, so that tests see whether the files of contents are removed.
    storage.store.ensure_bucket(BUCKET, settings={"softDeletePolicy": {"retentionDurationSeconds": 0}})
    world = StorageWorld(storage, directory, stage.server.url)
    storage.store.watch(world.events.append)
    stage.app = _recorded(storage.app, world.answers)
    try:
        yield world
        world.check_answers()
    finally:
        storage.close()


def _recorded(app: ASGIApp, answers: list[Answer]) -> ASGIApp:
    """Return ``app``, whose answers are recorded, except the contents of objects."""

    async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
        status, body = 0, b""

        async def hear(message: Message) -> None:
            nonlocal status, body
            status, body = message.get("status", status), body + message.get("body", b"")
            await send(message)

        if b"alt=media" in scope["query_string"]:
            await app(scope, receive, send)
        else:
            await app(scope, receive, hear)
            answers.append((scope["method"], scope["raw_path"].decode(), status, body))

    return recorded


def conform_to_object(resource: dict[str, Any]) -> None:
    """Assert that ``resource`` has only the fields and types of an object in Google's API description."""
    _conform(resource, {"$ref": "Object"}, read_document("storage.v1").schemas, "object")


def _conform(value: Any, schema: dict[str, Any], schemas: Any, where: str) -> None:
    if "$ref" in schema:
        schema = schemas[schema["$ref"]]
    match schema["type"]:
        case "object":
            assert isinstance(value, dict), f"{where}: {value!r} is not an object"
            for key, inner in value.items():
                part = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
                assert part is not None, f"{where}.{key} is not documented"
                _conform(inner, part, schemas, f"{where}.{key}")
        case "array":
            assert isinstance(value, list), f"{where}: {value!r} is not an array"
            for inner in value:
                _conform(inner, schema["items"], schemas, f"{where}[]")
        case "string":
            assert isinstance(value, str), f"{where}: {value!r} is not a string"
            match schema.get("format"):
                case "int64" | "uint64":
                    assert value.isdigit(), f"{where}: {value!r} is not a number"
                case "date-time":
                    assert datetime.fromisoformat(value).tzinfo is not None, f"{where}: {value!r} is not a time"
        case "integer":
            assert isinstance(value, int) and not isinstance(value, bool), f"{where}: {value!r} is not an integer"
        case "boolean":
            assert isinstance(value, bool), f"{where}: {value!r} is not a boolean"
        case other:
            raise AssertionError(f"{where}: {other}")


def listed(text: str) -> dict[str, list[str]]:
    """Return the texts of a document's elements by their names."""
    found: dict[str, list[str]] = {}
    for element in ElementTree.fromstring(text).iter():
        found.setdefault(element.tag.rpartition("}")[2], []).append(element.text or "")
    return found
