"""Where the requests and the answers of a batch are: its output, and the tables that Modeldrop creates for it."""

from __future__ import annotations

from collections.abc import Iterable

from shared.batch_work import BatchFacts, BatchMessage
from shared.batches.addresses import Files, ObjectUri
from shared.batches.request import BatchRequest, Output
from shared.checks.identifiers import DatasetName, TableName
from shared.settings import Settings
from shared.work import Item, Step, System

# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
DEFAULT_DATASET = "gen_ai_batch_prediction"
DEFAULT_FOLDER = "gen-ai-batch-prediction"
# The names of the tables that Modeldrop creates begin so.
REQUESTS, ANSWERS = "modeldrop_requests_", "modeldrop_answers_"


def facts_of(item: Item) -> BatchFacts:
    """Return what is known of a batch."""
    assert isinstance(item.facts, BatchFacts)
    return item.facts


def is_cancelled(item: Item) -> bool:
    """Return whether somebody cancelled a batch that may still run."""
    return isinstance(item.facts, BatchFacts) and item.facts.cancelling


def output_place(request: BatchRequest, item: Item, settings: Settings) -> TableName | ObjectUri:
    """Return the table or folder for the answers of a batch; a table of its own if the request names none."""
    place = request.output.place if request.output else None
    match place:
        case TableName() | ObjectUri():
            return place
        case DatasetName():
            return TableName(place.project, place.dataset, f"predictions_{_stamp(item)}")
        case _ if isinstance(request.input, Files):
            return ObjectUri(settings.output_bucket, DEFAULT_FOLDER)
        case _:
            return TableName(settings.google_cloud_project, DEFAULT_DATASET, f"predictions_{_stamp(item)}")


def work_dataset(output: TableName | ObjectUri, request: BatchRequest, settings: Settings) -> DatasetName:
    """Return the dataset for the tables that Modeldrop creates: that of the output or the results, or the default one."""
    if isinstance(output, TableName):
        return output.dataset_name
    if request.results is not None:
        return request.results.table.dataset_name
    return DatasetName(settings.google_cloud_project, DEFAULT_DATASET)


def request_table(dataset: DatasetName, item: Item, suffix: str = "") -> TableName:
    """Return the table for requests that are built from prompts, or that are sent again in the round of ``suffix``."""
    return TableName(dataset.project, dataset.dataset, f"{REQUESTS}{item.key}{suffix.replace('-', '_')}")


def answer_table(dataset: DatasetName, item: Item, step: Step) -> TableName:
    """Return the table that the job of ``step`` writes. Each job has its own, since Vertex AI wants a new table.

    https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/BigQueryDestination
    """
    round_ = step.name.removeprefix("submit").replace("-", "_")
    again = f"_again{step.tries}" if step.tries > 1 else ""
    return TableName(dataset.project, dataset.dataset, f"{ANSWERS}{item.key}_{item.run}_{step.attempt}{round_}{again}")


def submit_step(item: Item, suffix: str = "") -> Step:
    """Return the step that submits the job of a round. A repeated request has other jobs than the one before."""
    return next((step for step in item.steps if step.name == "submit" + suffix), None) or Step(
        f"submit{suffix}", System.VERTEX, attempt=item.run
    )


def table_at(uri: str | None) -> TableName | None:
    """Return the table of a `bq://project.dataset.table`; None for another address."""
    if uri is None or not uri.startswith("bq://"):
        return None
    project, dataset, table = uri.removeprefix("bq://").rsplit(".", 2)
    return TableName(project, dataset, table)


def own_tables(item: Item) -> tuple[TableName, ...]:
    """Return the tables that Modeldrop created for a batch, or lets Vertex AI create."""
    facts = facts_of(item)
    rounds = [uri for each in facts.rounds for uri in (each.requests, each.answers)]
    # The lines of a folder are loaded only if they are needed.
    is_loaded = facts.folder is None or any(step.name.startswith("read") for step in item.steps)
    answers = facts.answers if is_loaded else None
    tables = map(table_at, (facts.input, facts.requests, facts.lines, answers, *rounds))
    divided = [divided_table(item)] if facts.is_divided else []
    # The input may be the table of another batch.
    return tuple(dict.fromkeys(table for table in (*tables, *divided) if table and is_own(table, item)))


def is_own(table: TableName, item: Item) -> bool:
    """Return whether a table was created for this batch."""
    return table.table.startswith((f"{REQUESTS}{item.key}", f"{ANSWERS}{item.key}"))


def reads(tables: Iterable[TableName], table: TableName) -> bool:
    """Return whether a table is among those that are read. These may have a partition after a `$`, or a `*` at the end."""
    name = table.table.partition("$")[0]
    for each in tables:
        read, star, _ = each.table.partition("$")[0].partition("*")
        if each.dataset_name == table.dataset_name and (name.startswith(read) if star else name == read):
            return True
    return False


def _stamp(item: Item) -> str:
    # The key keeps two requests of the same second apart.
    return f"{item.created:%Y%m%d%H%M%S}_{item.key[:8]}"


def request_of(item: Item, settings: Settings) -> BatchRequest:
    """Return the request of a batch."""
    assert isinstance(item.request, BatchMessage)
    return BatchRequest.parse(item.request.message, settings, item.request.published)


def requested_output(item: Item, settings: Settings) -> Output:
    """Return what the request says of its output, which is a table."""
    target = table_at(facts_of(item).output)
    assert target is not None
    return request_of(item, settings).output or Output(target)


def divided_table(item: Item) -> TableName:
    """Return the table in which each request has the number of its part."""
    return request_table(table_of(facts_of(item).answers).dataset_name, item, "-parts")


def lines_table(dataset: DatasetName, item: Item) -> TableName:
    """Return the table for the lines of the files of an input."""
    return request_table(dataset, item, "-lines")


def table_of(uri: str | None) -> TableName:
    """Return the table of an address that is known to be one."""
    table = table_at(uri)
    assert table is not None
    return table
