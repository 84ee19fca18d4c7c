"""Gemini batches: a request becomes one batch prediction job. Its answers are counted before it counts as a success."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.batches import statements
from shared.batches.request import BatchRequest, ObjectUri, Prompts
from shared.checks.access import check_readable, check_writable
from shared.checks.identifiers import DatasetName, TableName
from shared.cloud.batch_jobs import Batch
from shared.cloud.bigquery import Analysis, Query
from shared.cloud.locations import GLOBAL, dataset_location, is_region
from shared.cloud.query_access import analyse_checked
from shared.engine.handler import Handler, WaitFor
from shared.engine.services import Services
from shared.errors import Problem, Rejected
from shared.events.incoming import Message
from shared.keys import hash_of, hash_of_json
from shared.settings import Settings
from shared.work import (
    BatchFacts,
    BatchMessage,
    Item,
    Kind,
    Outcome,
    Step,
    StepState,
    System,
    WaitReason,
)

DEFAULT_DATASET = "gen_ai_batch_prediction"
DEFAULT_FOLDER = "gen-ai-batch-prediction"
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-bigquery
RESERVED_COLUMNS = frozenset({"response", "status", "processed_time", "_vertex_row_id"})
FORBIDDEN_TYPES = frozenset({"STRUCT", "RECORD", "RANGE", "DATETIME", "GEOGRAPHY"})


def plan(request: BatchRequest, payload: Mapping[str, Any], message: Message, now: datetime) -> Item:
    """Return the work that a request asks for.

    Args:
        request: The request.
        payload: The same as it was sent.
        message: The message or HTTP request that it came in.
        now: The current time.
    """
    steps = [Step("submit", System.VERTEX)]
    if isinstance(request.input, Prompts):
        steps.insert(0, Step("requests", System.BIGQUERY))
    origin = ("request", request.request_id) if request.request_id is not None else ("message", message.id)
    return Item(
        kind=Kind.BATCH,
        key=hash_of("batch", *origin),
        payload=hash_of_json(payload),
        request=BatchMessage(dict(payload), message.published, request.model),
        facts=BatchFacts(),
        created=now,
        request_id=request.request_id,
        message_id=message.publishers_id,
        sources=(message.id,),
        steps=tuple(steps),
    )


def output_of(item: Item) -> str | None:
    """Return where the answers of a batch are, or will be; None until its output is checked."""
    return _facts(item).output


class Batches(Handler):
    """The handler of batches."""

    refused = Outcome.REJECTED

    def prepare(self, item: Item, services: Services) -> Item:
        """Check the input and the output."""
        settings = services.settings
        request = _request(item, settings)
        output = _output(request, item, settings)
        if isinstance(output, TableName):
            _check_output(request, output, services)
        prompt_columns: tuple[str, ...] | None = None
        match request.input:
            case TableName() as table:
                check_readable(table.project, table.dataset, settings, "input")
                _check_location(table.dataset_name, "input", request, services)
                _check_view(table, services)
                _check_columns(services.bigquery.columns_of(table, "input"), "input", needs="request")
                source = f"bq://{table}"
            case Prompts() as prompts:
                table = _request_table(output, item, settings)
                prompt_columns = _check_prompts(prompts, table, request, services)
                source = f"bq://{table}"
            case ObjectUri() as uri:
                source = str(uri)
        target = f"bq://{output}" if isinstance(output, TableName) else str(output)
        facts = BatchFacts(source, target, prompt_columns, request.location)
        return replace(item, location=_query_location(request, output, prompt_columns, services), facts=facts)

    def job(self, item: Item, step: Step, services: Services) -> Query | Batch:
        """Return the query of the step `requests`, or the batch of the step `submit`."""
        request = _request(item, services.settings)
        if step.system is System.BIGQUERY:
            return _request_query(item, request, services.settings)
        _wait_while_too_many_run(item, step, services)
        facts = _facts(item)
        return Batch(
            display_name=request.display_name,
            model=request.model,
            input=str(facts.input),
            output=str(facts.output),
            labels=dict(request.labels),
            location=request.location,
        )

    def deadline_seconds(self, item: Item, services: Services) -> float:
        """Return how long a batch may take."""
        return services.settings.batch_deadline_seconds

    def conclude(self, item: Item, services: Services) -> Item:
        """Succeed, partially or not, or fail, as the counts of answers say."""
        result = _facts(item).result
        assert result is not None
        failed, incomplete = result.failed or 0, result.incomplete or 0
        if failed and not result.succeeded:
            # A job may be reported as succeeded with every row failed: https://github.com/googleapis/python-genai/issues/2693
            problem = Problem("all_rows_failed", f"all {failed} rows failed; the column status of the output says why")
            return replace(item, outcome=Outcome.FAILED, problem=problem)
        if failed or incomplete or result.state == "JOB_STATE_PARTIALLY_SUCCEEDED":
            return replace(item, outcome=Outcome.PARTIALLY_SUCCEEDED)
        return replace(item, outcome=Outcome.SUCCEEDED)


def _request_query(item: Item, request: BatchRequest, settings: Settings) -> Query:
    """Return the query that builds the requests from prompts."""
    facts = _facts(item)
    assert isinstance(request.input, Prompts)
    assert facts.input is not None and facts.prompt_columns is not None
    return Query(
        sql=statements.batch_requests(request.input, facts.prompt_columns),
        labels=dict(request.labels),
        destination=TableName.parse(facts.input.removeprefix("bq://"), project=settings.google_cloud_project),
        write="truncate",
    )


def _wait_while_too_many_run(item: Item, step: Step, services: Services) -> None:
    """Raise ``WaitFor`` if ``MAX_CONCURRENT_BATCHES`` others run, or are about to be created and were announced first."""
    announced = [
        pending
        for pending in services.ledger.pending(Kind.BATCH)
        if pending.step == step.name
        and pending.state in {StepState.SUBMITTED, StepState.SENDING}
        # A batch whose item cannot be read must not take up a place for ever.
        and not pending.looks_reported
    ]
    # Of the batches that are only announced, the first goes first: it may not have seen the others.
    places = {pending.key: (pending.written, pending.key) for pending in announced}
    own_place = places.get(item.key, (services.now(), item.key))
    running = sum(
        pending.state == StepState.SUBMITTED
        or pending.waits_for == WaitReason.ANSWER
        or places[pending.key] < own_place
        for pending in announced
        if pending.key != item.key and pending.waits_for != WaitReason.QUOTA
    )
    if running >= services.settings.max_concurrent_batches:
        raise WaitFor(WaitReason.QUOTA, services.settings.wait_seconds)


def _check_output(request: BatchRequest, output: TableName, services: Services) -> None:
    check_writable(output.project, output.dataset, services.settings, "output")
    if request.output is None:
        services.bigquery.ensure_dataset(output.dataset_name, dataset_location(request.location))
    _check_location(output.dataset_name, "output", request, services)


def _check_prompts(prompts: Prompts, table: TableName, request: BatchRequest, services: Services) -> tuple[str, ...]:
    """Return the columns of the query; raise ``Rejected`` unless requests can be built from it into ``table``."""
    settings = services.settings
    dataset = table.dataset_name
    check_writable(dataset.project, dataset.dataset, settings, "output")
    if dataset == DatasetName(settings.google_cloud_project, DEFAULT_DATASET):
        services.bigquery.ensure_dataset(dataset, dataset_location(request.location))
    _check_location(dataset, "output", request, services)
    field = "input.prompts.query"
    analysis = _analyse(prompts.query, services.bigquery.location_of(dataset), services, field)
    if analysis.statement not in {"", "SELECT"}:
        raise Rejected(f"the query must be one SELECT, not {analysis.statement}", field=field, code="invalid_query")
    _check_columns(analysis.columns, field, needs="prompt")
    return tuple(column["name"] for column in analysis.columns)


def _check_view(table: TableName, services: Services) -> None:
    """Raise ``Rejected`` if a table is a view over something that a query may not read or call."""
    if services.bigquery.view_query(table):
        location = services.bigquery.location_of(table.dataset_name, "input")
        _analyse(f"SELECT * FROM {table.sql}", location, services, "input")


def _analyse(query: str, location: str, services: Services, field: str) -> Analysis:
    """Run a query dry, and check what it reads and calls. Raises ``Rejected``."""
    settings = services.settings
    return analyse_checked(
        query,
        lambda: services.bigquery.analyse(Query(f"(\n{query}\n)", {}), location, field),
        services.bigquery,
        settings,
        field,
    )


def _check_location(dataset: DatasetName, field: str, request: BatchRequest, services: Services) -> None:
    """Raise ``Rejected`` unless the dataset exists and, for a batch in a region, is in that region.

    In other locations Vertex AI decides which datasets it takes; its refusal is in the event. What the documentation says
    about multi-regions there is not settled:
    https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
    """
    location = services.bigquery.location_of(dataset, field)
    if is_region(request.location) and location.lower() != request.location:
        raise Rejected(
            f"the dataset {dataset} is in {location}, and the batch runs in {request.location}, which takes datasets of that "
            f"region only; choose another dataset, or another location such as {GLOBAL}",
            field=field,
            code="wrong_location",
        )


def _query_location(
    request: BatchRequest, output: TableName | ObjectUri, prompt_columns: tuple[str, ...] | None, services: Services
) -> str:
    """Return where the BigQuery jobs of a batch run: where its dataset is."""
    if isinstance(output, TableName):
        return services.bigquery.location_of(output.dataset_name, "output")
    if prompt_columns is not None:
        return services.bigquery.location_of(DatasetName(services.settings.google_cloud_project, DEFAULT_DATASET))
    return request.location


def _request(item: Item, settings: Settings) -> BatchRequest:
    assert isinstance(item.request, BatchMessage)
    return BatchRequest.parse(item.request.message, settings, item.request.published)


def _facts(item: Item) -> BatchFacts:
    assert isinstance(item.facts, BatchFacts)
    return item.facts


def _output(request: BatchRequest, item: Item, settings: Settings) -> TableName | ObjectUri:
    match request.output:
        case TableName() | ObjectUri() as output:
            return output
        case DatasetName() as dataset:
            return TableName(dataset.project, dataset.dataset, f"predictions_{_stamp(item)}")
        case _ if isinstance(request.input, ObjectUri):
            return ObjectUri(settings.output_bucket, DEFAULT_FOLDER)
        case _:
            return TableName(settings.google_cloud_project, DEFAULT_DATASET, f"predictions_{_stamp(item)}")


def _request_table(output: TableName | ObjectUri, item: Item, settings: Settings) -> TableName:
    """Return the table for requests that are built from prompts: in the dataset of the answers, named by the key."""
    project, dataset = settings.google_cloud_project, DEFAULT_DATASET
    if isinstance(output, TableName):
        project, dataset = output.project, output.dataset
    return TableName(project, dataset, f"modeldrop_requests_{item.key}")


def _stamp(item: Item) -> str:
    # The key keeps two requests of the same second apart.
    return f"{item.created:%Y%m%d%H%M%S}_{item.key[:8]}"


def _check_columns(columns: tuple[Mapping[str, Any], ...], field: str, *, needs: str) -> None:
    """Raise ``Rejected`` unless Vertex AI takes a table of these columns."""
    kinds = {column["name"].lower(): column for column in columns}
    if needs not in kinds:
        raise Rejected(f"{field} has no column {needs}", field=field, code="missing_column")
    kind = kinds[needs]["type"]
    if kind not in {"STRING", "JSON"} or kinds[needs].get("mode") == "REPEATED":
        raise Rejected(f"the column {needs} must be STRING or JSON, not {kind}", field=field, code="wrong_type")
    for name, column in kinds.items():
        if name in RESERVED_COLUMNS or (needs == "prompt" and name == "request"):
            raise Rejected(f"the column {name} is reserved for the answers", field=field, code="reserved_column")
        if column["type"] in FORBIDDEN_TYPES or column.get("mode") == "REPEATED":
            kind = "ARRAY" if column.get("mode") == "REPEATED" else column["type"]
            raise Rejected(
                f"the column {name} is of type {kind}, which a batch does not take", field=field, code="wrong_type"
            )
