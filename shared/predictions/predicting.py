"""Predictions: a message becomes one job that writes ML.PREDICT's rows into a table."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.checks.access import check_readable
from shared.checks.identifiers import ModelName
from shared.cloud.batch_jobs import Batch
from shared.cloud.bigquery import OldJob, Query
from shared.drops import watches
from shared.drops.drop import DropPath
from shared.drops.turns import ModelRecords
from shared.engine.services import Services
from shared.engine.steps import WaitFor
from shared.errors import Rejected
from shared.events.incoming import Message
from shared.keys import hash_of, hash_of_json
from shared.predictions import statements
from shared.predictions.request import PredictRequest
from shared.settings import Settings
from shared.work import (
    Item,
    Kind,
    Step,
    StepState,
    System,
)


def plan(request: PredictRequest, payload: Mapping[str, Any], message: Message, now: datetime) -> Item:
    """Return the work that a message asks for: a first step may count or make the table, the last one writes the rows."""
    names = ["count"] if request.maximum_rows is not None else []
    names += ["table", "merge"] if request.write == "merge" else ["predict"]
    origin = ("request", request.request_id) if request.request_id is not None else ("message", message.id)
    return Item(
        kind=Kind.PREDICT,
        key=hash_of("predict", *origin),
        payload=hash_of_json(payload),
        # The publish time fills in {date} and {hour} again when the message is read from the ledger.
        request={"message": dict(payload), "published": message.published.isoformat()},
        created=now,
        request_id=request.request_id,
        sources=(message.id,),
        steps=tuple(Step(name, System.BIGQUERY) for name in names),
    )


class Predictions:
    """What the work on a prediction does of its own."""

    refused = "rejected"

    def prepare(self, item: Item, services: Services) -> Item:
        request = _request(item, services.settings)
        location = services.bigquery.location_of(request.output.dataset_name, "output.table")
        try:
            return self._analysed(item, request, location, services)
        except (Rejected, WaitFor):
            # What was right when the job was submitted may be gone by now.
            if (submitted := _submitted_before(item, location, services)) is None:
                raise
            return replace(submitted, location=location).with_facts(
                model=str(request.model), output_table=str(request.output)
            )

    def _analysed(self, item: Item, request: PredictRequest, location: str, services: Services) -> Item:
        version = self._version_of(request.model, item, services)
        query = _prediction(request)
        analysis = services.bigquery.analyse(replace(query, destination=None), location, "input")
        if analysis.statement not in {"", "SELECT"}:
            raise Rejected(
                f"the query must be one SELECT, not {analysis.statement}", field="input.query", code="invalid_query"
            )
        for table in analysis.tables:
            check_readable(table.project, table.dataset, services.settings, "input")
        columns = [_column(column) for column in analysis.columns]
        _check_columns(columns, request)
        return replace(item, location=location).with_facts(
            model=str(request.model),
            model_version=version.get("version"),
            model_fingerprint=version.get("fingerprint"),
            output_table=str(request.output),
            output_columns=columns,
        )

    def query(self, item: Item, step: Step, services: Services) -> Query:
        request = _request(item, services.settings)
        columns: list[dict[str, Any]] = list(item.facts["output_columns"])
        query = _prediction(request)
        match step.name:
            case "count":
                return replace(query, sql=statements.count_rows(request), destination=None)
            case "table":
                return replace(
                    query, sql=statements.create_output(request.output, columns), destination=None, parameters=()
                )
            case "merge":
                names = [column["name"] for column in columns]
                return replace(query, sql=statements.merge(request, names), destination=None)
            case _:
                return query

    def batch(self, item: Item, step: Step, services: Services) -> Batch:
        raise NotImplementedError("a prediction has no step on Vertex AI")

    def deadline_seconds(self, item: Item, services: Services) -> float:
        return services.settings.query_deadline_seconds

    def conclude(self, item: Item, services: Services) -> Item:
        result = item.steps[-1].result
        item = item.with_facts(**self._version_at_start(item, int(result.get("started_ms") or 0), services))
        failed = int(result.get("failed_rows") or 0)
        item = item.with_facts(
            rows_written=result.get("rows_written"),
            bytes_processed=result.get("bytes_processed"),
            slot_ms=result.get("slot_ms"),
            failed_rows=failed,
        )
        return replace(item, outcome="partially_succeeded" if failed else "succeeded")

    def close(self, item: Item, services: Services) -> Item:
        return item

    def _version_of(self, model: ModelName, item: Item, services: Services) -> Mapping[str, str]:
        """Return `version` and `fingerprint` of the drop that the model came from; nothing if it came from none.

        Raises ``WaitFor`` if the model is not there and a drop for it is being imported, ``Rejected`` if there is none.
        """
        created = services.bigquery.model_created(str(model)) or self._created_meanwhile(model, item, services)
        return _version_since(model, created, services)

    def _version_at_start(self, item: Item, started_ms: int, services: Services) -> Mapping[str, str | None]:
        """Return the facts to change if the model was replaced after it was looked at and before the job began.

        ``started_ms`` is when it did, in milliseconds since 1970; 0 if BigQuery did not tell.
        """
        if not started_ms:
            return {}
        model = _request(item, services.settings).model
        record = ModelRecords(services.ledger).read(model)
        looked_at = item.facts.get("model_fingerprint")
        if record.in_flight is None and (record.current or {}).get("fingerprint") == looked_at:
            return {}
        with suppress(Rejected):
            created = services.bigquery.model_created(str(model))
            if created is not None and created.timestamp() * 1000 <= started_ms:
                version = _version_since(model, created, services)
                return {"model_version": version.get("version"), "model_fingerprint": version.get("fingerprint")}
        return {}

    def _created_meanwhile(self, model: ModelName, item: Item, services: Services) -> datetime:
        waited = (services.now() - item.created).total_seconds()
        if waited < services.settings.model_wait_seconds and _is_coming(model, services):
            raise WaitFor("model", services.settings.wait_seconds)
        # Its import may have come to an end while it was looked for.
        if created := services.bigquery.model_created(str(model)):
            return created
        raise Rejected(
            f"there is no model {model}, and no drop of it is being imported", field="model", code="model_not_found"
        )


def _version_since(model: ModelName, created: datetime, services: Services) -> Mapping[str, str]:
    """Return `version` and `fingerprint` of the drop that a model created then came from; nothing if from none."""
    record = ModelRecords(services.ledger).read(model)
    coming = services.ledger.read(Kind.IMPORT, record.in_flight["key"]) if record.in_flight else None
    if coming is not None and coming.created <= created:
        # It has replaced the model already, and the poller has not noticed yet.
        return coming.request
    return record.current or {}


def _submitted_before(item: Item, location: str, services: Services) -> Item | None:
    """Return ``item`` with the job that writes its rows, if a call submitted it and was killed before it could write so."""
    step = item.steps[0]
    if step.name != "predict":
        return None
    with suppress(Rejected, OldJob):
        job = services.bigquery.find(item.job_id(step), location, payload=item.payload, since=item.created)
        if job is not None:
            return item.with_step(replace(step, state=StepState.SUBMITTED, job=job, sent=services.now()))
    return None


def _is_coming(model: ModelName, services: Services) -> bool:
    """Return whether a drop of ``model`` is watched, is being imported, or lies there and its event is still to come."""
    for kind in (Kind.DROP, Kind.IMPORT):
        if any(pending.subject == str(model) for pending in services.ledger.pending(kind)):
            return True
    return _lies_in_its_folder(model, services) or _is_a_target(model, services)


def _lies_in_its_folder(model: ModelName, services: Services) -> bool:
    if model.project != services.settings.google_cloud_project:
        return False
    versions = services.drop_files.versions(f"{model.dataset}/{model.model}/")
    return any(_is_unnoticed(path, newest, services) for path, newest in versions.items())


def _is_a_target(model: ModelName, services: Services) -> bool:
    """Return whether a drop in another folder names ``model``; one that nobody noticed for long is for reconciliation."""
    settings = services.settings
    oldest = services.now() - timedelta(seconds=settings.reconcile_seconds)
    return any(
        written > oldest
        and _is_unnoticed(path, written, services)
        and services.drop_files.read_or_list(path)[0].target(settings.google_cloud_project) == model
        for path, written in services.drop_files.described().items()
    )


def _is_unnoticed(path: DropPath, newest: datetime, services: Services) -> bool:
    watch = services.ledger.read(Kind.DROP, path.key)
    return watch is None or not watches.is_enough(watch, newest)


def _request(item: Item, settings: Settings) -> PredictRequest:
    published = datetime.fromisoformat(item.request["published"])
    return PredictRequest.parse(item.request["message"], settings, published)


def _prediction(request: PredictRequest) -> Query:
    return Query(
        sql=statements.predict(request),
        labels=dict(request.labels),
        destination=request.output if request.write != "merge" else None,
        write=request.write,
        parameters=request.parameters,
        priority=request.priority,
        maximum_bytes_billed=request.maximum_bytes_billed,
    )


def _column(field: Mapping[str, Any]) -> dict[str, Any]:
    column = {"name": field["name"], "type": field["type"], "mode": field.get("mode", "NULLABLE")}
    if field.get("fields"):
        column["fields"] = [_column(each) for each in field["fields"]]
    return column


def _check_columns(columns: list[dict[str, Any]], request: PredictRequest) -> None:
    names = [column["name"].lower() for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise Rejected(
                f"two columns of the predictions are called {name}: rename the one of the query",
                field="input",
                code="duplicate_column",
            )
    for index, key in enumerate(request.key):
        if columns and key.lower() not in names:
            raise Rejected(
                f"the key column {key} is none of the predictions' columns, {', '.join(names)}",
                field=f"output.key[{index}]",
                code="unknown_column",
            )
