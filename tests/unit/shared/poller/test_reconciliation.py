"""The reconciliation: what it finds, and how often it runs. BigQuery and Vertex AI are not there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared.drops.contents.ignored import MARKERS, REPORTED_AGAIN, marker_of, reported_folders
from shared.drops.drop import DropPath
from shared.poller import ignored_folders
from shared.poller.reconciliation import RECONCILED, reconcile
from shared.poller.ticks import tick
from tests.unit.shared.conftest import World

PATH = DropPath("films", "genres", "2")
SETTLED = 30.0
TWO_MODELS = ("a.onnx", "b.onnx")


def test_a_drop_whose_events_were_lost_is_examined(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    assert reconcile(world.services) == 1
    tick(world.services)
    assert len(world.imports()) == 1


def test_the_reconciliation_runs_once_in_its_interval(world: World) -> None:
    reconcile(world.services)
    world.upload(PATH, *TWO_MODELS)
    assert reconcile(world.services) is None
    world.pass_time(world.services.settings.reconcile_seconds)
    assert reconcile(world.services) == 1


def test_a_drop_that_has_not_changed_is_not_examined_again(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    reconcile(world.services)
    world.pass_time(world.services.settings.reconcile_seconds)
    assert reconcile(world.services) == 0


def test_a_reconciliation_that_another_call_has_begun_is_left_to_it(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    begun = {"done": None, "begun": world.services.now().isoformat()}
    world.services.ledger.objects.write(RECONCILED, begun, generation=0)
    assert reconcile(world.services) is None
    world.pass_time(world.services.settings.poll_budget_seconds)
    assert reconcile(world.services) == 1


def test_a_reconciliation_that_ran_out_of_time_is_repeated(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.configure(poll_budget_seconds=0.0)
    assert reconcile(world.services) == 0
    world.configure(poll_budget_seconds=240.0)
    assert reconcile(world.services) == 1


def test_each_of_several_lost_drops_is_watched(world: World) -> None:
    paths = [DropPath("films", f"genres{n}", "1") for n in range(3)]
    for path in paths:
        world.upload(path, *TWO_MODELS, "variables/variables.index")
    upload_outside(world, "films/genres1/x.onnx")
    assert reconcile(world.services) == 3
    assert world.indexed() == {path.key for path in paths}


def upload_outside(world: World, *names: str) -> None:
    """Upload objects that belong to no drop; their events are lost."""
    for name in names:
        world.models.blob(name).upload_from_string(b"x")


def reported_folders_of(world: World) -> list[str]:
    """Return the folders that were reported since the last call."""
    bucket = f"gs://{world.services.settings.model_bucket}/"
    return [event["folder"].removeprefix(bucket) for event in world.published()]


def reconcile_later(world: World, seconds: float = 0.0) -> None:
    """Reconcile when it is time again, as a new process that remembers nothing."""
    reported_folders.cache_clear()
    world.pass_time(max(seconds, world.services.settings.reconcile_seconds))
    reconcile(world.services)


def test_wrong_objects_whose_events_were_lost_are_reported_once_for_each_folder(world: World) -> None:
    upload_outside(world, "x.onnx", "ml/m/x.onnx", "ml/m/y.onnx", "ml/m/variables/variables.index", "ml/n-n/1/z.onnx")
    for _ in range(3):
        reconcile_later(world)
    assert sorted(reported_folders_of(world)) == ["", "ml/m/", "ml/n-n/1/"]


def test_a_wrong_object_whose_event_may_be_on_its_way_is_not_reported(world: World) -> None:
    upload_outside(world, "x.onnx")
    reconcile(world.services)
    assert reported_folders_of(world) == []
    reconcile_later(world)
    assert reported_folders_of(world) == [""]


def test_a_folder_is_reported_again_for_an_object_that_is_written_a_day_later(world: World) -> None:
    upload_outside(world, "ml/x.onnx")
    reconcile_later(world)
    reconcile_later(world, 2 * REPORTED_AGAIN.total_seconds())
    assert reported_folders_of(world) == ["ml/"]
    upload_outside(world, "ml/y.onnx")
    reconcile_later(world)
    assert reported_folders_of(world) == ["ml/"]


def test_a_bucket_with_too_many_wrong_folders_is_not_searched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ignored_folders, "MOST_REPORTS", 2)
    upload_outside(world, "a/x.onnx", "b/x.onnx", "c/x.onnx", "d/x.onnx", "e/x.onnx")
    reconcile_later(world)
    assert sorted(reported_folders_of(world)) == ["a/", "b/"]
    monkeypatch.setattr(ignored_folders, "MOST_MARKERS", 3)
    reconcile_later(world)
    reconcile_later(world)
    assert sorted(reported_folders_of(world)) == ["c/", "d/"]


def test_the_marker_of_a_folder_is_deleted_after_its_retention_when_the_folder_is_gone(world: World) -> None:
    upload_outside(world, "a/x.onnx", "b/x.onnx")
    reconcile_later(world)
    assert sorted(reported_folders_of(world)) == ["a/", "b/"]
    world.models.blob("a/x.onnx").delete()
    retention = timedelta(days=world.services.settings.ledger_retention_days).total_seconds()
    reconcile_later(world, retention - world.services.settings.reconcile_seconds)
    assert len(list(world.state.list_blobs(prefix=MARKERS))) == 2
    reconcile_later(world, world.services.settings.reconcile_seconds + 1)
    [marker] = world.state.list_blobs(prefix=MARKERS)
    assert marker.name == marker_of(f"gs://{world.services.settings.model_bucket}/b/")
    assert reported_folders_of(world) == []
