"""The next steps of a batch: pure decisions about an item whose last step has ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from shared.batch_work import RETRYABLE, BatchFacts
from shared.batches.answers.rounds import PARTIALLY_SUCCEEDED, may_be_answered_later
from shared.batches.inputs.estimates import estimate
from shared.batches.inputs.files import prompts_problem
from shared.batches.inputs.tables import read_check
from shared.batches.output.places import (
    answer_table,
    facts_of,
    lines_table,
    request_of,
    request_table,
    requested_output,
    submit_step,
    table_of,
)
from shared.batches.request import Prompts
from shared.errors import Problem
from shared.settings import Settings
from shared.work import Item, Outcome, Step, System

# What the event of a batch says that was cancelled after some of its jobs.
CANCELLED_HALFWAY = (
    "the batch was cancelled; the answers that it has are in `answers`, or in `answer_tables` or `answer_folders` if there are "
    "several. The action retry_failed_rows gets the other answers"
)


def after_check(item: Item, rows: Iterable[Mapping[str, Any]], settings: Settings) -> Item:
    """Return an item whose requests were checked with the step that submits them, or with its outcome."""
    request = request_of(item, settings)
    found = read_check(rows, request.kind, request.key, input_files=len(facts_of(item).files))
    check = estimate(found, request.model, settings, request.kind)
    item = replace(item, facts=replace(facts_of(item), check=check, unchecked_bytes=0))
    prompts = request.input if isinstance(request.input, Prompts) else None
    if problem := found.problem("input") if prompts is None else prompts_problem(found, prompts.files):
        return replace(item, outcome=Outcome.REJECTED, problem=problem)
    if check.jobs > 1 and (problem := _undividable(item, found.requests)) is not None:
        return replace(item, outcome=Outcome.REJECTED, problem=problem)
    if request.dry_run:
        return replace(item, outcome=Outcome.CHECKED)
    if check.jobs == 1 and not facts_of(item).too_large:
        return replace(item, steps=(*item.steps, submit_step(item)))
    return divided(item)


def _undividable(item: Item, requests: int) -> Problem | None:
    """Return why the requests of a batch cannot be divided into several jobs; None if they can."""
    if facts_of(item).answers is None:
        message = (
            f"the input has {requests:,} requests, more than one job takes, and cannot be divided: Modeldrop may not "
            "write the dataset for the parts. Let the output be a table, or send several batches"
        )
        return Problem("too_many_requests", message, "input")
    checked = item.steps[-1].job
    if checked is not None and checked.location.lower() != str(item.location).lower():
        # The queries that divide them read the input and write beside the output.
        message = (
            f"the input has {requests:,} requests, more than one job takes; to be divided, it must be where the output is: the "
            f"input is in {checked.location}, and the output in {item.location}"
        )
        return Problem("wrong_location", message, "input")
    return None


def divided(item: Item) -> Item:
    """Return an item whose requests were counted with the steps that divide them and submit the first part."""
    facts = facts_of(item)
    assert facts.check is not None
    return with_part(with_steps(replace(item, facts=replace(facts, parts=facts.check.jobs)), "divide"))


def with_load(item: Item, *names: str) -> Item:
    """Return ``item`` with the step that loads the lines of its files into a table, and the steps ``names`` after it."""
    facts = facts_of(item)
    lines = lines_table(table_of(facts.answers).dataset_name, item)
    return with_steps(replace(item, facts=replace(facts, lines=f"bq://{lines}")), *names)


def after_review(item: Item, settings: Settings) -> Item:
    """Return an item whose answers were counted with the steps that follow, or with its outcome."""
    facts, request = facts_of(item), request_of(item, settings)
    result = facts.result
    assert result is not None
    unsent = facts.unsent_parts
    if facts.cancelling and (unsent > 0 or may_be_answered_later(facts)):
        return replace(item, outcome=Outcome.CANCELLED, problem=Problem("cancelled", CANCELLED_HALFWAY))
    if facts.wanted:
        item, rows = replace(item, facts=replace(facts, wanted="")), facts.wanted
        if result.failed or result.incomplete:
            return with_repeat(item, rows)
    if unsent > 0:
        return with_part(item)
    repeated = sum(bool(each.repeats) for each in facts.rounds)
    if (
        may_be_answered_later(facts)
        and not facts.cancelling
        and repeated < request.retries
        and facts.rounds[-1].written
    ):
        return with_repeat(item, RETRYABLE)
    if result.failed and not result.succeeded:
        return ended(item)
    if facts.folder is not None:
        return ended(item) if request.results is None else with_steps(item, f"flatten{suffix_of(len(facts.rounds))}")
    # The table of a merge exists if a former run has moved its answers into it.
    creates = requested_output(item, settings).write == "merge" and not facts.moved
    return with_steps(item, *(("table", "move") if creates else ("move",)))


def with_repeat(item: Item, rows: str) -> Item:
    """Return ``item`` with the steps that send rows again: ``retryable`` or ``failed`` ones."""
    facts = facts_of(item)
    suffix = suffix_of(len(facts.rounds) + 1)
    dataset = table_of(facts.answers).dataset_name
    submit = submit_step(item, suffix)
    facts = replace(
        facts,
        repeats=rows,
        requests=f"bq://{request_table(dataset, item, suffix)}",
        answers=f"bq://{answer_table(dataset, item, submit)}",
        job_folder=None,
    )
    item = replace(item, facts=facts)
    if loads_lines(facts):
        # Which requests are in no answer is known from the lines of the files alone.
        item = with_load(item, f"load{suffix}")
    item = with_steps(item, f"repeat{suffix}")
    return replace(item, steps=(*item.steps, submit))


def loads_lines(facts: BatchFacts) -> bool:
    """Return whether the lines of the input's files are loaded before rows are sent again."""
    if not facts.files or facts.lines is not None or facts.line_format is None or facts.unfound is not None:
        return False
    # Without a review it is not known which requests the job did not come to.
    return facts.result is not None and (facts.result.tokens is None or bool(facts.result.incomplete))


