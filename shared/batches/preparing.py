"""Checks the input and the output of a batch before anything is submitted, and finds where its jobs run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.batch_work import BatchFacts, RequestCheck
from shared.batches.addresses import Files, ObjectUri
from shared.batches.inputs.estimates import estimate
from shared.batches.files import check_bucket_exists, checked_files, find_files
from shared.batches.inputs.columns import check_query_columns, check_table_columns
from shared.batches.inputs.files import check_file_columns
from shared.batches.inputs.rules import Requests
from shared.batches.output_claims import claim_outputs
from shared.batches.places import (
    ANSWERS,
    DEFAULT_DATASET,
    REQUESTS,
    answer_table,
    output_place,
    reads,
    request_table,
    submit_step,
    work_dataset,
)
from shared.batches.request import BatchRequest, Output, Prompts
from shared.batches.target_columns import check_target_columns
from shared.batches.typed_table import check_results
from shared.checks.access import check_readable, check_writable
from shared.checks.identifiers import DatasetName, TableName
from shared.checks.merge_keys import check_key
from shared.cloud.bigquery import Analysis, Query
from shared.cloud.locations import GLOBAL, dataset_location, is_region
from shared.cloud.query_access import analyse_checked
from shared.engine.services import Services
from shared.errors import Rejected
from shared.work import Item

# The columns that Vertex AI adds to those of the input.
ANSWER_COLUMNS = ("response", "status")

_OUTPUT = "output"


def prepared(item: Item, request: BatchRequest, services: Services) -> Item:
    """Return ``item`` with its facts and the location of its BigQuery jobs.

    Raises:
        Rejected: The input or the output cannot be used.
        TryLater: A service did not answer.
    """
    settings = services.settings
    _check_kind(request)
    output = output_place(request, item, settings)
    if isinstance(output, TableName):
        _check_dataset(request, output, services)
    elif request.output is not None:
        check_bucket_exists(output, _OUTPUT)
    columns: tuple[Mapping[str, Any], ...] = ()
    tables: tuple[TableName, ...] = ()
    files: tuple[str, ...] = ()
    check: RequestCheck | None = None
    prompt_columns: tuple[str, ...] | None = None
    match request.input:
        case TableName() as table:
            check_readable(table.project, table.dataset, settings, "input")
            _check_location(table.dataset_name, "input", request, services)
            columns = services.bigquery.columns_of(table, "input")
            tables = (table, *_behind_view(table, services))
            check_table_columns(columns, "input", request.kind)
            source = f"bq://{table}"
        case Prompts() as prompts:
            table = request_table(work_dataset(output, settings), item)
            analysis = _check_prompts(prompts, table, request, services)
            prompt_columns = _prompt_columns(prompts, analysis)
            kept = [column for column in analysis.columns if column["name"] in prompt_columns]
            columns = (*kept, {"name": "request", "type": "STRING"})
            tables = analysis.tables
            source = f"bq://{table}"
        case Files() as given:
            _check_folder(given, output)
            files = find_files(given)
            if (found := checked_files(files, request.kind, request.key)) is not None:
                # Files are not divided.
                check = replace(estimate(found, request.model, settings, request.kind), jobs=1)
            source = str(given)
    facts = BatchFacts(source, str(output), prompt_columns, request.location, files=files, check=check)
    if isinstance(output, TableName):
        _check_target(request, output, tables, columns, services)
        if request.results is not None:
            names = [column["name"] for column in columns if column["name"].lower() != "request"]
            check_results(request.results, output=output, read=tables, columns=names, services=services)
            facts = replace(facts, results=f"bq://{request.results.table}")
        own = answer_table(output.dataset_name, item, submit_step(item))
        facts = replace(facts, output=f"bq://{output}", answers=f"bq://{own}")
    if not request.dry_run:
        claim_outputs(item, request, services)
    return replace(item, location=_query_location(request, output, prompt_columns, services), facts=facts)


def _check_kind(request: BatchRequest) -> None:
    """Raise ``Rejected`` if the model does not take requests from such an input.

    https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/embeddings/batch-prediction-genai-embeddings
    """
    if request.kind is Requests.EMBED and not isinstance(request.input, Files):
        right = "files of JSONL: gs://bucket/file.jsonl"
    elif request.kind is Requests.TEXT_EMBEDDING and isinstance(request.input, Prompts):
        right = "a table with a column content, or files of JSONL"
    else:
        return
    raise Rejected(f"batches of {request.model.rpartition('/')[2]} take {right}", field="input", code="wrong_input")


def _check_dataset(request: BatchRequest, output: TableName, services: Services) -> None:
    check_writable(output.project, output.dataset, services.settings, _OUTPUT)
    if request.output is None:
        location = dataset_location(request.location)
        if isinstance(request.input, TableName):
            # The answers belong where the requests are.
            check_readable(request.input.project, request.input.dataset, services.settings, "input")
            location = services.bigquery.location_of(request.input.dataset_name, "input")
        services.bigquery.ensure_dataset(output.dataset_name, location)
    _check_location(output.dataset_name, _OUTPUT, request, services)


def _check_folder(files: Files, output: TableName | ObjectUri) -> None:
    """Raise ``Rejected`` if the answers would be among the files of the input when it is read again."""
    if not isinstance(output, ObjectUri):
        return
    for uri in files.uris:
        # The answers are in a new folder within the output.
        folder = f"{output.name.rstrip('/')}/" if output.name else ""
        if (
            uri.is_pattern
            and uri.bucket == output.bucket
            and uri.matches(f"{folder}prediction-model/predictions.jsonl")
        ):
            raise Rejected(
                f"the output {output} is inside the input {uri}; write another folder",
                field=_OUTPUT,
                code="output_is_input",
            )


def _check_target(
    request: BatchRequest,
    target: TableName,
    read: tuple[TableName, ...],
    columns: tuple[Mapping[str, Any], ...],
    services: Services,
) -> None:
    """Raise ``Rejected`` if writing the answers into ``target`` would lose rows, or cannot succeed.

    Args:
        request: The request.
        target: The table for the answers.
        read: The tables that the input reads, also through views.
        columns: The columns of the input that the answers repeat; none if they are not known.
        services: The services of this process.
    """
    output = request.output or Output(target)
    if target.table.startswith((REQUESTS, ANSWERS)):
        raise Rejected(
            f"the names of tables that begin with {REQUESTS} or {ANSWERS} are kept for Modeldrop's own; write another one",
            field=_OUTPUT,
            code="reserved_table",
        )
    # A query of prompts has ended before its output is written, so it may read what is added to.
    if reads(read, target) and (output.write == "truncate" or not isinstance(request.input, Prompts)):
        raise Rejected(
            f"the output {target} is the input of the batch, or is read by it; write another table",
            field=_OUTPUT,
            code="output_is_input",
        )
    check_key(output.key, columns, "the requests")
    facts = services.tables.describe(target, _OUTPUT)
    if facts is None:
        return
    if facts.kind != "TABLE":
        raise Rejected(f"{target} is not a table but a {facts.kind.lower()}", field=_OUTPUT, code="not_a_table")
    if output.write == "empty" and facts.rows:
        raise Rejected(
            f"the table {target} has {facts.rows:,} rows, and output.write is empty; write another table, or let output be "
            f'{{"table": "bq://{target}", "write": "append"}} (or truncate, or merge with a key)',
            field=_OUTPUT,
            code="output_not_empty",
        )
    if output.write != "truncate" or "$" in target.table:
        added = ANSWER_COLUMNS if request.kind is Requests.GENERATE else ()
        converts = output.write in {"append", "merge"} and "$" not in target.table
        check_target_columns(target, facts.columns, columns, added, converts=converts, field=_OUTPUT)


def _check_prompts(prompts: Prompts, table: TableName, request: BatchRequest, services: Services) -> Analysis:
    """Return the dry run of the query; raise ``Rejected`` unless requests can be built from it into ``table``."""
    settings = services.settings
    dataset = table.dataset_name
    check_writable(dataset.project, dataset.dataset, settings, _OUTPUT)
    if dataset == DatasetName(settings.google_cloud_project, DEFAULT_DATASET):
        services.bigquery.ensure_dataset(dataset, dataset_location(request.location))
    _check_location(dataset, _OUTPUT, request, services)
    field = "input.prompts.query"
    analysis = _analyse(prompts.query, services.bigquery.location_of(dataset), services, field)
    if analysis.statement not in {"", "SELECT"}:
        raise Rejected(f"the query must be one SELECT, not {analysis.statement}", field=field, code="invalid_query")
    return analysis


def _prompt_columns(prompts: Prompts, analysis: Analysis) -> tuple[str, ...]:
    """Return the columns of the query that go with each request; raise ``Rejected`` if they cannot."""
    check_file_columns(prompts.files, analysis.columns, "input.prompts.files")
    names = [name for each in prompts.files for name in (each.column, each.mime_column) if name]
    return check_query_columns(analysis.columns, "input.prompts.query", file_columns=names)


def _behind_view(table: TableName, services: Services) -> tuple[TableName, ...]:
    """Return the tables that a view reads; none for a table.

    Raises:
        Rejected: The view reads or calls something that a query may not.
    """
    if not services.bigquery.view_query(table):
        return ()
    location = services.bigquery.location_of(table.dataset_name, "input")
    return _analyse(f"SELECT * FROM {table.sql}", location, services, "input").tables


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
    if isinstance(output, TableName) or prompt_columns is not None:
        # The query of prompts writes a table there.
        return services.bigquery.location_of(work_dataset(output, services.settings), _OUTPUT)
    if isinstance(request.input, TableName):
        return services.bigquery.location_of(request.input.dataset_name, "input")
    return request.location
