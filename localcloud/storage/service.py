"""Cloud Storage as one service: the store, and the JSON API in front of it."""

from __future__ import annotations

from pathlib import Path

from localcloud.base.clock import Clock
from localcloud.base.http import ASGIApp
from localcloud.storage.api import StorageApi
from localcloud.storage.batch_api import BatchApi
from localcloud.storage.bucket_api import BucketApi
from localcloud.storage.object_api import ObjectApi
from localcloud.storage.store import ObjectStore
from localcloud.storage.upload_api import UploadApi


class Storage:
    """The local Cloud Storage, which keeps everything in one directory.

    ``app`` answers ``/storage/v1/...``, ``/upload/storage/v1/...``, ``/resumable/upload/storage/v1/...``,
    ``/download/storage/v1/...`` and ``/batch/storage/v1``; ``store`` is the same objects for the other services here.
    """

    def __init__(self, directory: Path, *, clock: Clock, project: str) -> None:
        """Open the service in ``directory``, which is made if it is not there. All buckets belong to ``project``."""
        self.project = project
        self.store = ObjectStore(directory, clock=clock)
        calls = [*BucketApi(self.store).routes(), *ObjectApi(self.store).routes()]
        # A batch can hold no upload and no other batch.
        batches = BatchApi(StorageApi(calls))
        self._uploads = UploadApi(self.store)
        self.app: ASGIApp = StorageApi([*calls, *self._uploads.routes(), *batches.routes()])

    def limit_writes(self, per_second: float | None) -> None:
        """Refuse more than ``per_second`` writes a second to one object name with a 429; ``None``: refuse none.

        Cloud Storage takes one a second: https://cloud.google.com/storage/quotas#objects
        """
        self.store.limit_writes(per_second)

    def close(self) -> None:
        """Close the files; uploads under way are given up."""
        self._uploads.close()
        self.store.close()
