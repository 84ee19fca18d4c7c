"""Local clouds for the tests of the whole chain, which kill functions and break services."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import variables
from tests.prepared import saved_models_folder
from tests.waiting import wait_until

if TYPE_CHECKING:
    from tests.e2e.world import World

# The poller runs only when a test calls it, and all waits are short.
SETTINGS = {
    "SETTLE_SECONDS": "2",
    "LEASE_SECONDS": "3",
    "VERTEX_SETTLE": "1",
    "WAIT_SECONDS": "1",
    # Drops are looked for when a test says so: ``World.reconcile``.
    "RECONCILE_SECONDS": "3600",
    "DROP_STUCK_SECONDS": "3600",
    # Only the poller imports a drop that has settled.
    "SETTLE_WAIT_SECONDS": "0",
    # A tick returns at once, so that a test can call the poller as often as it likes.
    "POLL_AGAIN_SECONDS": "0",
    # No function wakes the poller.
    "POLL_SCHEDULE": "",
}


@pytest.fixture(scope="session")
def making_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Creates the tests' own SavedModels in another process, where `make setup` has not.

    Of sessions that run side by side for one `make test`, the first makes them for all.
    """
    base = tmp_path_factory.getbasetemp()
    claim = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "making-saved-models"
    if saved_models_folder().exists() or claim.exists():
        yield
        return
    claim.mkdir(exist_ok=True)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.saved_models", "make"], stderr=subprocess.DEVNULL
    ) as process:
        yield
        process.kill()


@pytest.fixture(scope="session")
def saved_models(making_models: None) -> Path:
    """The folder with the tests' own SavedModels, `shifter` and `judge`."""
    wait_until(saved_models_folder().exists)
    return saved_models_folder()


@pytest.fixture(scope="session")
def start_world(
    making_models: None, request: pytest.FixtureRequest, exchanges: Path
) -> Callable[..., AbstractContextManager[World]]:
    """Starts further worlds whose functions have other settings, or whose cloud is another."""
    from localcloud.cloud import LocalCloud
    from localcloud.config import CloudConfig
    from tests.e2e.world import World

    @contextmanager
    def start(name: str, *, settings: Mapping[str, str] = {}, **config: Any) -> Iterator[World]:
        with variables({}):
            cloud = LocalCloud(
                CloudConfig(
                    with_schedules=False,
                    with_samples=False,
                    function_environment={**SETTINGS, **settings},
                    record_to=exchanges / name,
                    **config,
                )
            )
            cloud.start()
        with ExitStack() as undo:
            undo.callback(cloud.stop)
            # Another process makes them while the cloud starts.
            saved_models: Path = request.getfixturevalue("saved_models")
            world = World(cloud, saved_models / "shifter")
            undo.callback(world.close)
            yield world

    return start


@pytest.fixture(scope="session")
def session_world(start_world: Callable[..., AbstractContextManager[World]]) -> Iterator[World]:
    with start_world("e2e") as world:
        yield world


@pytest.fixture(scope="session")
def impatient(start_world: Callable[..., AbstractContextManager[World]]) -> Iterator[World]:
    """A world that reports a drop as stuck after a second, and delivers events again soon. It has the model `seven`.

    The call that notices a drop waits until it has settled. Two batches run at once at most, and a job of one has
    about 20 requests.
    """
    settings = {
        "DROP_STUCK_SECONDS": "1",
        "SETTLE_SECONDS": "0.5",
        "SETTLE_WAIT_SECONDS": "10",
        "MAX_CONCURRENT_BATCHES": "2",
        "MAX_BATCH_REQUESTS": "20",
    }
    with start_world(
        "impatient", settings=settings, minimum_backoff_seconds=0.05, maximum_backoff_seconds=0.1
    ) as world:
        world.import_shifter("seven", 7)
        yield world


@pytest.fixture(scope="session")
def new_deployment(start_world: Callable[..., AbstractContextManager[World]]) -> Iterator[World]:
    """A world whose functions wake the poller, and whose rights may not be effective yet. It has the model `seven`."""
    from localcloud.config import CloudConfig

    where = f"projects/{CloudConfig().project}/locations/{CloudConfig().location}"
    settings = {
        "POLL_SCHEDULE": f"{where}/jobs/modeldrop-poll",
        "POLL_AGAIN_SECONDS": "1",
        "SETTLE_WAIT_SECONDS": "10",
        "ACCESS_WAIT_SECONDS": "3600",
    }
    with start_world("new_deployment", settings=settings) as world:
        world.import_shifter("seven", 7)
        yield world


@pytest.fixture
def world(session_world: World) -> Iterator[World]:
    """The running world. A test finds it with every function up and nothing open, and leaves it so."""
    session_world.ready()
    yield session_world
    session_world.cloud.faults.clear()
    session_world.quotas_lifted()
    session_world.ready()


@pytest.fixture(scope="session")
def shifter(session_world: World) -> str:
    """A model that adds 7, in the world's dataset."""
    session_world.import_shifter("seven", 7)
    return "seven"


@pytest.fixture
def no_orders(world: World) -> Iterator[None]:
    """Takes back the orders of the stand-in model after a test."""
    yield
    world.order()
