"""Requests, settings and moments that tests of the functions' side begin with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.batch_work import BatchFacts, BatchMessage
from shared.engine.services import Services
from shared.settings import Settings
from shared.work import Item, Kind, Step, System
from shared.work_facts import DropFacts, DropRequest, ImportFacts, ImportRequest, PredictionFacts, PredictionMessage

NOW = datetime(2026, 11, 20, 9, 41, 17, 318000, UTC)
PROJECT = "local-project"

SETTINGS = Settings(
    google_cloud_project=PROJECT,
    model_bucket="local-project-modeldrop-models",
    state_bucket="local-project-modeldrop-state",
    output_bucket="local-project-modeldrop-output",
    events_topic="projects/local-project/topics/modeldrop-events",
    object_write_seconds=0.0,
)

# As section 2.2 of the design has it.
PREDICT_MESSAGE: dict[str, Any] = {
    "model": "bqml_tutorial.imported_tf_model",
    "input": {"query": "SELECT title AS input FROM `bigquery-public-data.hacker_news.full`"},
    "output": {"table": "bqml_tutorial.predictions", "write": "truncate"},
    "request_id": "nightly-{date}",
    "max_bytes_billed": 100000000000,
    "priority": "batch",
    "labels": {"team": "news"},
    "parameters": {"min_score": 10},
}

# As section 2.3 has it.
BATCH_REQUEST: dict[str, Any] = {
    "model": "gemini-3.8-flash",
    "input": "bq://my-project.my_dataset.requests",
    "output": "bq://my-project.my_dataset.responses",
    "request_id": "posters-42",
    "display_name": "posters",
    "labels": {"team": "films"},
}

MANAGE_MESSAGE: dict[str, Any] = {"action": "import", "path": "gs://local-project-modeldrop-models/films/genres/2/"}


def prediction_item(key: str = "a" * 32, **changes: Any) -> Item:
    """Return the item of `PREDICT_MESSAGE`."""
    model, table = "local-project.bqml_tutorial.imported_tf_model", "local-project.bqml_tutorial.predictions"
    item = Item(
        kind=Kind.PREDICT,
        key=key,
        payload="b" * 32,
        request=PredictionMessage(PREDICT_MESSAGE, NOW, model, table),
        facts=PredictionFacts(),
        created=NOW,
        steps=(Step("predict", System.BIGQUERY),),
    )
    return replace(item, **changes)


def batch_item(key: str = "a" * 32, **changes: Any) -> Item:
    """Return the item of `BATCH_REQUEST`."""
    item = Item(
        kind=Kind.BATCH,
        key=key,
        payload="b" * 32,
        request=BatchMessage(BATCH_REQUEST, NOW, "publishers/google/models/gemini-3.8-flash"),
        facts=BatchFacts(),
        created=NOW,
        steps=(Step("submit", System.VERTEX),),
    )
    return replace(item, **changes)


def import_item(key: str = "a" * 32, **changes: Any) -> Item:
    """Return the item of an import of `films/genres/2`."""
    path = "gs://local-project-modeldrop-models/films/genres/2/"
    item = Item(
        kind=Kind.IMPORT,
        key=key,
        payload="f" * 32,
        request=ImportRequest(
            model="local-project.films.genres",
            path=path,
            dataset="films",
            folder="genres",
            version="2",
            fingerprint="f" * 32,
            model_type="ONNX",
            uri=f"{path}genres.onnx",
        ),
        facts=ImportFacts(),
        created=NOW,
        steps=(Step("create", System.BIGQUERY),),
    )
    return replace(item, **changes)


def watch_item(key: str = "a" * 32, **changes: Any) -> Item:
    """Return the item of a watch of `films/genres/2`."""
    path = "gs://local-project-modeldrop-models/films/genres/2/"
    request = DropRequest("local-project.films.genres", path, "films", "genres", "2")
    return replace(Item(Kind.DROP, key, "b" * 32, request, DropFacts(NOW), NOW), **changes)


def services_at(now: datetime = NOW, **settings: Any) -> Services:
    """Return services whose clock is stopped; they make no call until a client is used."""
    return Services(replace(SETTINGS, **settings), clock=lambda: now)


def without(message: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return ``message`` without some of its fields."""
    return {name: value for name, value in message.items() if name not in names}
