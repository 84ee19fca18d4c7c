"""Gemini batches: a request becomes one batch prediction job, and its answers are moved into the output.

The answers are counted before a batch counts as a success.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared import trace
from shared.batch_work import BatchFacts, BatchMessage
from shared.batches.answers.rounds import ended_round, reviewed
from shared.batches.files import has_answers
from shared.batches.next_steps import CANCELLED_HALFWAY, after_check, after_review, ended, suffix_of, with_steps
from shared.batches.output.places import (
    answer_table,
    divided_table,
    facts_of,
    is_own,
    own_tables,
    request_of,
    submit_step,
    table_at,
    table_of,
)
from shared.batches.preparing import prepared
from shared.batches.queries import query_of
from shared.batches.reading import lines_location, must_read, number_of, with_reason
from shared.batches.request import BatchRequest, Prompts
from shared.checks.identifiers import TableName
from shared.cloud.batch_jobs import Batch
from shared.cloud.query_jobs import Query
from shared.engine.claims import check_claim
from shared.engine.handler import Cancelled, Handler, WaitFor
from shared.engine.services import Services
from shared.errors import ModeldropError, Problem, short_reason
from shared.events.incoming import Message
from shared.keys import hash_of, hash_of_json
from shared.log import log
from shared.work import (
    REFUSED,
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
        traceparent=trace.current_traceparent(),
    )


def output_of(item: Item) -> str | None:
    """Return where the answers of a batch are, or will be; None until its output is checked."""
    return facts_of(item).output


class Batches(Handler):
    """The handler of batches."""

    refused = Outcome.REJECTED

    def refusal_of(self, item: Item) -> Outcome:
        """Return that a refused batch failed if a job was paid; a rejected request could be sent again."""
        return Outcome.REJECTED if facts_of(item).result is None else self.failure_of(item)

    def failure_of(self, item: Item) -> Outcome:
        """Return how a batch ends if a query fails. Answers in Cloud Storage are not lost if they cannot be read."""
        facts, step = facts_of(item), item.current
        reads = step is not None and step.name.startswith(("read", "review", "load", "repeat"))
        if reads and facts.folder is not None and facts.results is None and facts.result and facts.unsent_parts <= 1:
            outcome = ended(item).outcome
            return Outcome.FAILED if outcome in {None, Outcome.SUCCEEDED} else outcome
        return Outcome.FAILED

    def continue_without(self, item: Item, step: Step, services: Services) -> Item | None:
        """Return a batch as it continues if the lines of its files could not be loaded or checked.

        The files are sent unchecked, or rows are sent again without those that are in no answer.
        """
        facts = facts_of(item)
        if step.name.startswith("load-") and facts.folder is None:
            log("WARNING", "requests without an answer are not looked for", **item.log_fields(), step=step.name)
            facts = replace(facts, lines=None, unfound="BigQuery did not load the files of the input")
            return replace(item, facts=facts, steps=tuple(each for each in item.steps if each.name != step.name))
        is_checking = step.name in {"load", "check"} and facts.unchecked_bytes > 0
        if not is_checking or facts.too_large or request_of(item, services.settings).dry_run:
            return None
        log("WARNING", "the files of a batch are not checked as a whole", **item.log_fields(), step=step.name)
        facts = replace(facts, lines=None if step.name == "load" else facts.lines)
        return replace(item, facts=facts, steps=(submit_step(item),))

    def prepare(self, item: Item, services: Services) -> Item:
        """Check the input and the output."""
        _check_not_cancelled(item)
        return prepared(item, request_of(item, services.settings), services)

    def job(self, item: Item, step: Step, services: Services) -> Query | Batch:
        """Return the query of a step, or the batch of a step `submit`."""
        request = request_of(item, services.settings)
        if _leads_to_a_job(step) or not (facts_of(item).rounds or step.name.startswith("read")):
            _check_not_cancelled(item)
        if step.system is System.BIGQUERY:
            return replace(query_of(item, step, request, services), labels=dict(request.labels))
        _keep_for_a_while(item, services)
        _wait_while_too_many_run(item, services)
        facts = facts_of(item)
        return Batch(
            display_name=request.display_name,
            model=request.model,
            inputs=facts.source,
            output=_output(item, step),
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
            case "submit" if facts.folder is not None:
                return self._after_folder(item, services)
            case "read":
                if number_of(last) > len(facts.rounds):
                    item = replace(item, facts=ended_round(facts, written=True))
                return with_steps(item, f"review{suffix_of(len(facts_of(item).rounds))}")
            case "submit" if facts.answers is not None:
                written = services.tables.describe(table_of(facts.answers)) is not None
                if not written and not facts.rounds:
                    problem = Problem("answers_not_found", f"the job ended, and {facts.answers} does not exist")
                    return replace(item, outcome=Outcome.FAILED, problem=problem)
                item = replace(item, facts=ended_round(facts, written=written))
                if not written:
                    return after_review(item, services.settings)
                return with_steps(item, f"review{suffix_of(len(facts.rounds) + 1)}")
            case "review":
                assert last.job is not None
                item = replace(item, facts=reviewed(facts, services.bigquery.rows_of(last.job)))
                return after_review(with_reason(item, services), services.settings)
            case "move" if request_of(item, services.settings).results is not None:
                return with_steps(item, f"flatten{suffix_of(len(facts.rounds))}")
            case _:
                return ended(item)

    def _after_folder(self, item: Item, services: Services) -> Item:
        """Return an item whose job wrote files with the step that reads them, or with its outcome."""
        facts, request = facts_of(item), request_of(item, services.settings)
        if not must_read(facts, request):
            return ended(item)
        if facts.job_folder is None or not has_answers(facts.job_folder):
            if facts.rounds:
                return after_review(replace(item, facts=ended_round(facts, written=False)), services.settings)
            if request.results is None and facts.parts == 1:
                return ended(item)
            place = facts.job_folder or facts.folder
            problem = Problem(
                "answers_not_found", f"the job ended, and there are no answers in {place} that can be read"
            )
            return replace(item, outcome=Outcome.FAILED, problem=problem)
        location = lines_location(table_of(facts.answers).dataset_name, request, services)
        if location is None:
            return ended(item)
        return with_steps(replace(item, location=location), f"read{suffix_of(len(facts.rounds) + 1)}")

    def close(self, item: Item, services: Services) -> None:
        """Delete the tables that were created for a batch that succeeded or was rejected; keep others for a while."""
        for table in own_tables(item):
            # A later run has tables of the same names.
            check_claim(item, services)
            try:
                if item.outcome in {Outcome.SUCCEEDED, Outcome.REJECTED, Outcome.CHECKED}:
                    services.tables.delete(table)
                else:
                    services.tables.keep_until(table, _expiry(services))
            except ModeldropError as error:
                log("WARNING", "a table of a batch stays", **item.log_fields(), reason=short_reason(error))


def _leads_to_a_job(step: Step) -> bool:
    """Return whether a step submits a job, or collects the requests of the next one; other steps are about answers."""
    return step.system is System.VERTEX or step.name.startswith(("load", "repeat", "part"))


def _output(item: Item, step: Step) -> str:
    """Return where the job of ``step`` writes its answers. A job that is tried again writes a table of its own.

    In a folder, Vertex AI creates one for each job.
    """
    facts = facts_of(item)
    if facts.answers is None or facts.folder is not None or step.tries == 1:
        return str(facts.place)
    return f"bq://{answer_table(table_of(facts.answers).dataset_name, item, step)}"


def _check_not_cancelled(item: Item) -> None:
    """Raise ``Cancelled`` if no further job may be created for a batch."""
    facts = facts_of(item)
    if facts.cancelling:
        raise Cancelled(CANCELLED_HALFWAY if facts.rounds else "the batch was cancelled before its job was created")


def _keep_for_a_while(item: Item, services: Services) -> None:
    """Let the table of requests that Modeldrop built expire, if the batch does not end before."""
    table = table_at(facts_of(item).source[0])
    if table is not None and is_own(table, item):
        services.tables.keep_until(table, _expiry(services))
    if facts_of(item).is_divided:
        services.tables.keep_until(divided_table(item), _expiry(services))


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
        if pending.key != item.key and pending.waits_for not in REFUSED
    )
    if running >= services.settings.max_concurrent_batches:
        raise WaitFor(WaitReason.QUOTA, services.settings.wait_seconds)
