"""Predictions: a message becomes one job that writes ML.PREDICT's rows into a table."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from shared import trace
from shared.checks.identifiers import ModelName
from shared.checks.merge_keys import check_key
from shared.cloud.query_access import analyse_checked
from shared.cloud.query_jobs import OldJob, Query
from shared.drops.imports.turns import ModelRecord, ModelRecords
from shared.engine.handler import Handler, WaitFor
from shared.engine.services import Services
from shared.engine.statements import create_table
from shared.errors import Rejected
from shared.events.incoming import Message
from shared.keys import hash_of, hash_of_json
from shared.messages.predict_request import PredictRequest
from shared.predictions import statements
from shared.predictions.recent import Recent
from shared.settings import Settings
from shared.work import Item, Kind, Outcome, Step, StepState, System
from shared.work_facts import ImportRequest, ModelVersion, PredictionFacts, PredictionMessage, QueryResult

# How far BigQuery's clock and a function's may be apart, for a job that has just begun.
_CLOCKS_APART = timedelta(seconds=5)


def plan(request: PredictRequest, payload: Mapping[str, Any], message: Message, now: datetime) -> Item:
    """Return the work that a message asks for.

    The last step writes the rows. Steps before it count the input's rows, or create the table of a merge.
    """
    names = ["count"] if request.maximum_rows is not None else []
    names += ["table", "merge"] if request.write == "merge" else ["predict"]
    origin = ("request", request.request_id) if request.request_id is not None else ("message", message.id)
    return Item(
        kind=Kind.PREDICT,
        key=hash_of("predict", *origin),
        payload=hash_of_json(payload),
        request=PredictionMessage(dict(payload), message.published, str(request.model), str(request.output)),
        facts=PredictionFacts(),
        created=now,
        request_id=request.request_id,
        message_id=message.publishers_id,
        sources=(message.id,),
        steps=tuple(Step(name, System.BIGQUERY) for name in names),
        traceparent=trace.current_traceparent(),
    )


class Predictions(Handler):
    """The handler of predictions."""

    refused = Outcome.REJECTED
    # Its jobs have ids that do not change, so that a second submission adopts the first one's job.
    is_repeatable = True

    def prepare(self, item: Item, services: Services) -> Item:
        """Find the model and analyse the query."""
        request = _request(item, services.settings)
        location = services.bigquery.location_of(request.output.dataset_name, "output.table")
        try:
            facts = _analyse(item, request, location, services)
        except (Rejected, WaitFor):
            # The job may be submitted already, and what it needed may have been deleted since.
            if (submitted := _submitted_before(item, location, services)) is None:
                raise
            return replace(submitted, location=location)
        return replace(item, location=location, facts=facts)

    def job(self, item: Item, step: Step, services: Services) -> Query:
        """Return the query of the step `count`, `table`, `merge` or `predict`."""
        request = _request(item, services.settings)
        columns = _facts(item).output_columns or ()
        query = _prediction(request)
        match step.name:
            case "count":
                return replace(query, sql=statements.count_rows(request), destination=None)
            case "table":
                sql = create_table(request.output, columns)
                return replace(query, sql=sql, destination=None, parameters=())
            case "merge":
                names = [column["name"] for column in columns]
                return replace(query, sql=statements.merge(request, names), destination=None)
            case _:
                return query

    def deadline_seconds(self, item: Item, services: Services) -> float:
        """Return how long a query may take."""
        return services.settings.query_deadline_seconds

    def conclude(self, item: Item, services: Services) -> Item:
        """Succeed, partially if a language model gave no answer for some rows."""
        result = item.steps[-1].result or QueryResult()
        facts = replace(_facts(item), result=result, model_version=_version_at_start(item, result, services))
        outcome = Outcome.PARTIALLY_SUCCEEDED if result.failed_rows else Outcome.SUCCEEDED
        return replace(item, facts=facts, outcome=outcome)


def _analyse(item: Item, request: PredictRequest, location: str, services: Services) -> PredictionFacts:
    """Return what a dry run of the prediction shows.

    Raises:
        Rejected: BigQuery would not run it, or it reads what it may not read.
        WaitFor: The model does not exist yet, and a drop for it is being imported.
    """
    model = request.model
    created = services.bigquery.model_created(str(model))
    if created is None:
        # Imports all modules of drops, which the start of a function would wait for.
        from shared.predictions.missing_models import created_meanwhile

        created = created_meanwhile(model, item, services)
    _check_row_limit(request, services)
    version = _version_of(model, created, services)
    # All columns, so that the chosen ones can be checked and named.
    prediction = replace(_prediction(replace(request, columns=None)), destination=None)
    analysis = analyse_checked(
        statements.input_query(request),
        lambda: services.bigquery.analyse(prediction, location, "input"),
        services.bigquery,
        services.settings,
        "input",
        inside=prediction.sql,
    )
    if analysis.statement not in {"", "SELECT"}:
        raise Rejected(
            f"the query must be one SELECT, not {analysis.statement}", field="input.query", code="invalid_query"
        )
    columns = _written_columns(tuple(map(_column, analysis.columns)), request)
    return PredictionFacts(model_version=version, output_columns=columns)


def _check_row_limit(request: PredictRequest, services: Services) -> None:
    """Raise ``Rejected`` if a remote model predicts and nothing limits its rows.

    The other functions have a default limit (``PredictRequest.maximum_rows``), because only they always call a model of
    another service.
    """
    if request.maximum_rows is None and services.bigquery.remote_endpoint(request.model):
        raise Rejected(
            f"{request.model} is a remote model, which another service answers for each row: give max_rows",
            field="max_rows",
            code="missing_field",
        )


def _version_at_start(item: Item, result: QueryResult, services: Services) -> ModelVersion | None:
    """Return the version that the model had when the job began: it may have been replaced since it was analysed."""
    known = _facts(item).model_version
    if not result.started_ms:
        return known
    model = _model_of(item, services)
    # A record that was read after the job began shows each import that came before it.
    begun = datetime.fromtimestamp(result.started_ms / 1000, UTC) + _CLOCKS_APART
    record = _recent_records(services).get(
        model, lambda: ModelRecords(services).read(model), lambda read, _: read >= begun
    )
    if record.in_flight is None and _fingerprint(record.current) == _fingerprint(known):
        return known
    with suppress(Rejected):
        created = services.bigquery.model_created(str(model))
        if created is not None and created.timestamp() * 1000 <= result.started_ms:
            return _version_of(model, created, services)
    return known


def _version_of(model: ModelName, created: datetime, services: Services) -> ModelVersion | None:
    """Return the version of the model that was created at that time; None if it came from no drop."""
    record = ModelRecords(services).read(model)
    coming = services.ledger.find(Kind.IMPORT, record.in_flight.key) if record.in_flight else None
    if coming is not None and coming.created <= created and isinstance(coming.request, ImportRequest):
        # The import has replaced the model already, and the poller has not noticed yet.
        return ModelVersion(coming.request.version, coming.request.fingerprint)
    return record.current


@cache
def _recent_records(services: Services) -> Recent[ModelName, ModelRecord]:
    """Return the records of models that this process has read: many predictions of one model end at the same time."""
    return Recent(services.now)


def _model_of(item: Item, services: Services) -> ModelName:
    return ModelName.parse(item.request.model, project=services.settings.google_cloud_project)


def _fingerprint(version: ModelVersion | None) -> str | None:
    return version.fingerprint if version else None


def _submitted_before(item: Item, location: str, services: Services) -> Item | None:
    """Return ``item`` with the job that writes its rows, if a call was killed between submitting and storing it."""
    step = item.steps[0]
    if step.name != "predict":
        return None
    with suppress(Rejected, OldJob):
        job = services.bigquery.find(item.job_id(step), location, payload=item.payload, since=item.created)
        if job is not None:
            return item.with_step(replace(step, state=StepState.SUBMITTED, job=job, sent=services.now()))
    return None


def _request(item: Item, settings: Settings) -> PredictRequest:
    assert isinstance(item.request, PredictionMessage)
    return PredictRequest.parse(item.request.message, settings, item.request.published)


def _facts(item: Item) -> PredictionFacts:
    assert isinstance(item.facts, PredictionFacts)
    return item.facts


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


def _column(field: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parts of a TableFieldSchema that events show."""
    column = {"name": field["name"], "type": field["type"], "mode": field.get("mode", "NULLABLE")}
    if field.get("fields"):
        column["fields"] = [_column(each) for each in field["fields"]]
    return column


def _written_columns(columns: tuple[Mapping[str, Any], ...], request: PredictRequest) -> tuple[Mapping[str, Any], ...]:
    """Return the columns of the predictions that are written.

    Raises:
        Rejected: Two columns have the same name, a chosen column is not among them, or rows cannot be found by the key.
    """
    names = [column["name"].lower() for column in columns]
    for name in names:
        if names.count(name) > 1:
            raise Rejected(
                f"two columns of the predictions are called {name}: rename the one of the query",
                field="input",
                code="duplicate_column",
            )
    # A dry run that shows no columns leaves the check to the job.
    written = request.columns.of(columns) if columns and request.columns else columns
    left = {column["name"].lower() for column in written}
    for index, key in enumerate(request.key):
        if key.lower() in names and key.lower() not in left:
            raise Rejected(
                f"the key column {key} is left out by columns", field=f"output.key[{index}]", code="unknown_column"
            )
    check_key(request.key, written, "the predictions")
    return written
