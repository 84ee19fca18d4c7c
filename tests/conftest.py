"""A running local cloud for tests, started when a test first uses it, and clients of it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.fuzz import profiles

if TYPE_CHECKING:
    from google.cloud import bigquery, pubsub_v1, storage

    from localcloud.cloud import LocalCloud
    from tests.received_events import ReceivedEvents

# Variables that lead a client to Google, or to another local cloud than the test's own.
LEADING_VARIABLES = (
    "GOOGLE_",
    "CLOUDSDK_",
    "GCLOUD_",
    "BIGQUERY",
    "VERTEX_",
    "LOCALCLOUD_",
    "GEMINI_",
    "GCE_",
    "SCHEDULER_",
)
LEADING_SUFFIXES = ("_EMULATOR_HOST", "_BUCKET", "_TOPIC", "_JOBS_URL", "_BATCH_URL", "_SCHEDULE")
LAST_MODULE = "test_recorded_exchanges.py"
EXCHANGES_VARIABLE = "MODELDROP_EXCHANGES"

# Files that share something costly run in one process: a cloud with the functions takes about 7 seconds of CPU time to
# start, TensorFlow 5 to import. Every other file is a group of its own. Groups begin in this order, the longest first.
GROUPS = {
    "batches and faults": (
        "e2e/test_faults.py",
        "e2e/test_batch_actions.py",
        "e2e/test_batch_races.py",
        "e2e/test_batch_destinations.py",
        "e2e/test_batch_outputs.py",
        "e2e/test_batch_folders.py",
        "e2e/test_batch_results.py",
        "e2e/test_uploads.py",
        "e2e/test_logs.py",
        "e2e/test_traces.py",
        "e2e/test_dead_letters.py",
        "e2e/test_unknown_states.py",
        "e2e/test_chaos.py",
    ),
    "drops and deliveries": (
        "e2e/test_between.py",
        "e2e/test_delivery_matrix.py",
        "e2e/test_crash_matrix.py",
        "e2e/test_reconciliation.py",
        "e2e/test_story.py",
        "e2e/test_messages.py",
        "e2e/test_waking.py",
        "e2e/test_new_deployment.py",
        "e2e/test_smoke.py",
        "e2e/test_check.py",
        "e2e/test_wrong_drops.py",
        "e2e/test_model_checks.py",
        "e2e/test_models.py",
        "e2e/test_deployments.py",
        "e2e/test_model_life.py",
        "e2e/test_model_tools.py",
        "e2e/test_load.py",
        "e2e/test_costs.py",
    ),
    "demo": ("e2e/test_demo.py",),
    "whole cloud": (
        "e2e/test_tutorials.py",
        "e2e/test_notebook.py",
        "e2e/test_gemini_page.py",
        "e2e/test_labs.py",
        "e2e/test_readme_session.py",
        "e2e/test_gemini_page.py",
        "fuzz/test_functions.py",
        "localcloud/faults/test_quotas.py",
    ),
    "tensorflow": (
        "localcloud/bigquery/ml/runtimes/test_tensorflow.py",
        "localcloud/bigquery/ml/runtimes/test_tensorflow_lite.py",
        "localcloud/bigquery/ml/runtimes/test_onnx.py",
        "localcloud/bigquery/ml/runtimes/test_xgboost.py",
        "security/test_model_operators.py",
        "security/test_model_workers.py",
        "localcloud/bigquery/ml/test_images.py",
        "localcloud/bigquery/ml/test_jobs.py",
        "localcloud/bigquery/test_dataframes.py",
        "unit/modeldrop/exporters/test_keras.py",
        "unit/shared/drops/formats/test_saved_model.py",
        "unit/test_examples.py",
    ),
}
GROUP_OF = {file: group for group, files in GROUPS.items() for file in files}
ORDER = [file for files in GROUPS.values() for file in files]
TESTS = Path(__file__).parent

if missing := [file for file in ORDER if not (TESTS / file).exists()]:
    raise pytest.UsageError(f"GROUPS in tests/conftest.py names files that do not exist: {', '.join(missing)}")

profiles.load()

# Collecting creates millions of objects, all of which stay. Looking for garbage among them takes a second of processor time.
gc.disable()


class GroupScheduling(LoadScopeScheduling):
    """Runs each group of tests in one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0].removeprefix("tests/")
        return GROUP_OF.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling | None:
    """Schedule by groups where `make test` runs several processes."""
    return GroupScheduling(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Look for garbage again, but not among what importing and collecting created."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that begin first in front, and the check of all exchanges last."""
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    file = item.path.relative_to(TESTS).as_posix()
    if item.path.name == LAST_MODULE:
        return len(ORDER) + 1
    return ORDER.index(file) if file in GROUP_OF else len(ORDER)


@contextlib.contextmanager
def variables(environment: Mapping[str, str]) -> Iterator[None]:
    """Set ``environment`` in place of every variable that leads a client to a service."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(LEADING_VARIABLES) or name.endswith(LEADING_SUFFIXES):
            del os.environ[name]
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(autouse=True)
def scrubbed_environment(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hide the developer's own Google settings from tests; a test that uses the cloud sees the cloud's."""
    uses_cloud = "cloud" in request.fixturenames
    with variables(request.getfixturevalue("environment") if uses_cloud else {}):
        yield


@pytest.fixture
def usual_recursion_limit() -> Iterator[None]:
    """Set Python's own limit. Libraries that other tests of the process import raise it."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(before)


@pytest.fixture(scope="session")
def exchanges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the recorded exchanges of the session's clouds.

    `make test` runs several processes and names one folder for all, so that a last step checks the exchanges of all.
    """
    together = os.environ.get(EXCHANGES_VARIABLE)
    if together is None:
        return tmp_path_factory.mktemp("exchanges")
    folder = Path(together).absolute() / os.environ.get("PYTEST_XDIST_WORKER", "alone")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def cloud(exchanges: Path) -> Iterator[LocalCloud]:
    """A local cloud with the functions, for the whole session."""
    from localcloud.cloud import LocalCloud
    from localcloud.config import CloudConfig

    with variables({}):
        cloud = LocalCloud(CloudConfig(record_to=exchanges))
        cloud.start()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="session")
