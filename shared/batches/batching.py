"""Gemini batches: a request becomes one batch prediction job, whose answers are counted before anyone is told of success."""

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
from shared.cloud.bigquery import Query
from shared.engine.services import Services
from shared.engine.steps import WaitFor
from shared.errors import Problem, Rejected
from shared.keys import hash_of, hash_of_json
from shared.settings import Settings
from shared.work import (
    Item,
    Kind,
    Step,
    StepState,
    System,
)

DEFAULT_DATASET = "gen_ai_batch_prediction"
DEFAULT_FOLDER = "gen-ai-batch-prediction"
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-from-bigquery
RESERVED_COLUMNS = frozenset({"response", "status", "processed_time", "_vertex_row_id"})
FORBIDDEN_TYPES = frozenset({"STRUCT", "RECORD", "RANGE", "DATETIME", "GEOGRAPHY"})


def plan(request: BatchRequest, payload: Mapping[str, Any], source: str, published: datetime, now: datetime) -> Item:
    """Return the work that a request asks for; ``source`` is the id of the message it came in."""
    steps = [Step("submit", System.VERTEX)]
    if isinstance(request.input, Prompts):
        steps.insert(0, Step("requests", System.BIGQUERY))
    origin = ("request", request.request_id) if request.request_id is not None else ("message", source)
    return Item(
        kind=Kind.BATCH,
        key=hash_of("batch", *origin),
        payload=hash_of_json(payload),
        request={"message": dict(payload), "published": published.isoformat()},
        created=now,
        request_id=request.request_id,
        sources=(source,),
        steps=tuple(steps),
    )


class Batches:
    """What the work on a batch does of its own."""

    refused = "rejected"

    def prepare(self, item: Item, services: Services) -> Item:
        settings = services.settings
        request = _request(item, settings)
        output = _output(request, item, settings)
        if isinstance(output, TableName):
            self._check_output(request, output, services)
        match request.input:
            case TableName() as table:
                check_readable(table.project, table.dataset, settings, "input")
                self._check_location(table.dataset_name, "input", services)
                _check_columns(services.bigquery.columns_of(table, "input"), "input", needs="request")
                source = f"bq://{table}"
            case Prompts() as prompts:
                table = _request_table(output, item, settings)
                columns = self._check_prompts(prompts, table, services)
                item = item.with_facts(prompt_columns=columns)
                source = f"bq://{table}"
            case ObjectUri() as uri:
                source = str(uri)
        target = f"bq://{output}" if isinstance(output, TableName) else str(output)
        return replace(item, location=settings.vertex_location).with_facts(
            model=request.model, input=source, output=target
        )

    def query(self, item: Item, step: Step, services: Services) -> Query:
        request = _request(item, services.settings)
        assert isinstance(request.input, Prompts)
        table = TableName.parse(
            item.facts["input"].removeprefix("bq://"), project=services.settings.google_cloud_project
        )
        columns = item.facts["prompt_columns"]
        return Query(
            sql=statements.batch_requests(request.input, columns),
            labels=dict(request.labels),
            destination=table,
            write="truncate",
        )

    def batch(self, item: Item, step: Step, services: Services) -> Batch:
        announced = [
            pending
            for pending in services.ledger.pending(Kind.BATCH)
            if pending.step == step.name and pending.state in {StepState.SUBMITTED, StepState.SENDING}
        ]
        # Of those that are only announced, the one that was first goes first: it may not have seen the others.
        places = {pending.key: (pending.written, pending.key) for pending in announced}
        mine = places.get(item.key, (services.now(), item.key))
        running = sum(
            pending.state == StepState.SUBMITTED or pending.waits_for == "answer" or places[pending.key] < mine
            for pending in announced
            if pending.key != item.key and pending.waits_for != "quota"
        )
        if running >= services.settings.max_concurrent_batches:
            raise WaitFor("quota", services.settings.wait_seconds)
        request = _request(item, services.settings)
        return Batch(
            display_name=request.display_name,
            model=request.model,
            input=item.facts["input"],
            output=item.facts["output"],
            labels=dict(request.labels),
        )

    def deadline_seconds(self, item: Item, services: Services) -> float:
        return services.settings.batch_deadline_seconds

    def conclude(self, item: Item, services: Services) -> Item:
        result = item.steps[-1].result
        succeeded, failed = result.get("succeeded"), result.get("failed") or 0
        partly = failed or (result.get("incomplete") or 0) or result["state"] == "JOB_STATE_PARTIALLY_SUCCEEDED"
        if not partly:
            return replace(item, outcome="succeeded")
        if failed and not succeeded:
            # A job may be told as succeeded with every row failed: https://github.com/googleapis/python-genai/issues/2693
            problem = Problem("all_rows_failed", f"all {failed} rows failed; the column status of the output says why")
            return replace(item, outcome="failed", problem=problem)
        return replace(item, outcome="partially_succeeded")

    def close(self, item: Item, services: Services) -> Item:
        return item

    def _check_output(self, request: BatchRequest, output: TableName, services: Services) -> None:
        check_writable(output.project, output.dataset, services.settings, "output")
        if request.output is None:
            services.bigquery.ensure_dataset(output.dataset_name, services.settings.vertex_location)
        self._check_location(output.dataset_name, "output", services)

    def _check_prompts(self, prompts: Prompts, table: TableName, services: Services) -> list[str]:
        """Raise ``Rejected`` unless requests can be built from the query; return the names of its columns."""
        settings = services.settings
        dataset = table.dataset_name
        check_writable(dataset.project, dataset.dataset, settings, "output")
        if dataset == DatasetName(settings.google_cloud_project, DEFAULT_DATASET):
            services.bigquery.ensure_dataset(dataset, settings.vertex_location)
        self._check_location(dataset, "output", services)
        field = "input.prompts.query"
        analysis = services.bigquery.analyse(Query(f"(\n{prompts.query}\n)", {}), settings.vertex_location, field)
        if analysis.statement not in {"", "SELECT"}:
            raise Rejected(f"the query must be one SELECT, not {analysis.statement}", field=field, code="invalid_query")
        for read in analysis.tables:
            check_readable(read.project, read.dataset, settings, field)
        _check_columns(analysis.columns, field, needs="prompt")
        return [column["name"] for column in analysis.columns]

    def _check_location(self, dataset: DatasetName, field: str, services: Services) -> None:
        """Raise ``Rejected`` unless the dataset is in the job's own region; multi-regions are not taken."""
        location = services.bigquery.location_of(dataset, field)
        wanted = services.settings.vertex_location
        if location.lower() != wanted.lower():
            raise Rejected(
                f"the dataset {dataset} is in {location}; Gemini batches run in {wanted} and take datasets of that region "
                "only",
                field=field,
                code="wrong_location",
            )


def _request(item: Item, settings: Settings) -> BatchRequest:
    return BatchRequest.parse(item.request["message"], settings, datetime.fromisoformat(item.request["published"]))


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
    """Return the table for requests that are built from prompts: beside the answers, named by the key."""
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
            told = "ARRAY" if column.get("mode") == "REPEATED" else column["type"]
            raise Rejected(
                f"the column {name} is of type {told}, which a batch does not take", field=field, code="wrong_type"
            )
