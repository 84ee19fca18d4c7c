"""Imports a model when its files are in the model bucket: called for every file that is written or deleted there."""

from __future__ import annotations

from contextlib import suppress

from cloudevents.http import CloudEvent

from shared.drops import intake
from shared.drops.contents.ignored import report_ignored
from shared.drops.contents.layout import misplaced
from shared.drops.drop import DropPath
from shared.drops.settling import settling
from shared.engine.services import services
from shared.errors import LostRace
from shared.events.edge import cloud_event
from shared.events.incoming import DELETED, FINALIZED, StoredObject


@cloud_event
def import_model(event: CloudEvent) -> None:
    """Notice a file of a drop, or report an object outside the layout, once for each folder.

    Objects that tools write beside the files of users are ignored without a call to any service.

    Raises:
        TryLater: The ledger or the bucket did not answer; the event is delivered again.
    """
    file = StoredObject.from_event(event, FINALIZED)
    drop = DropPath.of_object(file.name) if file else None
    outside = misplaced(file.name) if file else None
    if file is None or (drop is None and outside is None) or file.bucket != services().settings.model_bucket:
        return
    with suppress(LostRace):
        if drop is not None:
            if due := intake.notice_file(drop, file, services()):
                settling().wait_for(drop, due, services())
        elif outside is not None:
            report_ignored(file, outside, services())


@cloud_event
def notice_deletion(event: CloudEvent) -> None:
    """Examine a drop that has failed again after one of its files is deleted, because a surplus file may be the problem.

    Raises:
        TryLater: The ledger did not answer; the event is delivered again.
    """
    file = StoredObject.from_event(event, DELETED)
    drop = DropPath.of_object(file.name) if file else None
    if file is None or drop is None or file.bucket != services().settings.model_bucket:
        return
    with suppress(LostRace):
        if due := intake.notice_deletion(drop, services()):
            settling().wait_for(drop, due, services())
