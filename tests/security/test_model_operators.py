"""Imported models with operators that reach files, code or other processes: refused before a library loads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from tests.localcloud.bigquery.ml.world import MlWorld, ml_world


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    with ml_world() as running:
        yield running


@pytest.fixture(scope="module")
def tf() -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow

    return tensorflow


# SavedModels


def save(tf: Any, folder: Path, body: Callable[[Any], Any], **others: Callable[[Any], Any]) -> Path:
    """Write a SavedModel whose signatures run ``body`` and ``others`` on a text."""
    module = tf.Module()

    def signature(each: Callable[[Any], Any]) -> Any:
        def serve(text: Any) -> Any:
            return {"output": each(text)}

        return tf.function(serve).get_concrete_function(tf.TensorSpec([None], tf.string, name="text"))

    signatures = {name: signature(each) for name, each in {"serving_default": body, **others}.items()}
    module.kept = list(signatures.values())
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder


def in_branch(tf: Any, body: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda text: tf.cond(tf.size(text) > 100, lambda: body(text), lambda: text)


def in_loop(tf: Any, body: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda text: tf.map_fn(lambda one: body(one[None])[0], text)


def reads(tf: Any) -> Callable[[Any], Any]:
    return lambda text: tf.map_fn(tf.io.read_file, text)


BODIES: dict[str, tuple[str, Callable[[Any], Callable[[Any], Any]]]] = {
    "reads a file": ("ReadFile", reads),
    "reads a file in a branch": ("ReadFile", lambda tf: in_branch(tf, reads(tf))),
    "lists files": ("MatchingFiles", lambda tf: tf.io.matching_files),
    "lists files in a loop": ("MatchingFiles", lambda tf: in_loop(tf, tf.io.matching_files)),
    "runs Python": (
        "PyFunc",
        lambda tf: lambda text: tf.ensure_shape(tf.numpy_function(bytes, [text], tf.string), [None]),
    ),
    "prints to a file": ("PrintV2", lambda tf: printing(tf)),
    "reads a dataset": ("Dataset", lambda tf: dataset(tf)),
    "saves a checkpoint": ("SaveV2", lambda tf: saving(tf)),
    "reads a checkpoint": ("RestoreV2", lambda tf: restoring(tf)),
    "maps a file into memory": ("ImmutableConst", lambda tf: mapping(tf)),
}


def printing(tf: Any) -> Callable[[Any], Any]:
    def body(text: Any) -> Any:
        with tf.control_dependencies([tf.print(text, output_stream="file:///tmp/printed-by-a-model")]):
            return tf.identity(text)

    return body


def dataset(tf: Any) -> Callable[[Any], Any]:
    def body(text: Any) -> Any:
        lines = tf.data.TextLineDataset(text)
        return lines.reduce(tf.constant([""]), lambda before, line: tf.concat([before, line[None]], 0))

    return body


def saving(tf: Any) -> Callable[[Any], Any]:
    def body(text: Any) -> Any:
        saved = tf.raw_ops.SaveV2(prefix=text[0], tensor_names=["t"], shape_and_slices=[""], tensors=[text])
        with tf.control_dependencies([saved]):
            return tf.identity(text)

    return body


def restoring(tf: Any) -> Callable[[Any], Any]:
    return lambda text: tf.raw_ops.RestoreV2(
        prefix=text[0], tensor_names=["t"], shape_and_slices=[""], dtypes=[tf.string]
    )[0]


def mapping(tf: Any) -> Callable[[Any], Any]:
    def body(text: Any) -> Any:
        bytes_ = tf.raw_ops.ImmutableConst(dtype=tf.uint8, shape=[4], memory_region_name="/etc/passwd")
        return tf.strings.join([text, tf.strings.as_string(tf.reduce_sum(tf.cast(bytes_, tf.int64)))])

    return body


@pytest.mark.parametrize("name", BODIES)
def test_a_saved_model_that_reaches_beyond_itself_is_refused(
    world: MlWorld, tf: Any, tmp_path: Path, name: str
) -> None:
    operator, body = BODIES[name]
    world.upload_folder(f"tf/{name}", save(tf, tmp_path / "model", body(tf)))

    _, message = world.refusal(
        f"CREATE MODEL d.refused OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://bucket/tf/{name}/*')"
    )

    assert "uses the operator " in message
    assert operator in message
    assert "not supported in an imported model" in message


def test_a_signature_that_is_not_served_is_checked_too(world: MlWorld, tf: Any, tmp_path: Path) -> None:
    folder = save(tf, tmp_path / "model", lambda text: tf.strings.upper(text), other=reads(tf))
    world.upload_folder("tf/other", folder)

    _, message = world.refusal(
        "CREATE MODEL d.refused OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://bucket/tf/other/*')"
    )

    assert "ReadFile" in message


def test_a_model_that_writes_a_file_when_it_is_loaded_is_refused_and_writes_nothing(
    world: MlWorld, tf: Any, tmp_path: Path
) -> None:
    written = tmp_path / "written"

    class Writer(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = tf.lookup.StaticHashTable(Initializer(), "")

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text: Any) -> Any:
            return {"output": self.table.lookup(text)}

    class Initializer(tf.lookup.KeyValueTensorInitializer):
        def __init__(self) -> None:
            super().__init__(["a"], ["b"])

        def initialize(self, table: Any) -> Any:
            if tf.executing_eagerly():
                return super().initialize(table)
            with tf.control_dependencies([tf.io.write_file(str(written), "by a model")]):
                return super().initialize(table)

    module = Writer()
    tf.saved_model.save(module, str(tmp_path / "model"), signatures={"serving_default": module.serve})
    written.unlink(missing_ok=True)
    world.upload_folder("tf/writer", tmp_path / "model")

    _, message = world.refusal(
        "CREATE MODEL d.refused OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://bucket/tf/writer/*')"
    )

    assert "WriteFile" in message
    assert not written.exists()


@pytest.fixture(scope="module")
def with_vocabulary(tf: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with a table that is read from an asset."""
    home = tmp_path_factory.mktemp("vocabulary")
    (home / "words.txt").write_text("one\ntwo\n")

    class Lookup(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(1, dtype=tf.int64)
            words = tf.lookup.TextFileInitializer(
                str(home / "words.txt"),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticHashTable(words, -1)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def serve(self, text: Any) -> Any:
            return {"output": self.table.lookup(text) + self.weight}

    module = Lookup()
    tf.saved_model.save(module, str(home / "model"), signatures={"serving_default": module.serve})
    return home / "model"


def changed(folder: Path, target: Path, change: Callable[[Any], None]) -> Path:
    """Copy a SavedModel with another graph."""
    import shutil

    from tensorflow.core.protobuf import saved_model_pb2

    shutil.copytree(folder, target)
    saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    change(saved.meta_graphs[0])
    (target / "saved_model.pb").write_bytes(saved.SerializeToString())
    return target


def test_a_model_with_a_vocabulary_and_variables_is_imported(world: MlWorld, with_vocabulary: Path) -> None:
    world.upload_folder("tf/vocabulary", with_vocabulary)
    world.import_model("vocabulary", "TENSORFLOW", "tf/vocabulary/*")

    assert world.rows("SELECT output FROM ML.PREDICT(MODEL d.vocabulary, (SELECT 'two' AS text))") == [{"output": 2}]


def asset_elsewhere(graph: Any) -> None:
    graph.asset_file_def[0].filename = "../../../../../../../../etc/passwd"


def asset_by_absolute_name(graph: Any) -> None:
    graph.asset_file_def[0].filename = "/etc/passwd"


def constant_for_asset(graph: Any) -> None:
    """Let the table's initializer capture a constant instead of the asset."""
    for node in graph.object_graph_def.nodes:
        if node.WhichOneof("kind") == "asset":
            node.constant.operation = next(each.name for each in graph.graph_def.node if each.op == "Const")


def constant_in_function(graph: Any) -> None:
    """Let the table's initializer read a file that a constant of the function names."""
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            if node.op == "InitializeTableFromTextFileV2":
                named = function.node_def.add(name="elsewhere", op="Const")
                named.attr["dtype"].type = 7
                named.attr["value"].tensor.dtype = 7
                named.attr["value"].tensor.string_val.append(b"/etc/passwd")
                node.input[1] = "elsewhere:output:0"
                return


def save_with_restore(graph: Any) -> None:
    """Let the operation that loads the variables write a checkpoint."""
    saving = next(
        function.signature.name
        for function in graph.graph_def.library.function
        if any(node.op == "SaveV2" for node in function.node_def)
    )
    calling = next(node.name for node in graph.graph_def.node if node.attr["f"].func.name == saving)
    restoring = graph.saver_def.restore_op_name.partition(":")[0]
    next(node for node in graph.graph_def.node if node.name == restoring).input.append(f"^{calling}")


CHANGES = {
    "asset elsewhere": (asset_elsewhere, "not in its folder"),
    "asset by absolute name": (asset_by_absolute_name, "not in its folder"),
    "constant for asset": (constant_for_asset, "may read only the assets of the model"),
    "constant in function": (constant_in_function, "may read only the assets of the model"),
    "save with restore": (save_with_restore, "may not write files"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_crafted_graph_is_refused(world: MlWorld, with_vocabulary: Path, tmp_path: Path, name: str) -> None:
    change, reason = CHANGES[name]
    world.upload_folder(f"tf/{name}", changed(with_vocabulary, tmp_path / "model", change))

    _, message = world.refusal(
        f"CREATE MODEL d.refused OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://bucket/tf/{name}/*')"
    )

    assert reason in message


def test_a_model_of_tensorflow_1_with_variables_and_a_table_is_imported(
    world: MlWorld, tf: Any, tmp_path: Path
) -> None:
    world.upload_folder("tf/one", tensorflow_1(tf, tmp_path, saving=False))
    world.import_model("one", "TENSORFLOW", "tf/one/*")

    assert world.rows("SELECT output FROM ML.PREDICT(MODEL d.one, (SELECT 'two' AS text))") == [{"output": 3.0}]


def test_a_model_of_tensorflow_1_that_writes_when_it_is_initialized_is_refused(
    world: MlWorld, tf: Any, tmp_path: Path
) -> None:
    world.upload_folder("tf/saving", tensorflow_1(tf, tmp_path, saving=True))

    _, message = world.refusal(
        "CREATE MODEL d.refused OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://bucket/tf/saving/*')"
    )

    assert "SaveV2" in message


def tensorflow_1(tf: Any, home: Path, *, saving: bool) -> Path:
    one = tf.compat.v1
    vocabulary = home / "vocabulary.txt"
    vocabulary.write_text("one\ntwo\n")
    folder = home / "model"
    with tf.Graph().as_default(), one.Session() as session:
        text = one.placeholder(tf.string, [None], name="text")
        weight = one.get_variable("weight", initializer=2.0, use_resource=False)
        asset = tf.constant(str(vocabulary), name="vocabulary")
        one.add_to_collection(one.GraphKeys.ASSET_FILEPATHS, asset)
        words = tf.lookup.TextFileInitializer(
            asset, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        )
        table = tf.lookup.StaticHashTable(words, -1)
        output = tf.cast(table.lookup(text), tf.float32) + weight
        session.run([one.global_variables_initializer(), one.tables_initializer()])
        begin = one.tables_initializer()
        if saving:
            saved = tf.raw_ops.SaveV2(
                prefix=str(home / "written"), tensor_names=["t"], shape_and_slices=[""], tensors=[text]
            )
            begin = tf.group(begin, saved)
        builder = one.saved_model.Builder(str(folder))
        signature = one.saved_model.predict_signature_def({"text": text}, {"output": output})
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            {"serving_default": signature},
            assets_collection=one.get_collection(one.GraphKeys.ASSET_FILEPATHS),
            main_op=begin,
        )
        builder.save()
    return folder


# ONNX


def onnx_model(*nodes: Any, domains: dict[str, int] | None = None, **parts: Any) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
    )
    opsets = [helper.make_opsetid(domain, version) for domain, version in {"": 15, **(domains or {})}.items()]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, **parts)


def outside(name: str) -> TensorProto:
    """Return a tensor whose values are in another file."""
    tensor = helper.make_tensor(name, TensorProto.FLOAT, [1], [1.0])
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    return tensor


def branch(*nodes: Any) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "branch", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, ["N"])])


