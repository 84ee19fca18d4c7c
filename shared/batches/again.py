"""Runs a batch again that has ended: all of it, or the rows that have no answer.

Each function opens the item of the batch as its next run, with the generation of the item as a precondition, so that of two
calls at the same moment one runs it.
"""

from __future__ import annotations

from dataclasses import replace

from shared.batch_work import FAILED, BatchFacts, BatchMessage, BatchRound
from shared.batches.batching import Batches, plan
from shared.batches.files import has_answers
from shared.batches.next_steps import after_review, suffix_of, with_repeat, with_steps
from shared.batches.output.claims import claim_outputs
from shared.batches.output.places import facts_of, own_tables, request_of, table_at, table_of
from shared.batches.preparing import prepared
from shared.batches.reading import lines_location, with_reason
from shared.engine.claims import check_claim, next_attempt
from shared.engine.running.steps import advance
from shared.engine.services import Services
from shared.errors import LostRace, ModeldropError, Rejected, TryLater, short_reason
from shared.events.incoming import Message
from shared.log import log
from shared.work import Item, Outcome, StepState


def resubmit(item: Item, message: Message, services: Services) -> Item:
    """Run a batch again from its first step, with all that this costs."""
    if message.id in item.sources:
        return item
    check_final(item, "resubmit")
    assert isinstance(item.request, BatchMessage)
    request = request_of(item, services.settings)
    again = plan(request, item.request.message, message, services.now())
    again = replace(again, key=item.key, request_id=item.request_id, payload=item.payload, request=item.request)
    # A request that cannot be used any more, such as one whose output has rows now, leaves the batch as it ended.
    prepared(again, request, services)
    claimed = _claim(item, again, services)
    # Only the call that holds the claim: another one may have opened the former run again, which needs its tables.
    _delete_tables(item, claimed, services)
    return advance(claimed, Batches(), services)


def delete_former_tables(former: Item, claimed: Item, services: Services) -> None:
    """Delete the tables of the former run of a batch that was sent again under its ``request_id``.

    If the request is refused now, the answers that were paid remain until they expire.

    Args:
        former: The batch as its former run ended.
        claimed: The next run, whose claim this call holds.
        services: The services of this process.

    Raises:
        TryLater: A service did not answer; the poller begins the run, and the tables expire.
    """
    if not own_tables(former):
        return
    try:
        prepared(claimed, request_of(claimed, services.settings), services)
    except Rejected as error:
        log("INFO", "the tables of a batch stay", **former.log_fields(), reason=error.problem.code)
    else:
        _delete_tables(former, claimed, services)


def _delete_tables(former: Item, claimed: Item, services: Services) -> None:
    """Delete the tables that Modeldrop created for the former run of a batch; those that cannot be deleted expire.

    Raises:
        LostRace: The lease of this call has ended. Another call has begun the next run, which has tables of the same names.
    """
    for table in own_tables(former):
        check_claim(claimed, services)
        try:
            services.tables.delete(table)
        except ModeldropError as error:
            log("WARNING", "a table of a batch stays", **former.log_fields(), reason=short_reason(error))


def retry_failed_rows(item: Item, message: Message, services: Services) -> Item:
    """Send the rows of a batch that have no answer again, and put the answers in place of the failures."""
    if message.id in item.sources:
        return item
    check_final(item, "retry")
    facts = facts_of(item)
    if item.outcome not in {Outcome.PARTIALLY_SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED, Outcome.EXPIRED}:
        advice = "; send the request again, corrected" if item.outcome is Outcome.REJECTED else ""
        raise Rejected(
            f"the batch {ended_as(item)}: there are no failed rows{advice}", field="action", code="nothing_to_retry"
        )
    if facts.answers is None:
        raise Rejected(
            "the rows of this batch cannot be sent again by themselves: its requests or answers are in files that cannot be "
            "read as rows; resubmit the batch",
            field="action",
            code="nothing_to_retry",
        )
    if facts.folder is not None:
        return _retry_in_folder(item, message, services)
    was_moved = _has_done(item, "move")
    if (was_moved or facts.moved) and "$" in str(facts.output):
        raise Rejected(
            f"the answers are in the partition {str(facts.output).removeprefix('bq://')}, in which BigQuery cannot "
            "replace the rows that failed: send their requests in another batch",
            field="action",
            code="output_is_partition",
        )
    rounds = facts.rounds
    if not rounds:
        source = facts.source[0] if table_at(facts.source[0]) else None
        rounds = (BatchRound(source, facts.answers),)
    tables = [table for each in rounds if each.written and (table := table_at(each.answers))]
    if facts.deleted or not tables or any(services.tables.describe(table) is None for table in tables):
        raise Rejected(
            "the tables with the answers of the batch do not exist: no row was answered, or they have expired "
            "(BATCH_TABLES_DAYS) or were deleted; resubmit the batch",
            field="action",
            code="answers_not_found",
        )
    claim_outputs(item, request_of(item, services.settings), services)
    facts = replace(_after_writes(item, replace(facts, rounds=rounds)), cancelling=False, unfound=None)
    if facts.files and not facts.is_divided:
        # The table of the lines may have expired.
        facts = replace(facts, lines=None)
    again = _next_run(item, facts, message, services)
    result = facts.result
    if result is not None and result.tokens is not None and not result.failed and not result.incomplete:
        # All rows have their answers, and only a step after that has failed: no job is paid again.
        return _begin(item, after_review(again, services.settings), services)
    return _begin(item, with_repeat(with_reason(again, services), FAILED), services)


