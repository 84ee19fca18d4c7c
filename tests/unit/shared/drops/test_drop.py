"""Drops: which objects are one, when it is complete and settled, and which version comes after which."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.checks.identifiers import ModelName
from shared.drops import limits
from shared.drops.contents.refusals import explained
from shared.drops.drop import (
    WANTED,
    Drop,
    DropFile,
    DropPath,
    NotReady,
    Ready,
    listed_files,
)
from shared.drops.formats.saved_model import Graph
from shared.drops.imports.turns import version_order
from shared.drops.manifest import Manifest
from shared.drops.remote import RemoteModel
from shared.errors import Rejected
from tests.example_requests import NOW, PROJECT

PATH = DropPath("films", "genres", "2")
SETTLE = timedelta(seconds=20)
LONG_AGO = NOW - timedelta(hours=1)
GRAPH = Graph(("assets/.hidden", "assets/vocabulary.txt"), has_variables=True)
SAVED_MODEL = (
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00002",
    "variables/variables.data-00001-of-00002",
    "assets/vocabulary.txt",
    "assets/.hidden",
)


def _file(name: str, **changes: Any) -> DropFile:
    values = {"name": name, "generation": 1, "crc32c": "AAAAAA==", "size": 1, "updated": LONG_AGO, **changes}
    return DropFile(**values)


def _drop(*names: str, graph: Graph | None = None, **manifest: Any) -> Drop:
    files = [*names, *(["modeldrop.yaml"] if manifest else [])]
    return Drop(PATH, tuple(map(_file, files)), manifest=Manifest(**manifest), graph=graph)


def _missing(drop: Drop) -> tuple[str, ...]:
    decision = drop.readiness(NOW, SETTLE)
    assert isinstance(decision, NotReady)
    assert decision.due == NOW + SETTLE
    return decision.missing


# --- the layout --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("films/genres/2/saved_model.pb", PATH),
        ("films/genres/2/variables/variables.index", PATH),
        ("films/genres/2/assets/a b/c d.txt", PATH),
        ("films/genres/2/modeldrop.yaml", PATH),
        ("films/genres/v1.0-rc_1/model.onnx", DropPath("films", "genres", "v1.0-rc_1")),
        ("1/2/3/4", DropPath("1", "2", "3")),
    ],
)
def test_an_object_in_a_version_folder_belongs_to_its_drop(name: str, path: DropPath) -> None:
    assert DropPath.of_object(name) == path
    assert name.startswith(path.prefix)


@pytest.mark.parametrize(
    "name",
    [
        "", "/", "saved_model.pb", "films/saved_model.pb", "films/genres/saved_model.pb",
        "films/genres/2/", "films/genres/2/assets/", "films/genres/", "/films/genres/2/saved_model.pb",
        "films//2/saved_model.pb", "films/genres//saved_model.pb", "films/genres/2//saved_model.pb",
        "films/genres/2/.DS_Store", "films/genres/2/_SUCCESS", "films/genres/2/assets/.hidden", "films/genres/2/a/_b",
        "films/genres/variables/variables.index", "films/genres/assets/a.txt",
        "_films/genres/2/saved_model.pb", "films/_genres/2/saved_model.pb", ".films/genres/2/saved_model.pb",
        "films/genres/.2/saved_model.pb", "films/genres/_2/saved_model.pb", "films/genres/-2/saved_model.pb",
        "gcloud/tmp/parallel_composite_uploads/x", "gsutil/tmp/a/b/c/d", "gcloud/tmp/1/saved_model.pb",
        "films/../2/saved_model.pb", "films/genres/2/../saved_model.pb", "films/./2/saved_model.pb",
        "films/gen-res/2/saved_model.pb", "fil ms/genres/2/saved_model.pb", "films/modéle/2/saved_model.pb",
        "films/genres`/2/saved_model.pb", "films/genres/2 /saved_model.pb", "films/genres/2\n/saved_model.pb",
        "films/genres\n/2/saved_model.pb", "films/genres/" + "2" * 129 + "/saved_model.pb", "ﬁlms/genres/2/saved_model.pb",
        "films\x00/genres/2/saved_model.pb", "films/genres/\ud800/saved_model.pb", "notes/read me.txt",
    ],
)  # fmt: skip
def test_any_other_object_is_ignored(name: str) -> None:
    assert DropPath.of_object(name) is None


@pytest.mark.parametrize(
    "path", ["gs://models/films/genres/2/", "gs://models/films/genres/2", "gs://models/films/genres/2//"]
)
def test_the_path_in_a_message_may_end_in_a_slash_or_not(path: str) -> None:
    assert DropPath.parse(path, "models", "path") == PATH


def test_each_drop_has_a_key_of_its_own() -> None:
    paths = [PATH, DropPath("films", "genres", "3"), DropPath("films", "genre", "s2"), DropPath("film", "sgenres", "2")]
    assert len({path.key for path in paths}) == len(paths)


def test_a_listing_becomes_files_within_the_folder() -> None:
    listing = [
        ("films/genres/2/", 1, "AAAAAA==", 0, NOW),
        ("films/genres/2/assets/", 2, "AAAAAA==", 0, NOW),
        ("films/genres/2//a.txt", 4, "BBBBBB==", 7, NOW),
        ("films/genres/2/../a.txt", 5, "BBBBBB==", 7, NOW),
        ("films/genres/2/./a.txt", 6, "BBBBBB==", 7, NOW),
        ("films/genres/2/assets/a.txt", 3, "BBBBBB==", 7, NOW),
    ]
    assert listed_files(PATH.prefix, listing) == (DropFile("assets/a.txt", 3, "BBBBBB==", 7, NOW),)


# --- completeness ------------------------------------------------------------------------------------------------------


def test_a_whole_saved_model_is_ready() -> None:
    drop = _drop(*SAVED_MODEL, graph=GRAPH)
    assert drop.readiness(NOW, SETTLE) == Ready("TENSORFLOW", drop.fingerprint, None)


@pytest.mark.parametrize("lacking", SAVED_MODEL)
def test_each_file_that_a_saved_model_lacks_is_named(lacking: str) -> None:
    there = [name for name in SAVED_MODEL if name != lacking]
    graph = None if lacking == "saved_model.pb" else GRAPH
    assert _missing(_drop(*there, graph=graph)) == (lacking,)


def test_all_missing_files_are_named_at_once() -> None:
    assert _missing(_drop("saved_model.pb", graph=GRAPH)) == (
        "assets/.hidden",
        "assets/vocabulary.txt",
        "variables/variables.index",
        "variables/variables.data-00000-of-?????",
    )


def test_a_graph_without_variables_needs_none() -> None:
    drop = _drop("saved_model.pb", graph=Graph((), has_variables=False))
    assert isinstance(drop.readiness(NOW, SETTLE), Ready)


@pytest.mark.parametrize(
    ("shards", "missing"),
    [
        (["00000-of-00001"], ()),
        (["00000-of-00003", "00002-of-00003"], ("variables/variables.data-00001-of-00003",)),
        # Written twice with another number of shards: one whole set is enough.
        (["00000-of-00001", "00000-of-00002"], ()),
        (["00000-of-00003", "00000-of-00002"], ("variables/variables.data-00001-of-00002",)),
        (["00000-of-00000"], ("variables/variables.data-00000-of-?????",)),
        (["0-of-1"], ("variables/variables.data-00000-of-?????",)),
        (["٠٠٠٠٠-of-٠٠٠٠١"], ("variables/variables.data-00000-of-?????",)),
    ],
)
def test_one_complete_set_of_shards_is_enough(shards: list[str], missing: tuple[str, ...]) -> None:
    names = ["saved_model.pb", "variables/variables.index", *(f"variables/variables.data-{shard}" for shard in shards)]
    decision = _drop(*names, graph=Graph((), has_variables=True)).readiness(NOW, SETTLE)
    assert (decision.missing if isinstance(decision, NotReady) else ()) == missing


def test_very_many_missing_files_are_counted() -> None:
    graph = Graph(tuple(f"assets/{n:03d}.txt" for n in range(15)), has_variables=True)
    missing = _missing(_drop("saved_model.pb", "variables/variables.data-00000-of-99999", graph=graph))
    assert missing[-2:] == ("variables/variables.data-00004-of-99999", "and 99,994 more files")
    assert len(missing) == limits.MISSING_FILES + 1


def test_shards_of_very_many_sets_cost_little() -> None:
    shards = [f"variables/variables.data-00000-of-{count:05d}" for count in range(90_000, 99_999)]
    graph = Graph((), has_variables=True)
    begun = time.thread_time()
    missing = _missing(_drop("saved_model.pb", "variables/variables.index", *shards, graph=graph))
    assert missing[0] == "variables/variables.data-00001-of-90000"
    assert time.thread_time() - begun < 5


@pytest.mark.parametrize(
    "name",
    [
        "saved_model.pb/x", "variables/variables.index/x", "assets/vocabulary.txt/a/b", "assets/a\0b", "assets/a\x1bb",
        "assets/\u2028", "assets/a\x85", "assets/" + "x" * 256, "assets/" + "\U0001f600" * 64,
    ],
)  # fmt: skip
def test_a_saved_model_with_a_name_that_no_file_can_have_is_refused(name: str) -> None:
    with pytest.raises(Rejected, match="rename or delete it") as refusal:
        _drop(*SAVED_MODEL, name, graph=GRAPH).readiness(NOW, SETTLE)
    assert refusal.value.problem.code == "wrong_name"
    assert len(refusal.value.problem.message) < 300


def test_a_folder_named_as_the_graph_is_refused() -> None:
    with pytest.raises(Rejected, match=r"saved_model\.pb is a folder"):
        _drop("saved_model.pb/x").readiness(NOW, SETTLE)


@pytest.mark.parametrize("name", ["assets/" + "x" * 255, "assets/vocabulary.txt.old", "assets/vocabulary/x", "a b/Ä"])
def test_unusual_names_are_allowed_beside_a_saved_model(name: str) -> None:
    assert isinstance(_drop(*SAVED_MODEL, name, graph=GRAPH).readiness(NOW, SETTLE), Ready)


def test_a_strange_name_beside_a_model_of_one_file_does_not_matter() -> None:
    assert isinstance(_drop("genres.onnx", "a\0b", "notes", "notes/x").readiness(NOW, SETTLE), Ready)
    with pytest.raises(Rejected, match="control character"):
        _drop("gen\0res.onnx").readiness(NOW, SETTLE)


def test_names_of_many_folders_cost_little() -> None:
    deep = [f"{'a/' * 500}{number}" for number in range(5000)]
    begun = time.thread_time()
    assert isinstance(_drop(*SAVED_MODEL, *deep, graph=GRAPH).readiness(NOW, SETTLE), Ready)
    assert time.thread_time() - begun < 5


@pytest.mark.parametrize(
    ("model_type", "file"),
    [("ONNX", "genres.onnx"), ("TENSORFLOW_LITE", "g.tflite"), ("XGBOOST", "g.bst"), ("XGBOOST", "g.json")],
)
def test_one_file_of_another_format_is_a_model(model_type: str, file: str) -> None:
    for drop in (
        _drop(file),
        _drop(file, "README.md", "notes/x.onnx", "notes/y.json"),
        _drop(file, model_type=model_type),
    ):
        decision = drop.readiness(NOW, SETTLE)
        assert decision == Ready(model_type, drop.fingerprint, file)


def test_a_saved_model_may_have_json_files_beside_it() -> None:
    drop = _drop(*SAVED_MODEL, "keras_metadata.json", graph=GRAPH)
    assert drop.readiness(NOW, SETTLE) == Ready("TENSORFLOW", drop.fingerprint, None)


@pytest.mark.parametrize("files", [SAVED_MODEL, ("saved_model.pb",), ("variables/variables.index",)])
def test_a_saved_model_and_another_model_in_one_folder_are_refused_without_a_type(files: tuple[str, ...]) -> None:
    with pytest.raises(Rejected, match=r"a SavedModel and genres\.onnx; one folder is one model") as refusal:
        _drop(*files, "genres.onnx", graph=GRAPH).readiness(NOW, SETTLE)
    assert refusal.value.problem.code == "several_models"


@pytest.mark.parametrize(("declared", "file"), [("TENSORFLOW", None), ("ONNX", "genres.onnx")])
def test_the_declared_type_chooses_between_a_saved_model_and_another_model(declared: str, file: str | None) -> None:
    drop = _drop(*SAVED_MODEL, "genres.onnx", graph=GRAPH, model_type=declared)
    assert drop.readiness(NOW, SETTLE) == Ready(declared, drop.fingerprint, file)


def test_a_drop_without_parts_of_a_saved_model_is_not_an_incomplete_one_because_of_its_type() -> None:
    with pytest.raises(Rejected) as refusal:
        _drop("genres.onnx", model_type="TENSORFLOW").readiness(NOW, SETTLE)
    assert refusal.value.problem.code == "no_model_file"


@pytest.mark.parametrize("files", [("a.onnx", "b.onnx"), ("a.onnx", "b.tflite"), ("a.json", "b.json")])
def test_two_models_in_one_folder_are_refused(files: tuple[str, ...]) -> None:
    with pytest.raises(Rejected) as refusal:
        _drop(*files).readiness(NOW, SETTLE)
    assert refusal.value.problem.code == "several_models"
    assert all(file in refusal.value.problem.message for file in files)


def test_the_declared_type_chooses_among_formats() -> None:
    drop = _drop("genres.onnx", "labels.json", model_type="ONNX")
    assert drop.readiness(NOW, SETTLE) == Ready("ONNX", drop.fingerprint, "genres.onnx")
    with pytest.raises(Rejected, match="a file of type XGBOOST"):
        _drop("genres.onnx", model_type="XGBOOST").readiness(NOW, SETTLE)
    assert _missing(_drop("fingerprint.pb", model_type="TENSORFLOW")) == ("saved_model.pb",)


@pytest.mark.parametrize("names", [("README.md",), ("notes/genres.onnx",), (".genres.onnx",), ("modeldrop.yaml",)])
def test_a_folder_without_a_part_of_a_model_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(Rejected) as refusal:
        _drop(*names).readiness(NOW, SETTLE)
    assert refusal.value.problem.code == "no_model_file"


@pytest.mark.parametrize(
    "name", ["fingerprint.pb", "keras_metadata.pb", "assets/a.txt", "assets.extra/a", "variables/x"]
)
def test_a_part_of_a_saved_model_lacks_the_graph(name: str) -> None:
    assert _missing(_drop(name)) == ("saved_model.pb",)


def test_a_saved_model_under_another_type_is_refused_with_the_type() -> None:
    drop = _drop(*SAVED_MODEL, graph=GRAPH, model_type="ONNX")
    with pytest.raises(Rejected) as refusal:
        drop.readiness(NOW, SETTLE)
    message = explained(refusal.value.problem, drop, "gs://models/films/genres/2/", lambda _: b"").message
    assert "saved_model.pb" in message
    assert message.endswith("as ONNX, the type in modeldrop.yaml. Correct the type, or remove it")


def test_a_drop_with_announced_files_may_lack_its_model() -> None:
    assert _missing(_drop("labels.txt", files=2)) == (WANTED,)


@given(st.permutations(SAVED_MODEL))
def test_a_drop_is_complete_with_its_last_file_in_any_order(names: list[str]) -> None:
    for count in range(1, len(names) + 1):
        graph = GRAPH if "saved_model.pb" in names[:count] else None
        decision = _drop(*names[:count], graph=graph).readiness(NOW, SETTLE)
        assert isinstance(decision, Ready) == (count == len(names))


# --- settling ----------------------------------------------------------------------------------------------------------


def test_a_complete_drop_settles() -> None:
    young = Drop(PATH, (_file("a.onnx"), _file("notes.txt", updated=NOW - timedelta(seconds=5))))
    assert young.newest == NOW - timedelta(seconds=5)
    assert young.readiness(NOW, SETTLE) == NotReady((), NOW + timedelta(seconds=15))
    assert isinstance(young.readiness(NOW + timedelta(seconds=15), SETTLE), Ready)


def test_a_drop_whose_files_are_counted_need_not_settle() -> None:
    files = (_file("a.onnx", updated=NOW), _file("notes.txt", updated=NOW), _file("modeldrop.yaml", updated=NOW))
    assert isinstance(Drop(PATH, files, manifest=Manifest(files=2)).readiness(NOW, SETTLE), Ready)
    assert isinstance(Drop(PATH, files, manifest=Manifest(files=1)).readiness(NOW, SETTLE), Ready)


def test_counted_files_that_do_not_exist_are_missing() -> None:
    assert _missing(_drop("a.onnx", "_hidden", files=3)) == ("2 of 3 files (modeldrop.yaml says files)",)


def test_a_counted_drop_must_be_complete_too() -> None:
    with pytest.raises(Rejected) as refusal:
        _drop("README.md", files=1).readiness(NOW, SETTLE)
    assert refusal.value.problem.code == "no_model_file"


# --- the fingerprint ---------------------------------------------------------------------------------------------------


@given(st.permutations([_file("saved_model.pb"), _file("a.txt", generation=2), _file("modeldrop.yaml", generation=3)]))
def test_the_order_of_a_listing_does_not_matter(files: list[DropFile]) -> None:
    expected = Drop(
        PATH, (_file("saved_model.pb"), _file("a.txt", generation=2), _file("modeldrop.yaml", generation=3))
    )
    assert Drop(PATH, tuple(files)).fingerprint == expected.fingerprint


def test_every_change_is_another_fingerprint() -> None:
    drops = [
        Drop(PATH, (_file("a.onnx"),)),
        Drop(PATH, (_file("b.onnx"),)),
        Drop(PATH, (_file("a.onnx", generation=2),)),
        Drop(PATH, (_file("a.onnx", crc32c="BBBBBB=="),)),
        Drop(PATH, (_file("a.onnx"), _file("notes.txt"))),
        Drop(PATH, (_file("a.onnx"), _file("modeldrop.yaml"))),
        Drop(PATH, (_file("a.onnx"), _file("modeldrop.yaml", generation=2))),
        Drop(PATH, ()),
    ]
    for one, other in itertools.combinations(drops, 2):
        assert one.fingerprint != other.fingerprint


def test_files_that_do_not_count_do_not_change_the_fingerprint() -> None:
    plain = Drop(PATH, (_file("a.onnx"),))
    for changed in (
        Drop(PATH, (_file("a.onnx", updated=NOW, size=7),)),
        Drop(PATH, (_file("a.onnx"), _file("_SUCCESS"), _file("notes/.DS_Store"))),
    ):
        assert changed.fingerprint == plain.fingerprint


def test_a_hidden_file_that_the_graph_names_counts() -> None:
    with_graph = _drop(*SAVED_MODEL, graph=GRAPH)
    assert "assets/.hidden" in {file.name for file in with_graph.payload}
    assert with_graph.fingerprint != _drop(*SAVED_MODEL, graph=Graph((), has_variables=True)).fingerprint


def test_the_model_is_named_by_the_path_or_by_the_manifest() -> None:
    assert _drop("a.onnx").target(PROJECT) == ModelName(PROJECT, "films", "genres")
    target = ModelName("p-12", "other", "model")
    assert _drop("a.onnx", target=target).target(PROJECT) == target


# --- versions ----------------------------------------------------------------------------------------------------------


def test_numeric_versions_sort_by_value_above_all_others() -> None:
    ordered = ["1.0", "Z", "a", "v1", "v10", "v2", "٣", "0", "1", "2", "9", "10", "20261120", "20261121"]
    keys = [version_order(version) for version in ordered]
    assert all(lower < higher for lower, higher in itertools.pairwise(keys))


def test_leading_zeros_do_not_matter() -> None:
    assert version_order("007") == version_order("7")


@given(st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)))
def test_any_two_versions_can_be_compared(versions: list[str]) -> None:
    ordered = sorted(versions, key=version_order)
    assert sorted(ordered, key=version_order) == ordered


def test_a_drop_with_a_remote_model_is_complete_without_files_and_refused_with_files() -> None:
    remote = Manifest(remote=RemoteModel("us.c", "gemini-3.8-flash"))
    written = NOW - timedelta(minutes=1)
    alone = Drop(PATH, (DropFile("modeldrop.yaml", 1, "AAAAAA==", 7, written),), manifest=remote)
    assert alone.readiness(NOW, timedelta(seconds=20)) == Ready("REMOTE", alone.fingerprint, None)
    both = replace(alone, files=(*alone.files, DropFile("a.onnx", 1, "AAAAAA==", 7, written)))
    with pytest.raises(Rejected, match=r"has remote, and the drop holds 'a\.onnx' too"):
        both.readiness(NOW, timedelta(seconds=20))
