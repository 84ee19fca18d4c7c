"""The local Cloud Storage as one service: the store, and the JSON API in front of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from localcloud.base.asgi import ASGIApp
from localcloud.base.background import Trouble, repeat
from localcloud.base.clock import Clock
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rest.access import AccessApi
from localcloud.storage.rest.api import StorageApi
from localcloud.storage.rest.batches import BatchApi
from localcloud.storage.rest.buckets import BucketApi
from localcloud.storage.rest.notifications import NotificationApi
from localcloud.storage.rest.objects import ObjectApi
from localcloud.storage.rest.uploads import UploadApi
from localcloud.storage.testbench.api import RetryTestApi
from localcloud.storage.testbench.effects import RetryTestApp
from localcloud.storage.testbench.kept import HmacKeyApi
from localcloud.storage.testbench.retry_tests import RetryTests
from localcloud.storage.xml.app import XmlApi
from localcloud.storage.xml.signatures import Verifier

log = logging.getLogger(__name__)

# Cloud Storage takes up to a day: https://cloud.google.com/storage/docs/lifecycle#behavior
_SWEEP_SECONDS = 60.0


def _verify_none(email: str, text: bytes, signature: bytes) -> bool:
    return False


def _any_topic(name: str) -> bool:
    return True


class Storage:
    """Cloud Storage on this machine, which keeps everything in one directory.

    Attributes:
        app: The JSON API: ``/storage/v1/...``, ``/upload/storage/v1/...``, ``/resumable/upload/storage/v1/...``,
            ``/download/storage/v1/...`` and ``/batch/storage/v1``.
        xml_app: The XML API: ``/BUCKET/OBJECT``.
        store: The buckets and objects, which the other local services use directly.
        project: The project that all buckets belong to.
    """

    def __init__(
        self,
        directory: Path,
        *,
        clock: Clock,
        project: str,
        verify: Verifier = _verify_none,
        account: str | None = None,
        has_topic: Callable[[str], bool] = _any_topic,
        retry_tests: bool = False,
    ) -> None:
        """Open the service.

        Args:
            directory: The directory of its files, which is created if it is missing.
            clock: The time of changes.
            project: The project that all buckets belong to.
            verify: Checks the signatures of signed URLs; by default none is valid.
            account: The e-mail address of the account that owns the objects; by default the owners of the project do.
            has_topic: Returns whether Pub/Sub has a topic, to which notifications can be published.
            retry_tests: Whether the retry-test API is there, and HMAC keys, which it needs, are kept. Notifications can name
                any topic then.
        """
        self.project = project
        self._clock = clock
        self._stopped = threading.Event()
        self._sweeper: threading.Thread | None = None
        self.store = ObjectStore(directory, clock=clock, account=account)
        calls = [
            *BucketApi(self.store).routes(),
            *ObjectApi(self.store).routes(),
            *AccessApi(self.store).routes(),
            *NotificationApi(self.store, _any_topic if retry_tests else has_topic).routes(),
        ]
        # A batch cannot contain uploads or other batches.
        batches = BatchApi(StorageApi(calls))
        self._uploads = UploadApi(self.store)
        routes = [*calls, *self._uploads.routes(), *batches.routes()]
        self._failing: RetryTestApp | None = None
        self.app: ASGIApp = StorageApi(routes)
        if retry_tests:
            tests = RetryTests()
            added = [*HmacKeyApi(clock).routes(), *RetryTestApi(tests).routes()]
            self._failing = RetryTestApp(StorageApi([*added, *routes]), tests, clock)
            self.app = self._failing
        self._xml = XmlApi(self.store, self._uploads, clock=clock, verify=verify)
        self.xml_app: ASGIApp = self._xml

    def start(self) -> None:
        """Carry out lifecycle rules from now on, once a minute."""
        self._sweeper = threading.Thread(target=self._sweep, name="lifecycle", daemon=True)
        self._sweeper.start()

    def _sweep(self) -> None:
        repeat(self._sweep_once, trouble=Trouble(log, "the lifecycle of objects"), stopped=self._stopped)

    def _sweep_once(self) -> None:
        self.store.apply_lifecycle()
        self._clock.wait(self._stopped, _SWEEP_SECONDS)

    def is_xml_request(self, method: str, path: str) -> bool:
        """Return whether the XML API answers a request: its path begins with a bucket, or it would create one."""
        bucket, _, name = path.removeprefix("/").partition("/")
        return self.store.has_bucket(bucket) or (method == "PUT" and bool(bucket) and not name)

    def limit_writes(self, per_second: float | None) -> None:
        """Reject more than ``per_second`` writes a second to one object name with a 429; ``None`` sets no limit.

        Cloud Storage accepts one a second: https://cloud.google.com/storage/quotas#objects
        """
        self.store.limit_writes(per_second)

    def close(self) -> None:
        """Close the files and drop unfinished uploads."""
        self._stopped.set()
        if self._sweeper is not None:
            self._sweeper.join()
        if self._failing is not None:
            self._failing.close()
        self._uploads.close()
        self._xml.close()
        self.store.close()
