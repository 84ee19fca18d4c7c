"""Watches: items of the ledger that keep an eye on a drop until it has settled.

While a drop is watched, an event of it costs the one call that reads the watch; the poller looks when the watch is due.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from shared.checks.identifiers import ModelName
from shared.drops.drop import Drop, DropPath, NotReady
from shared.engine.services import Services
from shared.errors import LostRace, Problem
from shared.keys import hash_of
from shared.work import Item, Kind

# A drop that says how many files it has, and has no more than one page of them, is looked at with every event, so that it
# is imported with its last file instead of when it has settled.
COUNTED_FILES = 1000

_ROUNDS = 5


def is_enough(watch: Item, created: datetime | None) -> bool:
    """Return whether a file of the drop, written at ``created``, needs no look.

    The poller looks at an open drop when it is due. And a drop that was imported was listed with all that was written
    before its newest file: events of a large drop come for minutes after that.
    """
    if watch.final:
        listed_until = watch.facts.get("listed_until")
        return created is not None and listed_until is not None and created <= datetime.fromisoformat(listed_until)
    files = watch.facts.get("files")
    return files is None or files > COUNTED_FILES


def open_or_update(path: DropPath, drop: Drop, decision: NotReady, watch: Item | None, services: Services) -> None:
    """Write that the drop is watched, and when to look again.

    Somebody else's write at the same time is as good, unless only this one knows how many files there must be.
    """
    found = {"missing": list(decision.missing), "files": drop.manifest.files}
    for _ in range(_ROUNDS):
        target = drop.target(services.settings.google_cloud_project)
        if watch is None or watch.final:
            item = new(path, target, services)
        elif _is_young(watch, drop, services):
            return
        else:
            # `modeldrop.yaml` may have come since, and name another model.
            item = replace(watch, request={**watch.request, "model": str(target)}).with_facts(model=str(target))
        item = replace(item, not_before=decision.due, waits_for="settling").with_facts(**found)
        if _written(item, watch, services):
            return
        watch = services.ledger.read(Kind.DROP, path.key)
        if watch is not None and (drop.manifest.files is None or watch.facts.get("files") == drop.manifest.files):
            return


def _is_young(watch: Item, drop: Drop, services: Services) -> bool:
    """Return whether an open watch says all that is to be said before it is due."""
    project = services.settings.google_cloud_project
    return (
        watch.not_before is not None
        and watch.not_before > services.now()
        and watch.facts.get("files") == drop.manifest.files
        and watch.request["model"] == str(drop.target(project))
    )


def _written(item: Item, watch: Item | None, services: Services) -> bool:
    if watch is None:
        return services.ledger.create(item) is not None
    try:
        services.ledger.reopen(replace(item, generation=watch.generation), claimed=False)
    except LostRace:
        return False
    return True


def end(watch: Item, outcome: str, drop: Drop | None, services: Services) -> None:
    """End a watch: the drop is imported as it was listed (`settled`), or `gone`."""
    newest = drop.newest if drop else None
    ended = replace(
        watch.with_facts(
            fingerprint=drop.fingerprint if drop else "", listed_until=newest.isoformat() if newest else None
        ),
        outcome=outcome,
        event_published=True,
        finished=services.now(),
        waits_for=None,
        not_before=None,
    )
    with suppress(LostRace):
        services.ledger.finish(ended)
    # A file that came since the drop was listed found it watched.
    begin_again(path_of(watch), ended.facts["fingerprint"], services)


def begin_again(path: DropPath, fingerprint: str, services: Services) -> None:
    """Watch a drop again if its files are no longer the ones of ``fingerprint``, even if no event of theirs should come."""
    watch = services.ledger.read(Kind.DROP, path.key)
    if watch is None or not watch.final:
        return
    drop, _ = services.drop_files.read_or_list(path)
    if drop.files and drop.fingerprint != fingerprint:
        due = (drop.newest or services.now()) + timedelta(seconds=services.settings.settle_seconds)
        open_or_update(path, drop, NotReady((), due), watch, services)


def path_of(item: Item) -> DropPath:
    """Return the drop that a watch or an import is about."""
    return DropPath(item.request["dataset"], item.request["folder"], item.request["version"])


def stuck_problem(watch: Item, services: Services) -> tuple[Problem, str] | None:
    """Return what to report of a drop that has lacked files for longer than ``DROP_STUCK_SECONDS``, and about what."""
    missing = list(watch.facts.get("missing") or [])
    waited = (services.now() - datetime.fromisoformat(watch.facts["since"])).total_seconds()
    if not missing or waited < services.settings.drop_stuck_seconds:
        return None
    shown = ", ".join(missing[:20]) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")
    problem = Problem("drop_incomplete", f"the drop {watch.request['path']} still lacks {shown}")
    return problem, f"settling-{watch.facts['since']}"


def new(path: DropPath, target: ModelName, services: Services) -> Item:
    """Return the watch of a drop that is not watched yet."""
    now = services.now()
    uri = f"gs://{services.settings.model_bucket}/{path.prefix}"
    return Item(
        kind=Kind.DROP,
        key=path.key,
        payload=hash_of(path.prefix),
        request={
            "model": str(target),
            "path": uri,
            "dataset": path.dataset,
            "folder": path.model,
            "version": path.version,
        },
        created=now,
        facts={"since": now.isoformat(), "model": str(target), "path": uri},
    )
