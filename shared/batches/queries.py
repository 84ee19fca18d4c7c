"""The queries of a batch's steps in BigQuery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shared.batch_work import BatchFacts
from shared.batches import statements
from shared.batches.answers.answers import review
from shared.batches.answers.moving import move_query, table_query
from shared.batches.answers.rounds import answers_query, later_answers, repeat_query, replacement, rows_sent_again
from shared.batches.answers.typed_table import flatten_query, replace_results
from shared.batches.files import check_unchanged
from shared.batches.inputs.files import check_file_columns
from shared.batches.inputs.fitting import misfit_of
from shared.batches.inputs.parts import divide, requests_of_part
from shared.batches.inputs.rules import Requests
from shared.batches.inputs.tables import check_contents, check_requests
from shared.batches.lines.statements import load_lines, requests_of_lines
from shared.batches.output.places import divided_table, facts_of, requested_output, table_at, table_of
from shared.batches.reading import check_loadable, ensure_own_dataset, load_answers
from shared.batches.request import BatchRequest, Prompts
from shared.checks.identifiers import TableName
from shared.checks.merge_keys import check_key
from shared.cloud.query_jobs import Query
from shared.engine.services import Services
from shared.work import Item, Step


def query_of(item: Item, step: Step, request: BatchRequest, services: Services) -> Query:
    """Return the query of a step, without labels. Raises ``Rejected``."""
    facts = facts_of(item)
    if facts.folder is not None and step.name.startswith(("load", "divide", "part", "repeat", "read")):
        ensure_own_dataset(item, services)
    if step.name.startswith("read"):
        return load_answers(facts, step)
    if step.name.startswith("load"):
        check_unchanged(facts.files, facts.files_hash)
        return Query(load_lines(table_of(facts.lines), facts.files), {})
    if step.name == "requests":
        assert isinstance(request.input, Prompts)
        assert facts.prompt_columns is not None
        return _request_query(request.input, facts.prompt_columns, table_of(facts.input), item, services)
    if step.name == "check":
        return _check_query(facts, request, services)
    if step.name == "divide":
        if facts.folder is not None:
            check_loadable(facts.folder, str(item.location), "output")
        return Query(divide(_requests_sql(facts), divided_table(item), facts.parts), {})
    if step.name.startswith("part"):
        # Rows that failed may have been sent again before the last part was sent.
        sql = requests_of_part(divided_table(item), sum(not each.repeats for each in facts.rounds))
        return Query(sql, {}, destination=table_of(facts.requests), write="truncate")
    if step.name.startswith("repeat"):
        return Query(repeat_query(facts, services), {}, destination=table_of(facts.requests), write="truncate")
    if step.name == "move":
        return _move_query(item, services)
    answers, like = answers_query(facts, services)
    match step.name.partition("-")[0]:
        case "review":
            return Query(review(answers, like), {})
        case "flatten":
            assert request.results is not None
            written = services.tables.describe(request.results.table) if facts.flattened else None
            if written is None:
                return flatten_query(request.results, answers, like)
            rows = rows_sent_again(facts, facts.flattened, services)
            return replace_results(request.results, written.columns, rows)
        case _:
            # The step `table`. The columns of files that were too large to be read are not known before.
            check_key(requested_output(item, services.settings).key, like.columns, "the requests")
            return table_query(like, table_of(facts.output))


def _move_query(item: Item, services: Services) -> Query:
    """Return the query of the step `move`.

    If a former run has moved its answers, only the rows that were sent again are written: another batch may have written the
    other ones since.
    """
    facts, output = facts_of(item), requested_output(item, services.settings)
    target = table_of(facts.output)
    existing = services.tables.describe(target, "output")
    if not facts.moved or existing is None:
        answers, like = answers_query(facts, services)
    elif output.write == "merge":
        answers, like = later_answers(facts, services)
    else:
        return Query(replacement(facts, target, existing.columns, services), {})
    return move_query(answers, like, target, output, existing)


def _request_query(prompts: Prompts, columns: Sequence[str], table: TableName, item: Item, services: Services) -> Query:
    """Return the query of the step `requests`."""
    arrays: tuple[str, ...] = ()
    if prompts.files:
        query = Query(f"(\n{prompts.query}\n)", {})
        analysis = services.bigquery.analyse(query, str(item.location), "input.prompts.query")
        arrays = check_file_columns(prompts.files, analysis.columns, "input.prompts.files")
    sql = statements.batch_requests(prompts, columns, prompts.files, frozenset(arrays))
    return Query(sql, {}, destination=table, write="truncate")


def _requests_sql(facts: BatchFacts) -> str:
    """Return the requests of a batch as SQL: the quoted name of a table, or a query in brackets."""
    if facts.lines is None:
        return table_of(facts.input).sql
    assert facts.line_format is not None
    return requests_of_lines(table_of(facts.lines), facts.line_format)


def _check_query(facts: BatchFacts, request: BatchRequest, services: Services) -> Query:
    """Return the query of the step `check`, where the requests are."""
    if facts.lines is not None:
        sql = _requests_sql(facts)
        if request.kind is Requests.TEXT_EMBEDDING:
            return Query(check_contents(sql, request.key), {})
        return Query(check_requests(sql, is_json=False, key=request.key), {})
    table = table_of(facts.input)
    columns = services.bigquery.columns_of(table, "input")
    is_json = any(column["name"] == "request" and column["type"] == "JSON" for column in columns)
    misfit = _misfit(facts, request, columns, services)
    embeds = request.kind is Requests.TEXT_EMBEDDING
    sql = (
        check_contents(table.sql, request.key, misfit)
        if embeds
        else check_requests(table.sql, is_json=is_json, key=request.key, misfit=misfit)
    )
    return Query(sql, {}, location=services.bigquery.location_of(table.dataset_name, "input"))


def _misfit(
    facts: BatchFacts, request: BatchRequest, columns: Sequence[Mapping[str, Any]], services: Services
) -> str | None:
    """Return the SQL of why the output does not take a row of the requests; None if it takes all rows."""
    target = None if request.output is None else table_at(facts.output)
    if target is None or request.output is None or (request.output.write == "truncate" and "$" not in target.table):
        # A new table, files, or a table that is replaced.
        return None
    existing = services.tables.describe(target, "output")
    return None if existing is None else misfit_of(target, existing, columns)
