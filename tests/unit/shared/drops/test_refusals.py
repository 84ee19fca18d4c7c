"""Drops that cannot become a model: the event says what they hold and what to do, and the drop heals when it is put right."""

from __future__ import annotations

import pickle

import pytest

from shared.drops import limits
from shared.drops.drop import DropPath
from shared.drops.intake import examine_drop, notice_file
from shared.events.incoming import StoredObject
from shared.work import Outcome
from tests.unit.shared.conftest import World

PATH = DropPath("films", "genres", "2")
SETTLED = 30.0
PICKLE = pickle.dumps({"model": 1})


def drop(world: World, *names: str, content: bytes = b"x") -> None:
    """Let files and their events arrive, and let the drop settle."""
    world.upload(PATH, *names, content=content)
    for name in names:
        file = StoredObject(world.services.settings.model_bucket, PATH.prefix + name, 1, world.services.now())
        notice_file(PATH, file, world.services)
    world.pass_time(SETTLED)
    examine_drop(PATH, world.watch_of(PATH), world.services)


@pytest.mark.parametrize(
    ("names", "content", "texts"),
    [
        (("model.keras",), b"x", ["model.keras (1 bytes)", "Keras model: run `modeldrop export`, or export it with"]),
        (("model.pkl", "notes.txt"), PICKLE, ["skl2onnx"]),
        (("README",), b"x", ["README (1 bytes)", "Upload saved_model.pb with its folders, or one .onnx"]),
        (("modeldrop.yaml",), b"description: x", ["holds only modeldrop.yaml", "into the same folder"]),
        (("model.bin",), b"", ["model.bin is empty: upload it again"]),
        (("genres.ONNX",), b"x", ["genres.ONNX must be named genres.onnx"]),
        (("export/saved_model.pb",), b"x", ["gcloud storage mv 'gs://{bucket}/films/genres/2/export/*' gs://{bucket}/films/genres/2/"]),
        (("a b/variables/variables.index",), b"x", ["gcloud storage mv 'gs://{bucket}/films/genres/2/a b/*'"]),
        (("onnx/genres.onnx",), b"x", ["The model is in the folder onnx/"]),
        (("a/x.onnx", "b/y.onnx"), b"x", ["models in 2 folders (a/, b/)", "gs://{bucket}/films/genres/VERSION/"]),
    ],
)  # fmt: skip
def test_a_settled_drop_without_a_model_fails_with_advice(
    world: World, names: tuple[str, ...], content: bytes, texts: list[str]
) -> None:
    drop(world, *names, content=content)
    [event] = world.published()
    assert (event["type"], event["error"]["code"]) == ("modeldrop.model.import_failed.v1", "no_model_file")
    for text in texts:
        assert text.replace("{bucket}", world.services.settings.model_bucket) in event["error"]["message"]
    assert world.indexed() == set()


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (b"", "model.onnx is empty: upload it again"),
        (b"<!DOCTYPE html>", "model.onnx is a web page or an error message of a server: download the model again"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "model.onnx is a pointer of Git LFS in place of the file: fetch",
        ),
    ],
)
def test_a_file_with_the_name_of_a_model_and_other_content_is_explained(
    world: World, content: bytes, advice: str
) -> None:
    world.upload(PATH, "model.onnx", content=content)
    world.pass_time(SETTLED)
    examine_drop(PATH, None, world.services)
    [event] = world.published()
    assert event["error"]["code"] == "wrong_format"
    assert advice in event["error"]["message"]


def test_the_event_lists_the_first_files_with_their_sizes(world: World) -> None:
    names = [f"part-{number:03d}.csv" for number in range(limits.FOUND_FILES + 5)]
    world.upload(PATH, *names, content=b"1,2\n")
    world.pass_time(SETTLED)
    examine_drop(PATH, None, world.services)
    [event] = world.published()
    assert event["found"] == [{"name": name, "size": 4} for name in names[: limits.FOUND_FILES]]
    assert "and 22 more files" in event["error"]["message"]


def test_a_type_that_no_file_has_is_named(world: World) -> None:
    world.upload(PATH, "modeldrop.yaml", content=b"type: XGBOOST")
    drop(world, "genres.onnx")
    [event] = world.published()
    assert "as XGBOOST, the type in modeldrop.yaml" in event["error"]["message"]


def test_a_drop_without_a_model_that_is_put_right_is_examined_again(world: World) -> None:
    drop(world, "model.keras")
    world.configure(writable_datasets=("others",))
    drop(world, "genres.onnx", content=b"x")
    codes = [event["error"]["code"] for event in world.published()]
    assert codes[0] == "no_model_file"
    assert len(codes) == 2
    assert codes[1] != "no_model_file"


def test_a_part_of_a_saved_model_is_incomplete_and_reported_as_stuck_with_what_is_there(world: World) -> None:
    drop(world, "fingerprint.pb", "assets/a.txt")
    assert world.published() == []
    watch = world.watch_of(PATH)
    assert watch is not None
    assert not watch.final


def test_a_drop_of_which_only_hidden_files_remain_is_gone(world: World) -> None:
    drop(world, "variables/x")
    world.upload(PATH, "_SUCCESS")
    world.models.blob(f"{PATH.prefix}variables/x").delete()
    examine_drop(PATH, world.watch_of(PATH), world.services)
    watch = world.watch_of(PATH)
    assert watch is not None
    assert (watch.outcome, watch.final) == (Outcome.GONE, True)
    assert world.published() == []
