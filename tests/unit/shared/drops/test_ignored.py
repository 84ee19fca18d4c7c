"""Reports of objects outside the layout: once for each folder, and again for a later mistake."""

from __future__ import annotations

import pytest

from shared.drops.contents.ignored import MARKERS, REPORTED_AGAIN, report_ignored, reported_folders
from shared.drops.contents.layout import misplaced
from shared.errors import TryLater
from shared.events.incoming import StoredObject
from tests.unit.shared.conftest import World


def ignore(world: World, name: str, *, new_process: bool = False) -> None:
    """Let the event of an object outside the layout arrive."""
    if new_process:
        reported_folders.cache_clear()
    found = misplaced(name)
    assert found is not None
    file = StoredObject(world.services.settings.model_bucket, name, 1, world.services.now())
    report_ignored(file, found, world.services)


def test_an_object_outside_the_layout_is_reported_with_its_right_address(world: World) -> None:
    ignore(world, "ml/m/x.onnx")
    [event] = world.published()
    bucket = f"gs://{world.services.settings.model_bucket}"
    assert (event["type"], event["outcome"]) == ("modeldrop.object.ignored.v1", "ignored")
    assert event["object"] == f"{bucket}/ml/m/x.onnx"
    assert event["folder"] == f"{bucket}/ml/m/"
    assert event["suggestion"] == f"{bucket}/ml/m/1/x.onnx"
    assert "the folder of the version is missing" in event["error"]["message"]
    assert f"move it to {bucket}/ml/m/1/x.onnx." in event["error"]["message"]


@pytest.mark.parametrize("new_process", [False, True])
def test_a_folder_is_reported_once(world: World, new_process: bool) -> None:
    ignore(world, "ml/m/x.onnx")
    ignore(world, "ml/m/y.onnx", new_process=new_process)
    ignore(world, "ml/m/variables/variables.index", new_process=new_process)
    assert len(world.published()) == 1


def test_each_folder_is_reported(world: World) -> None:
    ignore(world, "x.onnx")
    ignore(world, "ml/x.onnx")
    ignore(world, "ml/m/x.onnx")
    assert len({event["folder"] for event in world.published()}) == 3


@pytest.mark.parametrize("new_process", [False, True])
def test_a_folder_is_reported_again_a_day_later_under_another_event_id(world: World, new_process: bool) -> None:
    ignore(world, "ml/m/x.onnx")
    world.pass_time(REPORTED_AGAIN.total_seconds() + 1)
    ignore(world, "ml/m/x.onnx", new_process=new_process)
    ignore(world, "ml/m/y.onnx", new_process=new_process)
    assert len(world.published()) == 2


@pytest.mark.parametrize("content", ["", "not JSON", '{"reported": 1}'])
def test_a_damaged_marker_is_replaced(world: World, content: str) -> None:
    ignore(world, "ml/m/x.onnx")
    [marker] = world.state.list_blobs(prefix=MARKERS)
    marker.upload_from_string(content)
    ignore(world, "ml/m/x.onnx", new_process=True)
    ignore(world, "ml/m/x.onnx", new_process=True)
    assert len(world.published()) == 2


def test_a_report_that_fails_is_left_to_the_next_object_of_the_folder(world: World) -> None:
    topic = world.services.settings.events_topic
    world.configure(events_topic=f"{topic}-missing")
    with pytest.raises(TryLater):
        ignore(world, "ml/m/x.onnx")
    assert reported_folders(world.services).begin("ml/m/", world.services.now())
