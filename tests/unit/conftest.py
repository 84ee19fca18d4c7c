"""Pure parts, each by itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from localcloud.base.clock import SystemClock
from localcloud.base.http import HttpServer
from localcloud.storage.service import Storage


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[storage.Bucket]:
    """An empty bucket of a local Cloud Storage."""
    service = Storage(tmp_path_factory.mktemp("storage"), clock=SystemClock(), project="units")
    service.store.ensure_bucket("units-bucket")
    server = HttpServer(service.app)
    server.start()
    client = storage.Client("units", AnonymousCredentials(), client_options={"api_endpoint": server.url})
    yield client.bucket("units-bucket")
    server.stop()
    service.close()
