"""The description of a model: what BigQuery, Vertex AI, the model bucket and the ledger say of it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from shared.checks.identifiers import ModelName
from shared.drops.planning import drops_of
from shared.drops.turns import ModelRecords
from shared.drops.versions import version_order
from shared.endpoints.deployments import deployments_of
from shared.endpoints.entries import entry_of, version_of
from shared.engine.services import Services
from shared.work import Item, Kind, PredictionFacts, PredictionMessage

# How many versions in the bucket a description has at most, the highest first.
MOST_VERSIONS = 100
# How many predictions are read to find the last one, with one call each.
MOST_PREDICTIONS_READ = 100


def describe(model: ModelName, location: str, services: Services) -> dict[str, Any]:
    """Return the description of a model, as `modeldrop.model.described.v1` publishes it.

    Args:
        model: The model, which exists.
        location: The location of its dataset.
        services: The services of this process.
    """
    resource = services.bigquery.model_resource(str(model))
    signature = services.bigquery.model_signature(str(model))
    record = ModelRecords(services).read(model)
    entry = entry_of(resource, location)
    registered = version_of(entry, services) if entry else None
    deployments = deployments_of(registered.deployed, services) if registered else ()
    versions = sorted({path.version for path in drops_of(model, services)}, key=version_order, reverse=True)
    return {
        "model_type": signature.model_type,
        "location": location,
        "created": _moment(resource.get("creationTime")),
        "expires": _moment(resource.get("expirationTime")),
        "text": resource.get("description"),
        "model_labels": dict(resource.get("labels") or {}),
        "input_columns": [_column(each.name, each.type) for each in signature.input_columns],
        "output_columns": [_column(each.name, each.type) for each in signature.output_columns],
        "current": asdict(record.current) if record.current else None,
        "pinned": record.pinned,
        "versions": versions[:MOST_VERSIONS],
        "remote_endpoint": (resource.get("remoteModelInfo") or {}).get("endpoint"),
        "registry": entry.described(registered) if entry else None,
        "deployments": [asdict(each) for each in deployments],
        "last_prediction": _last_prediction(model, services),
    }


def _last_prediction(model: ModelName, services: Services) -> dict[str, Any] | None:
    """Return the last of the ledger's newest predictions that is with this model; None if none is."""
    newest = sorted(services.ledger.items(Kind.PREDICT), key=lambda each: each.listed.written, reverse=True)
    for stored in newest[:MOST_PREDICTIONS_READ]:
        item = services.ledger.find(*stored.work) if stored.work else None
        if item is not None and item.request.model == str(model):
            return _prediction(item)
    return None


def _prediction(item: Item) -> dict[str, Any]:
    assert isinstance(item.request, PredictionMessage) and isinstance(item.facts, PredictionFacts)
    result = item.facts.result
    return {
        "key": item.key,
        "request_id": item.request_id,
        "output_table": item.request.output_table,
        "created": item.created.isoformat(),
        "outcome": item.outcome.value if item.outcome else None,
        "rows_written": result.rows_written if result else None,
    }


def _column(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "type": kind}


def _moment(milliseconds: object) -> str | None:
    """Return a time of BigQuery's API, in milliseconds since 1970, in ISO format."""
    return datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC).isoformat() if milliseconds else None
