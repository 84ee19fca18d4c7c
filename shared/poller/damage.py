"""What the poller does about index objects that cannot be read, and about work whose item is missing."""

from __future__ import annotations

from datetime import timedelta

from shared.engine.ledger.index import LOOKS, LOOKS_REPORTED, NEXT_LOOK, DamagedIndex, Pending
from shared.engine.services import Services
from shared.engine.stuck import ADVICE, report_bad_object, report_object, report_object_once
from shared.engine.waking import LONGEST_DELAY
from shared.errors import Problem, Unreadable
from shared.log import log
from shared.poller.looks import bad_object

ITEM_MISSING = "item_missing"
# The name under which missing items are reported.
ITEM = "item"


def mend_index(damaged: DamagedIndex, services: Services) -> None:
    """Report an index object that cannot be read, once, and write it again if its item is known.

    An object that does not have the name of an index object is left where it is: Modeldrop did not write it.
    """
    listed, ledger = damaged.listed, services.ledger
    if damaged.work is None:
        advice = "Modeldrop ignores it; delete it"
        report_object_once(listed, damaged.reason, advice, services)
        return
    kind, key = damaged.work
    try:
        item = ledger.read(kind, key)
    except Unreadable as error:
        report_object(error, ADVICE, services, work=damaged.work)
        # The item is reported; from now on the poller looks at it as at other work that was set aside.
        now = services.now()
        metadata = {
            "created": listed.written.isoformat(),
            LOOKS: str(services.settings.stuck_looks),
            LOOKS_REPORTED: now.isoformat(),
            NEXT_LOOK: (now + LONGEST_DELAY).isoformat(),
        }
        ledger.objects.write_empty(listed.name, metadata, only_if_missing=False)
        return
    consequence = "Modeldrop writes it again from its item" if item and not item.final else "It belongs to no open work"
    report_object_once(listed, damaged.reason, consequence, services, work=damaged.work)
    if item is not None and not item.final:
        ledger.index(item)
    elif services.now() - listed.written > timedelta(seconds=services.settings.lease_seconds):
        ledger.objects.remove(listed.name, listed.generation)


def report_missing_item(pending: Pending, services: Services) -> None:
    """Publish that an item was deleted by hand, if the index object shows that there was one.

    A call that is killed between its first two writes leaves an index object without an item. That is not reported.
    """
    if pending.deadline is None and not pending.job_id:
        log("INFO", "removed the index object of work that was never stored", key=pending.key, kind=pending.kind.value)
        return
    report_bad_object(bad_object(pending), missing_item(pending.job_id), ITEM, services)


def missing_item(job_id: str) -> Problem:
    """Return the problem of work whose item was deleted; ``job_id`` is the id of its job, empty if there is none."""
    job = f" Its job {job_id} is not watched any more; look at it in its service." if job_id else ""
    return Problem(
        ITEM_MISSING,
        f"the item of this work was deleted from the ledger, so Modeldrop does not continue it.{job} Send the request again "
        "under the same request_id: a job that exists is adopted",
    )
