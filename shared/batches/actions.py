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

from shared.batch_work import BATCH_ACTIONS
from shared.batches.again import check_final, ended_as, resubmit, retry_failed_rows
from shared.batches.batching import Batches
from shared.batches.output.places import facts_of, own_tables
from shared.checks.fields import Fields
from shared.checks.labels import read_request_id
from shared.engine.ledger.index import is_key
from shared.engine.ledger.refused import listed_rejections, read_rejection
from shared.engine.running.steps import advance
from shared.engine.services import Services
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
                    return resubmit(item, message, services)
                case _:
                    return retry_failed_rows(item, message, services)
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
        raise Rejected(f"the batch has ended: it {ended_as(item)}", field="action", code="batch_has_ended")
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
    check_final(item, "delete")
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
