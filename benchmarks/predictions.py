"""The predictions of the scale benchmark, as the ledger has them while their jobs run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.processes import PROJECT, STATE_BUCKET, StoredAtStart
from localcloud.base.clock import rfc3339
from shared.engine.ledger.index import index_metadata, index_name
from shared.engine.ledger.ledger import OPEN, STATE, item_name
from shared.engine.ledger.stored_items import item_to_json
from shared.keys import hash_of
from shared.work import Item, Job, Kind, Step, StepState, System
from shared.work_facts import PredictionFacts, PredictionMessage


def open_prediction(number: int, *, age: timedelta = timedelta(minutes=5)) -> Item:
    """Return a prediction whose job was submitted when it was created, some time ago."""
    key = hash_of("scale", str(number))
    created = datetime.now(UTC) - age
    message = message_of(f"request-{number}")
    model, table = f"{PROJECT}.scale.model", f"{PROJECT}.scale.rows"
    job = Job(System.BIGQUERY, job_id(key), "US")
    return Item(
        kind=Kind.PREDICT,
        key=key,
        payload=key,
        request=PredictionMessage(message, created, model, table),
        facts=PredictionFacts(output_columns=({"name": "label", "type": "STRING", "mode": "NULLABLE"},)),
        created=created,
        request_id=message["request_id"],
        message_id=str(number),
        sources=(str(number),),
        location="US",
        steps=(Step("predict", System.BIGQUERY, StepState.SUBMITTED, job=job, sent=created),),
    )


def job_id(key: str) -> str:
    """Return the id of the job of a prediction."""
    return f"{key}-predict-1"


def objects_of(item: Item) -> list[StoredAtStart]:
    """Return the object and the index object of an item, which was written when its job was created."""
    content = json.dumps(item_to_json(item), sort_keys=True)
    deadline, created = item.created + timedelta(hours=12), rfc3339(item.created)
    return [
        (STATE_BUCKET, item_name(item.kind, item.key), content, {STATE: OPEN}, created),
        (STATE_BUCKET, index_name(item), "", index_metadata(item, deadline), created),
    ]


def message_of(request_id: str) -> dict[str, Any]:
    """Return a predict message."""
    return {
        "model": "scale.model",
        "input": {"query": "SELECT title AS input FROM scale.titles"},
        "output": {"table": "scale.rows", "write": "append"},
        "request_id": request_id,
    }
