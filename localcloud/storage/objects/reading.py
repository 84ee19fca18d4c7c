"""Buckets and objects as readers see them: generations, lists and contents."""

from __future__ import annotations

from typing import BinaryIO

from localcloud.base.clock import Clock
from localcloud.storage.objects.bucket_store import BucketStore
from localcloud.storage.objects.catalog import Catalog
from localcloud.storage.objects.contents import ContentDirectory
from localcloud.storage.objects.listing import ListQuery, Page, list_page
from localcloud.storage.objects.past_generations import PastGenerations
from localcloud.storage.rules.customer_keys import check_key
from localcloud.storage.rules.errors import NotFound
from localcloud.storage.rules.resources import StoredObject

# The class below has a method called ``list``, which hides the type of that name.
Objects = list[StoredObject]


class ReadableStore(BucketStore):
    """Buckets and their objects, of which it changes only the buckets. Every method may be called from any thread."""

    def __init__(self, catalog: Catalog, past: PastGenerations, contents: ContentDirectory, clock: Clock) -> None:
        """Use the catalog, past generations and contents of a store."""
        super().__init__(catalog, past, clock)
        self._contents = contents

    def get(self, bucket: str, name: str, generation: int | None = None) -> StoredObject:
        """Return the live object of that name, or the ``generation`` that is given. Raises ``NotFound``."""
        with self._lock:
            stored = self._live(bucket, name)
            if generation is not None and (stored is None or stored.generation != generation):
                stored = self._past.noncurrent(bucket, name, generation)
            if stored is None:
                raise NotFound(f"No such object: {bucket}/{name}")
            return stored

    def get_soft_deleted(self, bucket: str, name: str, generation: int) -> StoredObject:
        """Return a generation that was deleted and can be restored. Raises ``NotFound``."""
        with self._lock:
            self.bucket(bucket)
            return self._past.soft_deleted(bucket, name, generation, self._clock.now())

    def list(self, bucket: str, prefix: str = "") -> Objects:
        """Return the live objects with ``prefix``, sorted by name. Raises ``NotFound``."""
        with self._lock:
            self.bucket(bucket)
            objects = self._catalog.objects(bucket)
            return list_page(objects, ListQuery(prefix=prefix, max_results=len(objects))).items

    def page(self, bucket: str, query: ListQuery) -> Page:
        """Return one page of a list. Raises ``NotFound`` or ``InvalidRequest``."""
        with self._lock:
            self.bucket(bucket)
            if query.versions or query.soft_deleted:
                objects = self._past.all_of(bucket, self._clock.now(), soft_deleted=query.soft_deleted)
                return list_page(objects, query)
            return list_page(self._catalog.objects(bucket), query)

    def open(self, stored: StoredObject, *, key_hash: str | None = None) -> BinaryIO:
        """Open the content of ``stored``, which stays readable after its object is replaced or deleted.

        Args:
            stored: The object.
            key_hash: The hash of the customer-supplied encryption key that the caller gave.

        Raises:
            NotFound: That generation is gone.
            CustomerKeyProblem: The object needs another key.
        """
        check_key(stored.key_hash, key_hash)
        try:
            return self._contents.open(stored.content)
        except FileNotFoundError:
            raise NotFound(f"No such object: {stored.bucket}/{stored.name}") from None

    def open_live(
        self, bucket: str, name: str, generation: int | None = None, *, key_hash: str | None = None
    ) -> tuple[StoredObject, BinaryIO]:
        """Return an object as ``get`` does and its content as ``open`` does, read atomically."""
        with self._lock:
            stored = self.get(bucket, name, generation)
            return stored, self.open(stored, key_hash=key_hash)

    def read(self, bucket: str, name: str) -> bytes:
        """Return the content of the live object. Raises ``NotFound``."""
        _, content = self.open_live(bucket, name)
        with content:
            return content.read()

    def _live(self, bucket: str, name: str) -> StoredObject | None:
        self.bucket(bucket)
        stored: StoredObject | None = self._catalog.objects(bucket).get(name)
        return stored
