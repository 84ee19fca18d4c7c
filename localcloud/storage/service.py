"""The local Cloud Storage as one service: the store, and the JSON API in front of it."""

from __future__ import annotations

from pathlib import Path

from localcloud.base.asgi import ASGIApp
from localcloud.base.clock import Clock
from localcloud.storage.access_api import AccessApi
from localcloud.storage.api import StorageApi
from localcloud.storage.batch_api import BatchApi
from localcloud.storage.bucket_api import BucketApi
from localcloud.storage.object_api import ObjectApi
from localcloud.storage.store import ObjectStore
from localcloud.storage.upload_api import UploadApi


class Storage:
    """Cloud Storage on this machine, which keeps everything in one directory.

    Attributes:
        app: The JSON API: ``/storage/v1/...``, ``/upload/storage/v1/...``, ``/resumable/upload/storage/v1/...``,
            ``/download/storage/v1/...`` and ``/batch/storage/v1``.
        store: The buckets and objects, which the other local services use directly.
        project: The project that all buckets belong to.
    """

    def __init__(self, directory: Path, *, clock: Clock, project: str) -> None:
        """Open the service in ``directory``, which is created if it is missing."""
        self.project = project
        self.store = ObjectStore(directory, clock=clock)
        calls = [
            *BucketApi(self.store).routes(),
            *ObjectApi(self.store).routes(),
            *AccessApi(self.store).routes(),
        ]
        # A batch cannot contain uploads or other batches.
        batches = BatchApi(StorageApi(calls))
        self._uploads = UploadApi(self.store)
        self.app: ASGIApp = StorageApi([*calls, *self._uploads.routes(), *batches.routes()])

    def limit_writes(self, per_second: float | None) -> None:
        """Reject more than ``per_second`` writes a second to one object name with a 429; ``None`` sets no limit.

        Cloud Storage accepts one a second: https://cloud.google.com/storage/quotas#objects
        """
        self.store.limit_writes(per_second)

    def close(self) -> None:
        """Close the files and drop unfinished uploads."""
        self._uploads.close()
        self.store.close()
