"""The servers of Cloud Storage for all tests here, and a clock that tests set. A test has a store of its own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from localcloud.base.clock import ManualClock
from localcloud.base.credentials import Credentials
from localcloud.storage.service import Storage
from tests.localcloud.storage.world import BUCKET, PROJECT, Stage, StorageWorld, running_stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The running servers, which serve the store of one test at a time."""
    with running_stage() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    """A clock that only the test moves."""
    return ManualClock()


@pytest.fixture(scope="session")
def signer() -> Credentials:
    """The account whose signatures are valid."""
    return Credentials(project=PROJECT, account="signer", token_uri="http://127.0.0.1/token", clock=ManualClock())


@pytest.fixture
def xml_clock() -> ManualClock:
    """The clock of ``xml_world``: clients sign with the time of the machine."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def xml_world(stage: Stage, tmp_path: Path, signer: Credentials, xml_clock: ManualClock) -> Iterator[StorageWorld]:
    """A local Cloud Storage with both of its APIs."""
    storage = Storage(tmp_path / "storage", clock=xml_clock, project=PROJECT, verify=signer.verify)
    storage.store.ensure_bucket(BUCKET, settings={"softDeletePolicy": {"retentionDurationSeconds": 0}})

    async def app(scope: Any, receive: Any, send: Any) -> None:
        is_xml = storage.is_xml_request(scope["method"], scope["path"])
        chosen = storage.xml_app if is_xml else storage.app
        await chosen(scope, receive, send)

    stage.app = app
    yield StorageWorld(storage, tmp_path / "storage", stage.server.url)
    storage.close()
