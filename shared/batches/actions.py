"""What a message does with a batch: cancel it, delete it, send rows without an answer again, or run it again.

Each action may be repeated: a delivery that comes twice finds it done. The batch stays one item of the ledger, so its event
says how it ended. Of several actions at the same moment, one changes the item first. The others read it again and decide
anew, so each of them is done or refused with its reason.
https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.batchPredictionJobs
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from shared.batch_work import BATCH_ACTIONS, FAILED, BatchMessage, BatchRound
from shared.batches.batching import Batches, plan
from shared.batches.next_steps import after_review, with_repeat
from shared.batches.output_claims import claim_outputs
from shared.batches.places import facts_of, own_tables, request_of, table_at
from shared.batches.preparing import prepared
from shared.checks.fields import Fields
from shared.checks.labels import read_request_id
from shared.engine.claims import next_attempt
from shared.engine.index import is_key
from shared.engine.refused import listed_rejections, read_rejection
from shared.engine.services import Services
from shared.engine.steps import advance
from shared.errors import LostRace, Rejected, TryLater, Unreadable, short_reason
from shared.events.incoming import Message
from shared.events.outgoing import completion_event, deleted_event
from shared.keys import hash_of
from shared.log import log
from shared.work import Item, Kind, Outcome, StepState, System

# How often an action is tried when other calls change the batch at the same time.
_TRIES = 5
# The kinds of work that a caller can take for a batch.
OTHER_KINDS = (Kind.PREDICT, Kind.IMPORT, Kind.MANAGE)
# How many kept rejections are looked through for the request of an unknown batch: those of five pages.
MOST_REJECTIONS = 5000
# The fields of an action, and of no other request except request_id.
ACTION_FIELDS = ("action", "key", "request_id")


@dataclass(frozen=True)
class BatchAction:
    """An action, and the batch that it is about."""

    action: str
    key: str
    field: str
    """The field that names the batch."""
    request_id: str | None = None
    """The value of this field; None if the field is ``key``."""

    @classmethod
    def parse(cls, payload: Mapping[str, object], published: datetime) -> BatchAction:
        """Read an action that was sent at ``published``.

        Raises:
            Rejected: A field is wrong; the error names the first one.
        """
        fields = Fields(payload)
        fields.text("action")
        action = fields.choice("action", BATCH_ACTIONS, "")
        if fields.has("key") == fields.has("request_id"):
            both = "not both" if fields.has("key") else "it has neither"
            problem = f"must name the batch with either key or request_id; {both}"
            raise fields.wrong("", problem, code="invalid_field" if fields.has("key") else "missing_field")
        request_id = read_request_id(fields, published)
        key = hash_of(Kind.BATCH, "request", request_id) if request_id is not None else fields.text("key")
        fields.reject_unknown()
        if not is_key(key):
            meant = key.strip().lower()
            hint = f"; did you mean {meant}?" if is_key(meant) else ""
            raise fields.wrong("key", f"must be the key of a batch: 32 digits and letters from a to f{hint}")
        return cls(action, key, "key" if request_id is None else "request_id", request_id)


def act(action: BatchAction, message: Message, services: Services) -> Item:
    """Do what an action says, and return the batch.

    Raises:
        Rejected: There is no such batch, or its state does not allow the action.
        TryLater: A service did not answer, or other calls change the batch; the message must be delivered again.
    """
    for _ in range(_TRIES):
        item = _find(action, services)
        try:
            match action.action:
                case "cancel":
                    return _cancel(item, services)
                case "delete":
                    return _delete(item, services)
                case "resubmit":
                    return _resubmit(item, message, services)
                case _:
                    return _retry_failed_rows(item, message, services)
        except LostRace:
            continue
    raise TryLater(f"other calls change the batch {action.key} at the same time")


def _find(action: BatchAction, services: Services) -> Item:
    try:
        item = services.ledger.read(Kind.BATCH, action.key)
    except Unreadable as error:
        raise Rejected(str(error), field=action.field, code="unreadable_object") from error
    if item is None:
        raise Rejected(
            f"there is no batch with this {action.field}: {_why_missing(action, services)}",
            field=action.field,
            code="batch_not_found",
        )
    return item


def _why_missing(action: BatchAction, services: Services) -> str:
    """Return why the ledger has no batch that an action names, and what to do."""
    for kind in OTHER_KINDS:
        key = action.key if action.request_id is None else hash_of(kind, "request", action.request_id)
        if services.ledger.find(kind, key) is not None:
            return f"it belongs to work of the kind {kind}, and only a batch has actions"
    if (problem := _kept_problem(action.key, services)) is not None:
        return f"its request was rejected: {problem}. Send it again, corrected"
    return "it was never sent, or it is older than LEDGER_RETENTION_DAYS"


def _kept_problem(key: str, services: Services) -> str | None:
    """Return why the request with a key was rejected before it became a batch; None if that is not known."""
    objects = services.ledger.objects
    for kept in islice(listed_rejections(objects), MOST_REJECTIONS):
        event = read_rejection(kept.name, objects) if kept.metadata.get("key") == key else None
        error = event.data.get("error") if event is not None else None
        # A refused action is kept too.
        if isinstance(error, Mapping) and error.get("field") not in ACTION_FIELDS:
            return short_reason(str(error.get("message")))
    return None


def _cancel(item: Item, services: Services) -> Item:
    """Cancel a batch. Answers that its job has written stay."""
    if item.outcome is Outcome.CANCELLED:
        if item.final:
            services.events.publish(completion_event(item))
        return item
    if item.ended:
        raise Rejected(f"the batch has ended: it {_ended_as(item)}", field="action", code="batch_has_ended")
    step = item.current
    job = step.job if step and step.system is System.VERTEX and step.state is StepState.SUBMITTED else None
    if not facts_of(item).cancelling:
        if job is not None:
            # If this call ends before it cancels the job, the poller does: it looks at the item at once.
            services.ledger.index(item, deadline=services.now())
        item = services.ledger.write(replace(item, facts=replace(facts_of(item), cancelling=True)))
        log("INFO", "cancelling", **item.log_fields())
    if job is not None:
        # The poller sees how the job ends.
        services.vertex.cancel(job.id)
        return item
    if step is not None and step.state is StepState.SUBMITTED:
        return item
    if item.claimed_by_another("", services.now()):
        # The poller does not open a batch that waits for a place; this one it opens.
        services.ledger.index(replace(item, waits_for=None, not_before=None))
        return item
    return advance(services.ledger.take_over(item), Batches(), services)


def _delete(item: Item, services: Services) -> Item:
    """Delete the jobs of a batch and the tables that Modeldrop created for it. Its output stays."""
    _check_final(item, "delete")
    # The claim keeps the batch from running again while its tables are deleted.
    item = services.ledger.take_over(replace(item, facts=replace(facts_of(item), deleted=True)))
    try:
        for name in _jobs_of(item, services):
            _check_claimed(item, services)
            services.vertex.delete(name)
        for table in own_tables(item):
            _check_claimed(item, services)
            services.tables.delete(table)
        services.events.publish(deleted_event(item))
    finally:
        with suppress(LostRace):
            # Another call has changed the batch only if the claim has expired.
            item = services.ledger.write(replace(item, claim=None))
    log("INFO", "batch deleted", **item.log_fields())
    return item


def _check_claimed(item: Item, services: Services) -> None:
    """Raise ``TryLater`` if the claim of an item has expired, so that another call may run the batch again."""
    if item.claim is None or item.claim.until <= services.now():
        raise TryLater(f"the deletion of the batch {item.key} takes longer than its claim")


def _jobs_of(item: Item, services: Services) -> Sequence[str]:
    """Return the resource names of all jobs of a batch, those of its earlier runs too."""
    known = [step.job for step in item.steps if step.system is System.VERTEX and step.job is not None]
    location = facts_of(item).location
    listed: Sequence[str] = ()
    # A batch that never had a job may name a location that does not exist.
    if location is not None and (known or item.run > 1):
        listed = services.vertex.list_ended(item.key, location)
    return tuple(dict.fromkeys([*(job.id for job in known), *listed]))


def _resubmit(item: Item, message: Message, services: Services) -> Item:
    """Run a batch again from its first step, with all that this costs."""
    if message.id in item.sources:
        return item
    _check_final(item, "resubmit")
    assert isinstance(item.request, BatchMessage)
    request = request_of(item, services.settings)
    again = plan(request, item.request.message, message, services.now())
    again = replace(again, key=item.key, request_id=item.request_id, payload=item.payload, request=item.request)
    # A request that cannot be used any more, such as one whose output has rows now, leaves the batch as it ended.
    prepared(again, request, services)
    return _begin(item, again, services)


def _retry_failed_rows(item: Item, message: Message, services: Services) -> Item:
    """Send the rows of a batch that have no answer again, and put the answers in place of the failures."""
    if message.id in item.sources:
        return item
    _check_final(item, "retry")
    facts = facts_of(item)
    if item.outcome not in {Outcome.PARTIALLY_SUCCEEDED, Outcome.FAILED, Outcome.CANCELLED, Outcome.EXPIRED}:
        advice = "; send the request again, corrected" if item.outcome is Outcome.REJECTED else ""
        raise Rejected(
            f"the batch {_ended_as(item)}: there are no failed rows{advice}", field="action", code="nothing_to_retry"
        )
    if facts.answers is None:
        raise Rejected(
            "the rows of a batch with answers in Cloud Storage cannot be sent again by themselves; resubmit the batch",
            field="action",
            code="nothing_to_retry",
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
    was_moved = any(step.name == "move" and step.state is StepState.SUCCEEDED for step in item.steps)
    facts = replace(
        facts,
        rounds=rounds,
        moved=len(rounds) if was_moved else facts.moved,
        cancelling=False,
    )
    again = replace(
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
    result = facts.result
    if result is not None and result.tokens is not None and not result.failed and not result.incomplete:
        # All rows have their answers, and only a step after that has failed: no job is paid again.
        return _begin(item, after_review(again, services.settings), services)
    return _begin(item, with_repeat(again, FAILED), services)


def _begin(ended: Item, again: Item, services: Services) -> Item:
    """Claim ``again`` as the next run of a batch that has ended, and take it as far as it goes without waiting."""
    claimed = next_attempt(ended, again, services)
    if not claimed.mine:
        raise LostRace(f"another call changed the batch {ended.key}")
    return advance(claimed.item, Batches(), services)


def _check_final(item: Item, action: str) -> None:
    """Raise ``Rejected`` if a batch is open, and ``TryLater`` if its end is being published."""
    if item.ended and not item.final:
        raise TryLater(f"the end of the batch {item.key} is being published; the action can be repeated after that")
    if not item.final:
        raise Rejected(
            f"the batch is still running; {action} it after its event, or cancel it before",
            field="action",
            code="batch_is_open",
        )


def _ended_as(item: Item) -> str:
    """Return how a batch ended, as the verb of a sentence."""
    match item.outcome:
        case Outcome.REJECTED | Outcome.CHECKED | Outcome.CANCELLED:
            return f"was {item.outcome}"
        case Outcome.EXPIRED:
            return "has expired"
        case outcome:
            return str(outcome).replace("_", " ")
