"""Checks the input and the output of a batch before anything is submitted, and finds where its jobs run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from shared.batch_work import BatchFacts
from shared.batches.addresses import Files, ObjectUri
from shared.batches.answers.typed_table import check_results
from shared.batches.files import CheckedFiles, check_bucket_exists, checked_files, find_files
from shared.batches.inputs.columns import REQUEST_COLUMNS, check_query_columns, check_table_columns
from shared.batches.inputs.estimates import estimate
from shared.batches.inputs.files import check_file_columns
from shared.batches.lines.formats import line_format
from shared.batches.loading import with_files
from shared.batches.output.claims import claim_outputs
from shared.batches.output.places import (
    DEFAULT_DATASET,
    answer_table,
    facts_of,
    output_place,
    request_table,
    submit_step,
    work_dataset,
)
from shared.batches.output.target_columns import check_target
from shared.batches.reading import check_loadable, lines_location, may_load, may_write
from shared.batches.request import BatchRequest, Prompts
from shared.checks.access import check_readable, check_writable
from shared.checks.identifiers import DatasetName, TableName
from shared.cloud.locations import GLOBAL, dataset_location, is_region
from shared.cloud.query_access import analyse_checked
from shared.cloud.query_jobs import Analysis, Query
from shared.engine.services import Services
from shared.errors import Rejected
from shared.work import Item

_OUTPUT = "output"


def prepared(item: Item, request: BatchRequest, services: Services) -> Item:
    """Return ``item`` with its facts and the location of its BigQuery jobs.

    Raises:
        Rejected: The input or the output cannot be used.
        TryLater: A service did not answer.
    """
    settings = services.settings
    output = output_place(request, item, settings)
    if isinstance(output, TableName):
        _check_dataset(request, output, services)
    elif request.output is not None:
        check_bucket_exists(output, _OUTPUT)
    columns: tuple[Mapping[str, Any], ...] = ()
    tables: tuple[TableName, ...] = ()
    files: tuple[str, ...] = ()
    checked: CheckedFiles | None = None
    prompt_columns: tuple[str, ...] | None = None
    match request.input:
        case TableName() as table:
            check_readable(table.project, table.dataset, settings, "input")
            _check_location(table.dataset_name, "input", request, services)
            columns = _columns_of_input(table, services)
            tables = (table, *_behind_view(table, services))
            check_table_columns(columns, "input", request.kind)
            source = f"bq://{table}"
        case Prompts() as prompts:
            table = request_table(work_dataset(output, request, settings), item)
            analysis = _check_prompts(prompts, table, request, services)
            prompt_columns = _prompt_columns(prompts, analysis)
            kept = [column for column in analysis.columns if column["name"] in prompt_columns]
            columns = (*kept, {"name": "request", "type": "STRING"})
            tables = analysis.tables
            source = f"bq://{table}"
        case Files() as given:
            _check_folder(given, output)
            files = find_files(given)
            divides = request.kind in REQUEST_COLUMNS and may_write(work_dataset(output, request, settings), settings)
            as_columns = isinstance(output, TableName)
            checked = checked_files(files, request.kind, request.key, divides=divides, as_columns=as_columns)
            columns = tuple({"name": name, "type": kind} for name, kind in checked.found.columns)
            source = str(given)
    facts = BatchFacts(source, str(output), prompt_columns, request.location, files=files)
    if isinstance(output, TableName):
        # The types that Vertex AI gives to the fields of files are not known.
        check_target(request, output, tables, () if files else columns, services)
        own = answer_table(output.dataset_name, item, submit_step(item))
        format_ = line_format(request.kind, columns) if files else None
        facts = replace(facts, output=f"bq://{output}", answers=f"bq://{own}", line_format=format_)
    else:
        facts = _with_reading(facts, request, output, columns, item, services)
    location = _query_location(request, output, prompt_columns, services)
    if request.results is not None:
        others = (output, *tables) if isinstance(output, TableName) else tables
        names = [column["name"] for column in columns if column["name"].lower() != "request"]
        # Files may be anywhere.
        place = None if isinstance(output, ObjectUri) and files else location
        check_results(request.results, others=others, location=place, columns=names, services=services)
        if facts.answers is None:
            raise Rejected(
                "the requests have fields that cannot be columns of a table of results: rename them, or let the output be a "
                "table",
                field="results",
                code="invalid_column_name",
            )
        if isinstance(output, ObjectUri):
            place = services.bigquery.location_of(request.results.table.dataset_name, "results.table")
            check_loadable(str(output), place, "results.table")
        facts = replace(facts, results=f"bq://{request.results.table}")
    if not request.dry_run:
        claim_outputs(item, request, services)
    item = replace(item, location=location, facts=facts)
    return item if checked is None else _with_files(item, checked, request, output, services)


def _with_files(
    item: Item, checked: CheckedFiles, request: BatchRequest, output: TableName | ObjectUri, services: Services
) -> Item:
    """Return an item with the steps that its files need. Raises ``Rejected``."""
    facts, settings = facts_of(item), services.settings
    loads = facts.answers is not None and facts.line_format is not None
    jobs = estimate(checked.found, request.model, settings, request.kind).jobs
    if loads and (jobs > 1 or not checked.is_whole):
        # Other files need no dataset, so that BigQuery is not called for them.
        found = item.location
        if isinstance(output, ObjectUri):
            found = lines_location(work_dataset(output, request, settings), request, services)
        # Without the load, a job can take the files unless they are too large for it.
        needed = jobs > 1 or checked.too_large
        loads = found is not None and may_load(facts.files, found, unknown=needed)
        item = replace(item, location=found if loads else item.location)
    return with_files(item, checked, request, settings, loads=loads)


def _with_reading(
    facts: BatchFacts,
    request: BatchRequest,
    folder: ObjectUri,
    columns: Sequence[Mapping[str, Any]],
    item: Item,
    services: Services,
) -> BatchFacts:
    """Return the facts of a batch whose answers are in a folder, with how they are read if they can be."""
    dataset = work_dataset(folder, request, services.settings)
    format_ = line_format(request.kind, columns)
    if format_ is None or not may_write(dataset, services.settings):
        return facts
    own = answer_table(dataset, item, submit_step(item))
    return replace(facts, folder=str(folder), answers=f"bq://{own}", line_format=format_)


def _columns_of_input(table: TableName, services: Services) -> tuple[Mapping[str, Any], ...]:
    """Return the columns of the table of requests. Raises ``Rejected`` if it does not exist, or cannot be read as a whole."""
    facts = services.tables.describe(table, "input")
    if facts is None:
        raise Rejected(f"there is no table {table}: create it, or correct its name", field="input", code="notFound")
    if facts.needs_filter:
        raise Rejected(
            f"the table {table} is only read with a filter on its partitions (require_partition_filter), and a batch reads it "
            "as a whole: let the input be a view that has the filter",
            field="input",
            code="filter_needed",
        )
    return facts.columns


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


def _check_prompts(prompts: Prompts, table: TableName, request: BatchRequest, services: Services) -> Analysis:
    """Return the dry run of the query; raise ``Rejected`` unless requests can be built from it into ``table``."""
    settings = services.settings
    dataset = table.dataset_name
    if request.results is not None and dataset == request.results.table.dataset_name:
        # It is not the dataset of the output, so a refusal must name it.
        services.bigquery.location_of(dataset, "results.table")
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
    bracketed = Query(f"(\n{query}\n)", {})
    return analyse_checked(
        query,
        lambda: services.bigquery.analyse(bracketed, location, field),
        services.bigquery,
        services.settings,
        field,
        inside=bracketed.sql,
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
        return services.bigquery.location_of(work_dataset(output, request, services.settings), _OUTPUT)
    if isinstance(request.input, TableName):
        return services.bigquery.location_of(request.input.dataset_name, "input")
    return request.location
