"""`deploy smoke` tries a deployment, and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.declared import read
from deploy.smoke.received import TrialFailedError
from deploy.smoke.trial import MODEL_FILE, Trial
from tests.conftest import variables
from tests.e2e.world import REGION, World


def smoke(world: World, *options: str) -> tuple[int, str, str]:
    """Run the command while the poller runs; return its exit code and what it printed."""
    command = [sys.executable, "-m", "deploy", "smoke", *options]
    with subprocess.Popen(
        command, env=world.shell(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        world.until(lambda: process.poll() is not None)
        assert process.stdout is not None
        assert process.stderr is not None
        return process.wait(), process.stdout.read(), process.stderr.read()


def left_behind(world: World) -> list[str]:
    """Return what a trial may have left: datasets, objects and subscriptions."""
    found = [each.dataset_id for each in world.bigquery.list_datasets()]
    found += [blob.name for blob in world.storage.list_blobs(world.models)]
    project = f"projects/{world.project}"
    found += list(world.publisher.list_topic_subscriptions(topic=f"{project}/topics/modeldrop-events"))
    return [name for name in found if "smoke" in name]


@pytest.mark.long
def test_a_trial_of_a_deployment_that_works_leaves_nothing_behind(world: World) -> None:
    code, printed, errors = smoke(world)

    assert (code, errors) == (0, "")
    assert "3 rows, as expected" in printed
    assert "2 requests checked, none sent" in printed
    assert printed.endswith("The deployment works.\n")
    assert left_behind(world) == []


@pytest.mark.long
def test_a_trial_in_a_given_dataset_keeps_the_dataset_and_removes_what_it_created_there(world: World) -> None:
    dataset = world.make_dataset("trials", REGION)
    world.load(f"{dataset}.kept", [{"x": 1.0}])

    assert smoke(world, "--dataset", dataset)[0] == 0

    assert [each.table_id for each in world.bigquery.list_tables(dataset)] == ["kept"]
    assert list(world.bigquery.list_models(dataset)) == []
    assert left_behind(world) == []


@pytest.mark.long
def test_a_trial_in_a_dataset_that_does_not_exist_uploads_nothing(world: World) -> None:
    code, printed, errors = smoke(world, "--dataset", "nowhere")

    assert code == 1
    assert "Not found: Dataset local-project:nowhere" in errors
    assert "drop gs://" not in printed
    assert left_behind(world) == []


@pytest.mark.long
def test_a_trial_names_the_event_that_is_not_received_and_leaves_nothing_behind(world: World) -> None:
    unpublished = {"method": "pubsub.projects.topics.publish", "caller": "poll_jobs", "do": {"status": 403}}
    with world.faults(unpublished):
        code, printed, errors = smoke(world, "--timeout", "10")
    world.quiet()

    assert code == 1
    assert "More: modeldrop why gs://" in errors
    assert "waited for the event modeldrop.model.imported.v1" in errors
    assert "Everything that was created is removed." in printed
    assert left_behind(world) == []


@pytest.mark.long
def test_a_trial_reports_the_event_of_a_failure(world: World) -> None:
    with world.faults({"method": "bigquery.jobs.insert", "caller": "poll_jobs", "do": {"status": 403}}):
        code, _, errors = smoke(world)
    world.quiet()

    assert code == 1
    assert "expected the event modeldrop.model.imported.v1, received modeldrop.model.import_failed.v1" in errors
    assert left_behind(world) == []


@pytest.mark.long
def test_a_trial_that_is_ended_leaves_nothing_behind(world: World) -> None:
    command = [sys.executable, "-m", "deploy", "smoke"]
    with subprocess.Popen(
        command, env=world.shell(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "created in" not in (line := process.stdout.readline()):
            assert line, "it ended by itself"
        process.terminate()
        printed, errors = process.communicate()

    world.quiet()
    assert process.returncode == 1
    assert "Interrupted." in errors
    assert printed == "Everything that was created is removed.\n"
    assert left_behind(world) == []


def test_a_trial_whose_prediction_has_wrong_rows_fails_and_leaves_nothing_behind(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = b"\x00\x00\x80\x3f", b"\x00\x00\x00\x40"
    model = MODEL_FILE.read_bytes()
    assert model.count(one) == 1
    # The file that is imported adds 2.
    (tmp_path / MODEL_FILE.name).write_bytes(model.replace(one, two))
    monkeypatch.setattr("deploy.smoke.trial.MODEL_FILE", tmp_path / MODEL_FILE.name)

    with variables(world.environment), ThreadPoolExecutor() as threads:
        trial = Trial(read(), world.project, 240)
        running = threads.submit(trial.run)
        world.until(running.done)
        with pytest.raises(TrialFailedError, match=r"has the rows \[\(1.0, 3.0\).*, expected \[\(1.0, 2.0\)"):
            running.result()
        assert trial.close() == []

    assert left_behind(world) == []