def environment(cloud: LocalCloud) -> dict[str, str]:
    """The variables that lead clients to the cloud; a test that uses the cloud has them set."""
    return cloud.environment()


@pytest.fixture(scope="session")
def project(environment: dict[str, str]) -> str:
    return environment["GOOGLE_CLOUD_PROJECT"]


@pytest.fixture(scope="session")
def storage_client(environment: dict[str, str]) -> storage.Client:
    from google.cloud import storage

    with variables(environment):
        return storage.Client()


@pytest.fixture(scope="session")
def bigquery_client(environment: dict[str, str]) -> bigquery.Client:
    from google.cloud import bigquery

    with variables(environment):
        return bigquery.Client()


@pytest.fixture(scope="session")
def publisher(environment: dict[str, str]) -> pubsub_v1.PublisherClient:
    from google.cloud import pubsub_v1

    with variables(environment):
        return pubsub_v1.PublisherClient()


@pytest.fixture(scope="session")
def subscriber(environment: dict[str, str]) -> Iterator[pubsub_v1.SubscriberClient]:
    from google.cloud import pubsub_v1

    with variables(environment):
        client = pubsub_v1.SubscriberClient()
    yield client
    client.close()


@pytest.fixture(scope="session")
def model_bucket(storage_client: storage.Client, environment: dict[str, str]) -> storage.Bucket:
    """The bucket for model drops."""
    return storage_client.bucket(environment["MODEL_BUCKET"])


@pytest.fixture(scope="session")
def state_bucket(storage_client: storage.Client, environment: dict[str, str]) -> storage.Bucket:
    """The bucket with the ledger."""
    return storage_client.bucket(environment["STATE_BUCKET"])


@pytest.fixture(scope="session")
def output_bucket(storage_client: storage.Client, environment: dict[str, str]) -> storage.Bucket:
    return storage_client.bucket(environment["OUTPUT_BUCKET"])


@pytest.fixture(scope="session")
def received_events(subscriber: pubsub_v1.SubscriberClient, project: str) -> Iterator[ReceivedEvents]:
    """The completion events of the session, from the subscription that holds them."""
    from tests.received_events import ReceivedEvents

    events = ReceivedEvents(subscriber, f"projects/{project}/subscriptions/modeldrop-events-log")
    yield events
    events.stop()