def conditional(*nodes: Any) -> list[Any]:
    """Return nodes that run other nodes in one of two branches."""
    return [
        helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("v", TensorProto.BOOL, [], [True])),
        helper.make_node(
            "If",
            ["yes"],
            ["y"],
            then_branch=branch(*nodes),
            else_branch=branch(helper.make_node("Identity", ["x"], ["z"])),
        ),
    ]


FOREIGN = helper.make_node("Read", ["x"], ["y"], domain="my.domain")
FUNCTION = helper.make_function(
    "local", "Hidden", ["x"], ["y"], [FOREIGN], [helper.make_opsetid("", 15), helper.make_opsetid("my.domain", 1)]
)
ONNX_MODELS = {
    "an operator of another domain": (onnx_model(FOREIGN, domains={"my.domain": 1}), "Read of domain 'my.domain'"),
    "one in a branch": (
        onnx_model(*conditional(helper.make_node("Read", ["x"], ["z"], domain="my.domain")), domains={"my.domain": 1}),
        "Read of domain 'my.domain'",
    ),
    "one in a function": (
        onnx_model(
            helper.make_node("Hidden", ["x"], ["y"], domain="local"), domains={"local": 1}, functions=[FUNCTION]
        ),
        "Read of domain 'my.domain'",
    ),
    "an unknown operator": (onnx_model(helper.make_node("ReadFile", ["x"], ["y"])), "ReadFile of domain 'ai.onnx'"),
    "a context of another processor": (
        onnx_model(helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft"), domains={"com.microsoft": 1}),
        "EPContext of domain 'com.microsoft'",
    ),
    "a constant in another file": (
        onnx_model(
            helper.make_node("Constant", [], ["c"], value=outside("c")), helper.make_node("Add", ["x", "c"], ["y"])
        ),
        "keeps tensors in other files ('c')",
    ),
    "a constant in another file in a branch": (
        onnx_model(
            *conditional(
                helper.make_node("Constant", [], ["c"], value=outside("c")), helper.make_node("Add", ["x", "c"], ["z"])
            )
        ),
        "keeps tensors in other files ('c')",
    ),
}


@pytest.mark.parametrize("name", ONNX_MODELS)
def test_an_onnx_model_that_reaches_beyond_itself_is_refused(world: MlWorld, name: str) -> None:
    model, reason = ONNX_MODELS[name]
    world.upload(f"onnx/{name}", {"m.onnx": model.SerializeToString()})

    _, message = world.refusal(
        f"CREATE MODEL d.refused OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/onnx/{name}/*')"
    )

    assert reason in message


def test_an_onnx_model_with_a_function_and_an_operator_of_onnx_runtime_is_imported(world: MlWorld) -> None:
    doubling = helper.make_function(
        "local", "Double", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 15)]
    )
    model = onnx_model(
        helper.make_node("Double", ["x"], ["twice"], domain="local"),
        helper.make_node("Gelu", ["twice"], ["y"], domain="com.microsoft"),
        domains={"local": 1, "com.microsoft": 1},
        functions=[doubling],
    )
    world.upload("onnx/allowed", {"m.onnx": model.SerializeToString()})
    world.import_model("allowed", "ONNX", "onnx/allowed/*")

    (row,) = world.rows("SELECT y FROM ML.PREDICT(MODEL d.allowed, (SELECT 5.0 AS x))")
    assert row["y"] == pytest.approx(10.0)


# TensorFlow Lite


@pytest.mark.parametrize("name", ["FlexReadFile", "FlexEagerPyFunc", "TheirOwn"])
def test_a_lite_model_with_a_custom_operator_is_refused(world: MlWorld, tf: Any, name: str) -> None:
    function = tf.function(tf.strings.lower).get_concrete_function(tf.TensorSpec([None], tf.string, name="text"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    content: bytes = converter.convert()
    named = b"FlexStringLower"
    assert named in content
    world.upload("lite/custom", {"m.tflite": content.replace(named, name.encode().ljust(len(named), b"_"))})

    _, message = world.refusal(
        "CREATE MODEL d.refused OPTIONS(MODEL_TYPE='TENSORFLOW_LITE', MODEL_PATH='gs://bucket/lite/custom/*')"
    )

    assert f"uses the custom operator {name}" in message