def _retry_in_folder(item: Item, message: Message, services: Services) -> Item:
    """Read the answers of a batch in Cloud Storage, then send those that are missing again.

    All folders are read: the tables of their lines may have expired.
    """
    facts = facts_of(item)
    jobs = [each.folder for each in facts.rounds]
    if facts.job_folder not in jobs:
        # The answers of the last job could not be read.
        jobs.append(facts.job_folder)
    numbers = [number for number, folder in enumerate(jobs, start=1) if folder and has_answers(folder)]
    if not numbers or {number for number, each in enumerate(facts.rounds, start=1) if each.written} - set(numbers):
        raise Rejected(
            "the files with the answers of the batch do not exist, or cannot be read: resubmit the batch",
            field="action",
            code="answers_not_found",
        )
    request = request_of(item, services.settings)
    location = lines_location(table_of(facts.answers).dataset_name, request, services)
    if location is None:
        raise Rejected(
            "the answers of the batch cannot be read: the dataset for their lines is in another location; resubmit the batch",
            field="action",
            code="wrong_location",
        )
    claim_outputs(item, request, services)
    facts = replace(_after_writes(item, facts), wanted=FAILED, cancelling=False, deleted=False)
    if not facts.is_divided:
        # The table of the lines may have expired.
        facts = replace(facts, lines=None)
    again = _next_run(replace(item, location=location), facts, message, services)
    return _begin(item, with_steps(again, *(f"read{suffix_of(number)}" for number in numbers)), services)


def _has_done(item: Item, step_name: str) -> bool:
    """Return whether the last run of a batch has ended the step ``move``, or a step ``flatten``."""
    done = (step for step in item.steps if step.state is StepState.SUCCEEDED)
    return any(step.name.partition("-")[0] == step_name for step in done)


def _after_writes(item: Item, facts: BatchFacts) -> BatchFacts:
    """Return facts that say which answers the last run of a batch has written: all that it had."""
    written = len(facts.rounds)
    return replace(
        facts,
        moved=written if _has_done(item, "move") else facts.moved,
        flattened=written if _has_done(item, "flatten") else facts.flattened,
    )


def _next_run(item: Item, facts: BatchFacts, message: Message, services: Services) -> Item:
    """Return a batch that has ended as its next run, without steps."""
    return replace(
        item,
        facts=facts,
        sources=(message.id,),
        message_id=message.publishers_id,
        run=item.run + 1,
        steps=(),
        created=services.now(),
        finished=None,
        outcome=None,
        problem=None,
        event_published=False,
        reported=(),
    )


def _begin(ended: Item, again: Item, services: Services) -> Item:
    """Claim ``again`` as the next run of a batch that has ended, and take it as far as it goes without waiting."""
    return advance(_claim(ended, again, services), Batches(), services)


def _claim(ended: Item, again: Item, services: Services) -> Item:
    """Return ``again``, claimed as the next run of a batch that has ended. Raises ``LostRace``."""
    claimed = next_attempt(ended, again, services)
    if not claimed.mine:
        raise LostRace(f"another call changed the batch {ended.key}")
    return claimed.item


def check_final(item: Item, action: str) -> None:
    """Raise ``Rejected`` if a batch is open, and ``TryLater`` if its end is being published."""
    if item.ended and not item.final:
        raise TryLater(f"the end of the batch {item.key} is being published; the action can be repeated after that")
    if not item.final:
        raise Rejected(
            f"the batch is still running; {action} it after its event, or cancel it before",
            field="action",
            code="batch_is_open",
        )


def ended_as(item: Item) -> str:
    """Return how a batch ended, as the verb of a sentence."""
    match item.outcome:
        case Outcome.REJECTED | Outcome.CHECKED | Outcome.CANCELLED:
            return f"was {item.outcome}"
        case Outcome.EXPIRED:
            return "has expired"
        case outcome:
            return str(outcome).replace("_", " ")
