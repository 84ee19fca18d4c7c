"""Gemini batches: a request becomes one batch prediction job, and its answers are moved into the output.

The answers are counted before a batch counts as a success.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared.batch_work import RETRYABLE, BatchFacts, BatchMessage
from shared.batches import statements
from shared.batches.answers import review
from shared.batches.estimates import estimate
from shared.batches.inputs.files import check_file_columns
from shared.batches.inputs.parts import divide, requests_of_part
from shared.batches.inputs.rules import Requests
from shared.batches.inputs.tables import check_contents, check_requests, read_check
from shared.batches.moving import move_query, table_query
from shared.batches.places import answer_table, facts_of, is_own, own_tables, request_table, submit_step, table_at
from shared.batches.preparing import prepared
from shared.batches.request import BatchRequest, Output, Prompts
from shared.batches.rounds import (
    PARTIALLY_SUCCEEDED,
    answers_query,
    ended_round,
    may_be_answered_later,
    repeat_query,
    replacement,
    reviewed,
)
from shared.batches.typed_table import flatten_query
from shared.checks.identifiers import TableName
from shared.cloud.batch_jobs import Batch
from shared.cloud.bigquery import Query
from shared.engine.handler import Cancelled, Handler, WaitFor
from shared.engine.services import Services
from shared.errors import ModeldropError, Problem, short_reason
from shared.events.incoming import Message
from shared.keys import hash_of, hash_of_json
from shared.log import log
from shared.settings import Settings
from shared.work import (
    Item,
    Kind,
    Outcome,
    Step,
    StepState,
    System,
    WaitReason,
)


def plan(request: BatchRequest, payload: Mapping[str, Any], message: Message, now: datetime) -> Item:
    """Return the work that a request asks for.

    Args:
        request: The request.
        payload: The same as it was sent.
        message: The message or HTTP request that it came in.
        now: The current time.
    """
    names: tuple[str, ...]
    match request.input:
        case Prompts():
            names = ("requests", "check")
        case TableName():
            names = ("check",)
        case _:
            # Files are checked while the work is prepared.
            names = ()
    steps = [Step(name, System.BIGQUERY) for name in names]
    if not names and not request.dry_run:
        steps.append(Step("submit", System.VERTEX))
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
    return facts_of(item).output


class Batches(Handler):
    """The handler of batches."""

    refused = Outcome.REJECTED

    def refusal_of(self, item: Item) -> Outcome:
        """Return that a refused batch failed if a job was paid; a rejected request could be sent again."""
        return Outcome.REJECTED if facts_of(item).result is None else Outcome.FAILED

    def prepare(self, item: Item, services: Services) -> Item:
        """Check the input and the output."""
        return prepared(item, _request(item, services.settings), services)

    def job(self, item: Item, step: Step, services: Services) -> Query | Batch:
        """Return the query of a step, or the batch of a step `submit`."""
        request = _request(item, services.settings)
        if facts_of(item).cancelling and not facts_of(item).rounds:
            raise Cancelled("the batch was cancelled before its job was created")
        if step.system is System.BIGQUERY:
            return replace(_query(item, step, request, services), labels=dict(request.labels))
        _keep_for_a_while(item, services)
        _wait_while_too_many_run(item, services)
        facts = facts_of(item)
        return Batch(
            display_name=request.display_name,
            model=request.model,
            inputs=facts.source,
            output=str(facts.place),
            labels=dict(request.labels),
            location=request.location,
        )

    def deadline_seconds(self, item: Item, services: Services) -> float:
        """Return how long a batch may take."""
        return services.settings.batch_deadline_seconds

    def conclude(self, item: Item, services: Services) -> Item:
        """Add the next steps: the review of the answers, rows that are sent again, the move; then return the outcome."""
        facts = facts_of(item)
        if not item.steps:
            return replace(item, outcome=Outcome.CHECKED)
        last = item.steps[-1]
        match last.name.partition("-")[0]:
            case "check":
                assert last.job is not None
                return after_check(item, services.bigquery.rows_of(last.job), services.settings)
            case "submit" if facts.answers is not None:
                written = services.tables.describe(_table(facts.answers)) is not None
                if not written and not facts.rounds:
                    problem = Problem("answers_not_found", f"the job ended, and {facts.answers} does not exist")
                    return replace(item, outcome=Outcome.FAILED, problem=problem)
                item = replace(item, facts=ended_round(facts, written=written))
                if not written:
                    return _after_review(item, services.settings)
                return _with_steps(item, f"review{_suffix(len(facts.rounds) + 1)}")
            case "review":
                assert last.job is not None
                item = replace(item, facts=reviewed(facts, services.bigquery.rows_of(last.job)))
                return _after_review(item, services.settings)
            case "move" if _request(item, services.settings).results is not None:
                return _with_steps(item, f"flatten{_suffix(len(facts.rounds))}")
            case _:
                return _ended(item)

    def close(self, item: Item, services: Services) -> None:
        """Delete the tables that were created for a batch that succeeded or was rejected; keep others for a while."""
        tables = own_tables(item)
        if facts_of(item).parts > 1:
            tables = (*tables, _divided(item))
        for table in tables:
            try:
                if item.outcome in {Outcome.SUCCEEDED, Outcome.REJECTED, Outcome.CHECKED}:
                    services.tables.delete(table)
                else:
                    services.tables.keep_until(table, _expiry(services))
            except ModeldropError as error:
                log("WARNING", "a table of a batch stays", **item.log_fields(), reason=short_reason(error))


def after_check(item: Item, rows: Iterable[Mapping[str, Any]], settings: Settings) -> Item:
    """Return an item whose requests were checked with the step that submits them, or with its outcome."""
    request = _request(item, settings)
    found = read_check(rows, request.kind)
    check = estimate(found, request.model, settings, request.kind)
    item = replace(item, facts=replace(facts_of(item), check=check))
    if problem := found.problem("input.prompts.query" if isinstance(request.input, Prompts) else "input"):
        return replace(item, outcome=Outcome.REJECTED, problem=problem)
    if request.dry_run:
        return replace(item, outcome=Outcome.CHECKED)
    if check.jobs == 1:
        return replace(item, steps=(*item.steps, submit_step(item)))
    if facts_of(item).answers is None:
        message = (
            f"the input has {found.requests:,} requests, more than one job takes, and only answers in a table can come from "
            "several jobs; let the output be a table, or send several batches"
        )
        return replace(item, outcome=Outcome.REJECTED, problem=Problem("too_many_requests", message, "input"))
    return _with_part(_with_steps(replace(item, facts=replace(facts_of(item), parts=check.jobs)), "divide"))


def _with_part(item: Item) -> Item:
    """Return an item with the steps that submit the next part of its requests."""
    facts = facts_of(item)
    suffix = _suffix(len(facts.rounds) + 1)
    dataset = _table(facts.answers).dataset_name
    submit = submit_step(item, suffix)
    requests, answers = request_table(dataset, item, f"-part{suffix}"), answer_table(dataset, item, submit)
    facts = replace(facts, requests=f"bq://{requests}", answers=f"bq://{answers}")
    item = _with_steps(replace(item, facts=facts), f"part{suffix}")
    return replace(item, steps=(*item.steps, submit))


def _divided(item: Item) -> TableName:
    """Return the table in which each request has the number of its part."""
    return request_table(_table(facts_of(item).answers).dataset_name, item, "-parts")


def _after_review(item: Item, settings: Settings) -> Item:
    """Return an item whose answers were counted with the steps that follow, or with its outcome."""
    facts, request = facts_of(item), _request(item, settings)
    result = facts.result
    assert result is not None
    unsent = facts.parts - sum(not each.repeats for each in facts.rounds)
    if facts.cancelling and (unsent > 0 or may_be_answered_later(facts)):
        problem = Problem(
            "cancelled", "the batch was cancelled; the answers that it has got are in the table `answers`"
        )
        return replace(item, outcome=Outcome.CANCELLED, problem=problem)
    if unsent > 0:
        return _with_part(item)
    repeated = sum(bool(each.repeats) for each in facts.rounds)
    if (
        may_be_answered_later(facts)
        and not facts.cancelling
        and repeated < request.retries
        and facts.rounds[-1].written
    ):
        return with_repeat(item, RETRYABLE)
    if result.failed and not result.succeeded:
        return _ended(item)
    return _with_steps(item, *(("table", "move") if _output(item, settings).write == "merge" else ("move",)))


def with_repeat(item: Item, rows: str) -> Item:
    """Return ``item`` with the steps that send rows again: ``retryable`` or ``failed`` ones."""
    facts = facts_of(item)
    suffix = _suffix(len(facts.rounds) + 1)
    dataset = _table(facts.answers).dataset_name
    submit = submit_step(item, suffix)
    facts = replace(
        facts,
        repeats=rows,
        requests=f"bq://{request_table(dataset, item, suffix)}",
        answers=f"bq://{answer_table(dataset, item, submit)}",
    )
    item = _with_steps(replace(item, facts=facts), f"repeat{suffix}")
    return replace(item, steps=(*item.steps, submit))


def _ended(item: Item) -> Item:
    """Return an item without further steps with its outcome."""
    result = facts_of(item).result
    assert result is not None
    failed, incomplete = result.failed or 0, result.incomplete or 0
    if failed and not result.succeeded:
        # A job may be reported as succeeded with every row failed: https://github.com/googleapis/python-genai/issues/2693
        why = f": {result.failures[0].example}" if result.failures else ""
        problem = Problem(
            "all_rows_failed", f"all {failed} rows failed; the column status of the answers says why{why}"
        )
        return replace(item, outcome=Outcome.FAILED, problem=problem)
    if failed or incomplete or result.state == PARTIALLY_SUCCEEDED:
        return replace(item, outcome=Outcome.PARTIALLY_SUCCEEDED)
    return replace(item, outcome=Outcome.SUCCEEDED)


def _with_steps(item: Item, *names: str) -> Item:
    """Return ``item`` with further queries."""
    # A repeated request has other ids of jobs than the one before.
    return replace(item, steps=(*item.steps, *(Step(name, System.BIGQUERY, attempt=item.run) for name in names)))


def _suffix(round_: int) -> str:
    """Return what the names of the steps of a round end in."""
    return f"-{round_}" if round_ > 1 else ""


def _table(uri: str | None) -> TableName:
    table = table_at(uri)
    assert table is not None
    return table


def _query(item: Item, step: Step, request: BatchRequest, services: Services) -> Query:
    facts = facts_of(item)
    if step.name == "requests":
        assert isinstance(request.input, Prompts)
        assert facts.prompt_columns is not None
        return _request_query(request.input, facts.prompt_columns, _table(facts.input), item, services)
    if step.name == "check":
        return _check_query(_table(facts.input), request.kind, services)
    if step.name == "divide":
        return Query(divide(_table(facts.input).sql, _divided(item), facts.parts), {})
    if step.name.startswith("part"):
        # Rows that failed may have been sent again before the last part was sent.
        sql = requests_of_part(_divided(item), sum(not each.repeats for each in facts.rounds))
        return Query(sql, {}, destination=_table(facts.requests), write="truncate")
    if step.name.startswith("repeat"):
        return Query(repeat_query(facts, services), {}, destination=_table(facts.requests), write="truncate")
    answers, like = answers_query(facts, services)
    match step.name.partition("-")[0]:
        case "review":
            return Query(review(answers, like), {})
        case "move" if facts.moved and _output(item, services.settings).write != "merge":
            return Query(replacement(facts, _table(facts.output), services), {})
        case "flatten":
            assert request.results is not None
            return flatten_query(request.results, answers, like, again=facts.moved > 0)
        case "table":
            return table_query(like, _table(facts.output))
        case _:
            return move_query(answers, like, _table(facts.output), _output(item, services.settings), services)


def _request_query(prompts: Prompts, columns: Sequence[str], table: TableName, item: Item, services: Services) -> Query:
    """Return the query of the step `requests`."""
    arrays: tuple[str, ...] = ()
    if prompts.files:
        query = Query(f"(\n{prompts.query}\n)", {})
        analysis = services.bigquery.analyse(query, str(item.location), "input.prompts.query")
        arrays = check_file_columns(prompts.files, analysis.columns, "input.prompts.files")
    sql = statements.batch_requests(prompts, columns, prompts.files, frozenset(arrays))
    return Query(sql, {}, destination=table, write="truncate")


def _check_query(table: TableName, kind: Requests, services: Services) -> Query:
    """Return the query of the step `check`, where the requests are."""
    columns = services.bigquery.columns_of(table, "input")
    is_json = any(column["name"] == "request" and column["type"] == "JSON" for column in columns)
    sql = check_contents(table.sql) if kind is Requests.TEXT_EMBEDDING else check_requests(table.sql, is_json=is_json)
    return Query(sql, {}, location=services.bigquery.location_of(table.dataset_name, "input"))


def _keep_for_a_while(item: Item, services: Services) -> None:
    """Let the table of requests that Modeldrop built expire, if the batch does not end before."""
    table = table_at(facts_of(item).source[0])
    if table is not None and is_own(table, item):
        services.tables.keep_until(table, _expiry(services))
    if facts_of(item).parts > 1:
        services.tables.keep_until(_divided(item), _expiry(services))


def _expiry(services: Services) -> datetime:
    return services.now() + timedelta(days=services.settings.batch_tables_days)


def _wait_while_too_many_run(item: Item, services: Services) -> None:
    """Raise ``WaitFor`` if ``MAX_CONCURRENT_BATCHES`` others run, or are about to be created and were announced first."""
    announced = [
        pending
        for pending in services.ledger.pending(Kind.BATCH)
        if pending.system == System.VERTEX.value
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


def _request(item: Item, settings: Settings) -> BatchRequest:
    assert isinstance(item.request, BatchMessage)
    return BatchRequest.parse(item.request.message, settings, item.request.published)


def _output(item: Item, settings: Settings) -> Output:
    target = table_at(facts_of(item).output)
    assert target is not None
    return _request(item, settings).output or Output(target)