def with_part(item: Item) -> Item:
    """Return an item with the steps that submit the next part of its requests."""
    facts = facts_of(item)
    suffix = suffix_of(len(facts.rounds) + 1)
    dataset = table_of(facts.answers).dataset_name
    submit = submit_step(item, suffix)
    requests, answers = request_table(dataset, item, f"-part{suffix}"), answer_table(dataset, item, submit)
    facts = replace(facts, requests=f"bq://{requests}", answers=f"bq://{answers}", job_folder=None)
    item = with_steps(replace(item, facts=facts), f"part{suffix}")
    return replace(item, steps=(*item.steps, submit))


def ended(item: Item) -> Item:
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
        return replace(item, outcome=Outcome.PARTIALLY_SUCCEEDED, problem=_unfound(item))
    return replace(item, outcome=Outcome.SUCCEEDED)


def _unfound(item: Item) -> Problem | None:
    """Return why requests that have neither an answer nor a failure were not sent again; None if there are none."""
    facts = facts_of(item)
    if facts.unfound is None or facts.result is None or not facts.result.incomplete:
        return None
    message = (
        f"{facts.result.incomplete:,} requests have neither an answer nor a failure, and were not sent again: {facts.unfound}. "
        "Send them in another batch, or resubmit this one"
    )
    return Problem("requests_not_found", message)


def with_steps(item: Item, *names: str) -> Item:
    """Return ``item`` with further queries."""
    # A repeated request has other ids of jobs than the one before.
    return replace(item, steps=(*item.steps, *(Step(name, System.BIGQUERY, attempt=item.run) for name in names)))


def suffix_of(round_: int) -> str:
    """Return what the names of the steps of a round end in."""
    return f"-{round_}" if round_ > 1 else ""
