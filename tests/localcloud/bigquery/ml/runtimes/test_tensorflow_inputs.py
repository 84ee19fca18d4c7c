"""SavedModels whose inputs are not plain tensors: a serialized example, whose features are the columns, and sparse tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from localcloud.bigquery.ml.models.signature import Feature

pytestmark = pytest.mark.long  # it imports TensorFlow


def test_the_features_of_a_serialized_example_are_the_inputs(tmp_path: Path) -> None:
    import tensorflow as tf

    from localcloud.bigquery.ml.runtimes.tensorflow import SavedModel

    spec = {
        "age": tf.io.FixedLenFeature([], tf.float32),
        "city": tf.io.FixedLenFeature([], tf.string, default_value="?"),
        "tags": tf.io.VarLenFeature(tf.int64),
    }

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(examples: Any) -> dict[str, Any]:
        parsed = tf.io.parse_example(examples, spec)
        tags = tf.sparse.reduce_sum(parsed["tags"], axis=1)
        score = parsed["age"] * 2.0 + tf.cast(tf.strings.length(parsed["city"]), tf.float32) + tf.cast(tags, tf.float32)
        return {"score": score}

    holder = tf.Module()
    holder.serve = serve
    tf.saved_model.save(holder, str(tmp_path), signatures={"serving_default": serve})
    model = SavedModel(tmp_path)
    assert model.signature.inputs == (
        Feature("age", "FLOAT64"),
        Feature("city", "STRING", nullable=True),
        Feature("tags", "INT64", (None,), array=True, nullable=True),
    )
    feeds = {
        "age": np.array([3.0, 1.0]),
        "city": np.array([b"Oslo", None], dtype=object),
        "tags": np.array([[1, 2], [3, 4]]),
    }
    assert model.run(feeds)["score"].tolist() == [13.0, 10.0]


def test_a_sparse_input_takes_a_dense_array(tmp_path: Path) -> None:
    import tensorflow as tf

    from localcloud.bigquery.ml.runtimes.tensorflow import SavedModel

    v1 = tf.compat.v1
    folder = tmp_path / "model"
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        words = v1.sparse_placeholder(tf.float32, [None, 4], name="words")
        total = tf.reshape(v1.sparse_reduce_sum(words, axis=1), [-1])
        describe = v1.saved_model.build_tensor_info
        signature = v1.saved_model.build_signature_def(
            {"words": describe(words)}, {"total": describe(total)}, "tensorflow/serving/predict"
        )
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    model = SavedModel(folder)
    assert model.signature.inputs == (Feature("words", "FLOAT64", (4,), array=True, nullable=True),)
    assert model.run({"words": np.array([[1.0, 0.0, 2.0, 0.0], [0.0] * 4])})["total"].tolist() == [3.0, 0.0]
