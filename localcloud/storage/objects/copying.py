"""Creates objects from others: copies and compositions."""

from __future__ import annotations

from dataclasses import dataclass, replace

from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.customer_keys import check_key
from localcloud.storage.rules.errors import InvalidRequest
from localcloud.storage.rules.fields import ObjectFields
from localcloud.storage.rules.preconditions import NO_PRECONDITIONS, Preconditions
from localcloud.storage.rules.resources import Acl, StoredObject

MOST_SOURCES = 32
_PIECE = 1 << 20


@dataclass(frozen=True)
class Source:
    """The source of a copy, or one source of a composition."""

    bucket: str
    name: str
    generation: int | None = None
    conditions: Preconditions = NO_PRECONDITIONS
    key_hash: str | None = None
    """The hash of the customer-supplied encryption key of the source."""

    def find(self, store: ObjectStore) -> StoredObject:
        """Return the live object. Raises ``NotFound`` or ``PreconditionFailed``."""
        stored = store.get(self.bucket, self.name, self.generation)
        self.conditions.check_write(stored)
        return stored


def copy(
    store: ObjectStore,
    source: Source,
    bucket: str,
    name: str,
    overrides: ObjectFields,
    conditions: Preconditions,
    *,
    key_hash: str | None = None,
    acl: Acl | None = None,
) -> StoredObject:
    """Copy ``source`` to ``bucket`` and ``name`` and return the copy.

    The copy has the key of ``key_hash`` and the list ``acl``, if any. If ``overrides`` has any field, it replaces all fields
    of the source.
    Source: https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite
    """
    stored = source.find(store)
    check_key(stored.key_hash, source.key_hash)
    fields = overrides.over_type(stored.content_type) if overrides else ObjectFields.of(stored)
    fields = replace(fields, key_hash=key_hash, acl=acl)
    with store.copied_content(stored) as content:
        return store.finalize(bucket, name, content, fields, conditions, component_count=stored.component_count)


def compose(
    store: ObjectStore, sources: list[Source], bucket: str, name: str, fields: ObjectFields, conditions: Preconditions
) -> StoredObject:
    """Write the contents of ``sources``, one after the other, to one object, and return it.

    Source: https://cloud.google.com/storage/docs/composite-objects
    """
    if not 1 <= len(sources) <= MOST_SOURCES:
        raise InvalidRequest(
            f"The number of source components provided ({len(sources)}) is not in 1 to {MOST_SOURCES}."
        )
    components = [source.find(store) for source in sources]
    count = sum(component.component_count or 1 for component in components)
    with store.begin_content() as writer:
        for component in components:
            with store.open(component, key_hash=fields.key_hash) as content:
                while piece := content.read(_PIECE):
                    writer.write(piece)
        return store.finalize(bucket, name, writer.finish(), fields, conditions, component_count=count)
