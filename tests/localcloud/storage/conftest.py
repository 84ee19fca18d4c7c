"""The servers of Cloud Storage for all tests here, and a clock that tests set. A test has a store of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localcloud.base.clock import ManualClock
from tests.localcloud.storage.world import Stage, running_stage


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """The running servers, which serve the store of one test at a time."""
    with running_stage() as running:
        yield running


@pytest.fixture
def clock() -> ManualClock:
    """A clock that only the test moves."""
    return ManualClock()
