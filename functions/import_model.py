"""A file arrives in the model bucket: when its drop is complete and has settled, the drop becomes a model."""

from __future__ import annotations

from cloudevents.http import CloudEvent

from shared.drops.drop import DropPath
from shared.drops.intake import notice
from shared.engine.services import services
from shared.errors import LostRace
from shared.events.edge import cloud_event
from shared.events.incoming import FinalizedObject


@cloud_event
def import_model(event: CloudEvent) -> None:
    """Take note of a finalized object.

    Objects that belong to no drop are ignored without a call to any service. Raises ``TryLater`` if the ledger or the
    bucket does not answer: then the event comes again.
    """
    file = FinalizedObject.from_event(event)
    drop = DropPath.of_object(file.name) if file else None
    if file is None or drop is None or file.bucket != services().settings.model_bucket:
        return
    try:
        notice(drop, file, services())
    except LostRace:
        return
