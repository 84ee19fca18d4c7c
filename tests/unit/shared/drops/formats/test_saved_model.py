"""What a SavedModel's graph needs beside it, read from what TensorFlow itself saves."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.drops.drop import (
    Drop,
    DropFile,
    DropPath,
    NotReady,
    Ready,
)
from shared.drops.formats.saved_model import Graph, read_graph
from shared.errors import Rejected
from tests.example_requests import NOW
from tests.model_files import InMemory

PATH = DropPath("films", "genres", "2")


@pytest.fixture(scope="module")
def tf() -> Any:
    import tensorflow

    return tensorflow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("saved")


@pytest.fixture(scope="module")
def saved(tf: Any, folder: Path) -> dict[str, bytes]:
    """The `saved_model.pb` of one model of each sort, each saved in a folder of its name."""
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("drama\ncomedy\n", encoding="utf-8")
    text = tf.TensorSpec([None], tf.string)

    class Lookup(tf.Module):
        """A vocabulary and no variables of its own."""

        def __init__(self) -> None:
            initializer = tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticHashTable(initializer, -1)

        @tf.function(input_signature=[text])
        def __call__(self, words: Any) -> dict[str, Any]:
            return {"index": self.table.lookup(words)}

    class Weighted(Lookup):
        """A vocabulary and a variable."""

        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable([1.0, 2.0, 3.0])

        @tf.function(input_signature=[text])
        def __call__(self, words: Any) -> dict[str, Any]:
            return {"weight": tf.gather(self.weights, self.table.lookup(words) + 1)}

    class Plain(tf.Module):
        """Neither."""

        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, x: Any) -> dict[str, Any]:
            return {"doubled": x * 2.0}

    found: dict[str, bytes] = {}
    for module in (Lookup(), Weighted(), Plain()):
        name = type(module).__name__.lower()
        tf.saved_model.save(module, str(folder / name), signatures={"serving_default": module.__call__})
        found[name] = (folder / name / "saved_model.pb").read_bytes()
    found["version_1"] = _save_as_version_1(tf, folder / "version_1")
    return found


def _save_as_version_1(tf: Any, folder: Path) -> bytes:
    """Save a variable the way TensorFlow 1 did, with no graph of objects."""
    v1 = tf.compat.v1
    with v1.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None])
        weight = v1.get_variable("weight", initializer=2.0, use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"x": x}, {"y": x * weight})
    return (folder / "saved_model.pb").read_bytes()


@pytest.mark.parametrize(
    ("model", "graph"),
    [
        ("plain", Graph((), has_variables=False)),
        # TensorFlow keeps the path of an asset in a variable while it starts.
        ("lookup", Graph(("assets/vocabulary.txt",), has_variables=True)),
        ("weighted", Graph(("assets/vocabulary.txt",), has_variables=True)),
        ("version_1", Graph((), has_variables=True)),
    ],
)
def test_a_graph_names_its_assets_and_whether_it_has_variables(
    saved: dict[str, bytes], model: str, graph: Graph
) -> None:
    assert read_graph(InMemory(saved[model])) == graph


@pytest.mark.parametrize("model", ["plain", "lookup", "weighted", "version_1"])
def test_a_drop_from_tensorflow_is_complete_only_with_every_file_that_counts(
    saved: dict[str, bytes], folder: Path, model: str
) -> None:
    graph = read_graph(InMemory(saved[model]))
    names = [str(path.relative_to(folder / model)) for path in (folder / model).rglob("*") if path.is_file()]
    files = tuple(DropFile(name, 1, "AAAAAA==", 1, NOW) for name in names)
    assert isinstance(Drop(PATH, files, graph=graph).readiness(NOW, timedelta(0)), Ready)
    for file in files:
        if file.name not in {"saved_model.pb", "fingerprint.pb"} and graph != Graph((), has_variables=False):
            rest = tuple(each for each in files if each is not file)
            assert isinstance(Drop(PATH, rest, graph=graph).readiness(NOW, timedelta(0)), NotReady), file.name


def test_every_asset_that_tensorflow_wrote_is_named(saved: dict[str, bytes], tf: Any) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    theirs = saved_model_pb2.SavedModel.FromString(saved["weighted"])
    names = {asset.filename for graph in theirs.meta_graphs for asset in graph.asset_file_def}
    assert {f"assets/{name}" for name in names} == set(read_graph(InMemory(saved["weighted"])).assets)


def test_an_asset_with_a_too_long_name_is_rejected(saved: dict[str, bytes], tf: Any) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    theirs = saved_model_pb2.SavedModel.FromString(saved["weighted"])
    theirs.meta_graphs[0].asset_file_def[0].filename = "x" * 1024
    with pytest.raises(Rejected, match="has more than 1024 bytes, which no object name can have"):
        read_graph(InMemory(theirs.SerializeToString()))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no graph"),
        (b"\x08\x01", "holds no graph"),
        (b"not a protobuf at all", "is not a SavedModel"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 100, "is not a SavedModel"),
        (b'{"learner": {}}', "is not a SavedModel"),
        (b"\xff" * 1000, "is not a SavedModel"),
        # A graph with an asset whose file name is not UTF-8.
        (b"\x12\x05\x32\x03\x12\x01\xff", "names an asset that is not a text"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_that_is_not_a_saved_model_is_rejected(content: bytes, message: str) -> None:
    with pytest.raises(Rejected, match=message) as refusal:
        read_graph(InMemory(content))
    assert refusal.value.problem.code == "wrong_format"


def test_half_a_file_is_rejected(saved: dict[str, bytes]) -> None:
    whole = saved["weighted"]
    with pytest.raises(Rejected, match="is not a SavedModel"):
        read_graph(InMemory(whole[: len(whole) // 2]))


@given(data=st.data())
def test_a_damaged_file_is_read_or_rejected(saved: dict[str, bytes], data: st.DataObject) -> None:
    content = bytearray(saved[data.draw(st.sampled_from(sorted(saved)))])
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[at] = data.draw(st.integers(0, 255))
    try:
        graph = read_graph(InMemory(bytes(content)))
    except Rejected as refusal:
        assert refusal.problem.code == "wrong_format"
    else:
        assert all(asset.startswith("assets/") for asset in graph.assets)
