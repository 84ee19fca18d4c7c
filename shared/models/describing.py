"""The description of a model: what BigQuery, Vertex AI, the model bucket and the ledger say of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from shared.checks.identifiers import ModelName
from shared.drops.drop import DropPath
from shared.drops.imports.planning import drops_of, import_key
from shared.drops.imports.signatures import completed
from shared.drops.imports.turns import ModelRecord, ModelRecords, version_order
from shared.endpoints.entries import entry_of, version_of
from shared.endpoints.stand_ins import deployments_with_stand_ins
from shared.engine.services import Services
from shared.events.data import column_data
from shared.work import Item, Kind
from shared.work_facts import ImportRequest, ModelSignature, PredictionFacts, PredictionMessage

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
    record = ModelRecords(services).read(model)
    drops = drops_of(model, services)
    signature = completed(services.bigquery.model_signature(str(model)), _signature_read(record, drops, services))
    entry = entry_of(resource, location)
    registered = version_of(entry, services) if entry else None
    deployments = deployments_with_stand_ins(model, entry, location, services) if entry else ()
    versions = sorted({path.version for path in drops}, key=version_order, reverse=True)
    return {
        "model_type": signature.model_type,
        "location": location,
        "created": _moment(resource.get("creationTime")),
        "expires": _moment(resource.get("expirationTime")),
        "text": resource.get("description"),
        "model_labels": dict(resource.get("labels") or {}),
        "input_columns": [column_data(each) for each in signature.input_columns],
        "output_columns": [column_data(each) for each in signature.output_columns],
        "current": asdict(record.current) if record.current else None,
        "pinned": record.pinned,
        "versions": versions[:MOST_VERSIONS],
        "remote_endpoint": (resource.get("remoteModelInfo") or {}).get("endpoint"),
        "registry": entry.described(registered) if entry else None,
        "deployments": [asdict(each) for each in deployments],
        "last_prediction": _last_prediction(model, services),
    }


def _signature_read(record: ModelRecord, drops: Iterable[DropPath], services: Services) -> ModelSignature | None:
    """Return the columns that were read from the files of the current version; None if its import is not in the ledger."""
    for path in drops:
        if record.current is not None and path.version == record.current.version:
            item = services.ledger.find(Kind.IMPORT, import_key(path, record.current.fingerprint))
            if item is not None and isinstance(item.request, ImportRequest):
                return item.request.signature
    return None


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
        "model_version": item.facts.model_version.version if item.facts.model_version else None,
        "output_table": item.request.output_table,
        "created": item.created.isoformat(),
        "finished": item.finished.isoformat() if item.finished else None,
        "outcome": item.outcome.value if item.outcome else None,
        "error": item.problem.as_json() if item.problem else None,
        "rows_written": result.rows_written if result else None,
    }


def _moment(milliseconds: object) -> str | None:
    """Return a time of BigQuery's API, in milliseconds since 1970, in ISO format."""
    return datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC).isoformat() if milliseconds else None
