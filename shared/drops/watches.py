"""Watches: items of the ledger that watch a drop until it has settled.

While a drop is watched, an event for one of its files costs the one call that reads the watch. The poller examines the
drop when the watch is due.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared import trace
from shared.checks.identifiers import ModelName
from shared.drops import limits
from shared.drops.contents.files import drop_files
from shared.drops.contents.refusals import found_files
from shared.drops.drop import Drop, DropPath, NotReady
from shared.engine.services import Services
from shared.engine.stuck import report_object, report_stuck
from shared.errors import LostRace, Problem, Unreadable
from shared.keys import hash_of
from shared.work import Item, Kind, Outcome, WaitReason
from shared.work_facts import DropFacts, DropRequest

# A drop that gives the number of its files, and has no more than one page of them, is examined at every event, so that it
# is imported with its last file instead of when it has settled.
COUNTED_FILES = 1000

_ROUNDS = 5


@dataclass(frozen=True)
class Sender:
    """Who asks for an import. If it is a message, its sender finds the event by its ids and labels."""

    source: str
    """An id of this request: that of the message, or another one."""
    message_id: str | None = None
    request_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_watch(cls, watch: Item | None) -> Sender | None:
        """Return who asked for the import of a drop that was not ready then; None if nobody did."""
        if watch is None or watch.final or not watch.sources:
            return None
        return cls(watch.sources[-1], watch.message_id, watch.request_id, watch.labels)

    def mark(self, item: Item) -> Item:
        """Return an import, or the watch of a drop, with the ids and labels of this message."""
        assert isinstance(item.request, DropRequest)
        return replace(
            item,
            sources=(self.source,),
            message_id=self.message_id,
            request_id=self.request_id,
            request=replace(item.request, labels=self.labels),
        )


def new_watch(path: DropPath, target: ModelName, services: Services) -> Item:
    """Return the watch of a drop that is not watched yet; ``target`` is the model that the drop becomes."""
    now = services.now()
    return Item(
        kind=Kind.DROP,
        key=path.key,
        payload=hash_of(path.prefix),
        request=DropRequest(
            model=str(target),
            path=path.uri(services.settings.model_bucket),
            dataset=path.dataset,
            folder=path.model,
            version=path.version,
        ),
        facts=DropFacts(since=now),
        created=now,
        traceparent=trace.current_traceparent(),
    )


def read_watch(path: DropPath, services: Services) -> Item | None:
    """Return the watch of a drop, or None if it was never watched. A watch that cannot be read is replaced."""
    try:
        return services.ledger.read(Kind.DROP, path.key)
    except Unreadable as error:
        _replace(path, error, services)
        return services.ledger.read(Kind.DROP, path.key)


def replace_unreadable(key: str, error: Unreadable, services: Services) -> bool:
    """Replace a watch that cannot be read, and report it; return False if no drop in the bucket has this key."""
    path = next((path for path, _ in drop_files(services).versions() if path.key == key), None)
    if path is not None:
        _replace(path, error, services)
    return path is not None


def _replace(path: DropPath, error: Unreadable, services: Services) -> None:
    drop = path.uri(services.settings.model_bucket)
    consequence = f"It was the watch of {drop}: Modeldrop replaces it and examines the drop again"
    report_object(error, consequence, services, work=(Kind.DROP, path.key))
    item = _due_watch(path, services)
    with suppress(LostRace):
        services.ledger.reopen(replace(item, generation=error.generation), claimed=False)


def open_watch(path: DropPath, watch: Item | None, services: Services, *, wait_seconds: float = 0.0) -> None:
    """Watch a drop without reading its files: the poller examines it.

    Args:
        path: The drop.
        watch: Its watch as the ledger has it. An open one stays as it is.
        services: The services of this process.
        wait_seconds: After how many seconds the poller examines it.
    """
    if watch is not None and not watch.final:
        return
    item = _due_watch(path, services, wait_seconds)
    if watch is not None:
        # Files that were imported are not imported again.
        known = facts_of(watch)
        facts = replace(facts_of(item), fingerprint=known.fingerprint, listed_until=known.listed_until)
        item = replace(item, facts=facts)
    _written(item, watch, services)


def watch_for(path: DropPath, watch: Item, sender: Sender, services: Services) -> None:
    """Watch a drop that has failed again, so that the poller imports the same files once more for ``sender``."""
    _written(sender.mark(_due_watch(path, services)), watch, services)


def _due_watch(path: DropPath, services: Services, wait_seconds: float = 0.0) -> Item:
    # `modeldrop.yaml`, which is not read here, may name another model.
    target = ModelName(services.settings.google_cloud_project, path.dataset, path.model)
    return new_watch(path, target, services).wait(WaitReason.SETTLING, services.now() + timedelta(seconds=wait_seconds))


def request_of(watch: Item) -> DropRequest:
    """Return what ``watch`` asks for."""
    assert isinstance(watch.request, DropRequest)
    return watch.request


def facts_of(watch: Item) -> DropFacts:
    """Return what is known of the drop that ``watch`` is about."""
    assert isinstance(watch.facts, DropFacts)
    return watch.facts


def covers(watch: Item, created: datetime | None) -> bool:
    """Return whether a file that was written at ``created`` is no reason to examine the drop.

    The poller examines an open drop when it is due. A drop that was imported was listed with everything that was written
    before its newest file: events of a large drop arrive for minutes after that.
    """
    facts = facts_of(watch)
    if watch.final:
        return created is not None and facts.listed_until is not None and created <= facts.listed_until
    return facts.files is None or facts.files > COUNTED_FILES


def open_or_update(
    drop: Drop, decision: NotReady, watch: Item | None, services: Services, sender: Sender | None = None
) -> None:
    """Store that the drop is watched, when to examine it again, and which message asks for its import.

    A concurrent write by another call is as good, unless only this call knows the number of files, or the message.
    """
    target = drop.target(services.settings.google_cloud_project)
    for _ in range(_ROUNDS):
        if watch is None or watch.final:
            item = new_watch(drop.path, target, services)
        elif _is_up_to_date(watch, drop, services) and _is_from(watch, sender):
            return
        else:
            # `modeldrop.yaml` may have been uploaded since, and may name another model.
            item = replace(watch, request=replace(request_of(watch), model=str(target)))
        facts = replace(
            facts_of(item),
            missing=decision.missing,
            found=found_files(drop.payload),
            found_count=len(drop.payload),
            files=drop.manifest.files,
        )
        item = replace(item, facts=facts).wait(WaitReason.SETTLING, decision.due)
        if sender is not None:
            item = sender.mark(item)
        if _written(item, watch, services):
            return
        watch = read_watch(drop.path, services)
        is_counted = watch is not None and (drop.manifest.files is None or facts_of(watch).files == drop.manifest.files)
        if is_counted and _is_from(watch, sender):
            return


def end_watch(watch: Item, outcome: Outcome, drop: Drop | None, services: Services) -> None:
    """End a watch: the drop is imported as it was listed (`SETTLED`), or its files are gone (`GONE`)."""
    facts = replace(
        facts_of(watch),
        fingerprint=drop.fingerprint if drop else "",
        listed_until=drop.newest if drop else None,
    )
    # A watch has no completion event of its own.
    ended = replace(watch, facts=facts, event_published=True, waits_for=None, not_before=None)
    with suppress(LostRace):
        services.ledger.finish(ended.end(outcome, services.now()))
    # The event of a file that was uploaded after the listing was skipped, because the drop was watched.
    watch_again_if_changed(DropPath.of_request(request_of(watch)), facts.fingerprint or "", services)


def watch_again_if_changed(path: DropPath, fingerprint: str, services: Services) -> None:
    """Watch a drop again if its files no longer have ``fingerprint``, in case no further event arrives for them."""
    watch = read_watch(path, services)
    if watch is None or not watch.final:
        return
    drop, _ = drop_files(services).read_or_list(path)
    if not drop.is_empty and drop.fingerprint != fingerprint:
        due = (drop.newest or services.now()) + timedelta(seconds=services.settings.settle_seconds)
        open_or_update(drop, NotReady((), due), watch, services)


def stuck_problem(watch: Item, services: Services) -> tuple[Problem, str] | None:
    """Return the problem of a drop that has lacked files for ``DROP_STUCK_SECONDS``, and the name to report it under."""
    facts = facts_of(watch)
    waited = (services.now() - facts.since).total_seconds()
    if not facts.missing or waited < services.settings.drop_stuck_seconds:
        return None
    lacking = ", ".join(facts.missing)
    there = ", ".join(file.name for file in facts.found[: limits.NAMED_FILES])
    more = f" and {facts.found_count - limits.NAMED_FILES:,} more" if facts.found_count > limits.NAMED_FILES else ""
    problem = Problem(
        "drop_incomplete",
        f"the drop {request_of(watch).path} is incomplete: it holds {there or 'no file that counts'}{more}, and still lacks "
        f"{lacking}. Upload what is missing; the drop is imported as soon as it is complete",
    )
    return problem, f"settling-{facts.since.isoformat()}"


def report_incomplete(watch: Item, services: Services) -> None:
    """Report an open watch as stuck, once, if its drop has lacked files for too long."""
    if stuck := stuck_problem(watch, services):
        report_stuck(watch, *stuck, services)


def _is_up_to_date(watch: Item, drop: Drop, services: Services) -> bool:
    """Return whether an open watch is not due yet, and says of the drop what is to be said."""
    return (
        watch.not_before is not None
        and watch.not_before > services.now()
        and facts_of(watch).files == drop.manifest.files
        and request_of(watch).model == str(drop.target(services.settings.google_cloud_project))
    )


def _is_from(watch: Item | None, sender: Sender | None) -> bool:
    """Return whether a watch names the message that asks for the import, if one does."""
    return sender is None or (watch is not None and sender.source in watch.sources)


def _written(item: Item, watch: Item | None, services: Services) -> bool:
    if watch is None:
        return services.ledger.create(item) is not None
    try:
        services.ledger.reopen(replace(item, generation=watch.generation), claimed=False)
    except LostRace:
        return False
    return True
