"""TensorFlow Lite models: the rows of a table compared with TensorFlow's interpreter."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
import pytest

from tests.localcloud.bigquery.ml.runtimes.iris import NAMES, ordered
from tests.localcloud.bigquery.ml.world import MlWorld
from tests.model_files import read_columns

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def lite_content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    class Scores(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 4], tf.float32, name="features"),
                tf.TensorSpec([None, 1], tf.float32, name="bias"),
            ]
        )
        def serve(self, features: Any, bias: Any) -> dict[str, Any]:
            scores = tf.nn.softmax(features * [[1.0, -1.0, 0.5, 2.0]] + bias)
            return {"scores": scores, "best": tf.argmax(scores, axis=1)}

    folder = tmp_path_factory.mktemp("lite") / "model"
    module = Scores()
    tf.saved_model.save(module, str(folder), signatures=module.serve)
    content: bytes = tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()
    return content


def test_a_model_predicts_like_tensorflows_interpreter(
    world: MlWorld, iris: tuple[np.ndarray, np.ndarray], lite_content: bytes
) -> None:
    import tensorflow as tf

    world.upload("lite", {"m.tflite": lite_content})
    world.import_model("lite", "TENSORFLOW_LITE", "lite/*")

    rows = ordered(
        world,
        "SELECT scores, best, n FROM ML.PREDICT(MODEL d.lite, "
        f"(SELECT [{', '.join(NAMES)}] AS features, CAST(n AS STRING) AS bias, n FROM d.iris))",
    )

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runner = tf.lite.Interpreter(model_content=lite_content).get_signature_runner("serving_default")
    direct = runner(features=iris[0], bias=np.arange(150, dtype=np.float32).reshape(-1, 1))
    np.testing.assert_allclose([row["scores"] for row in rows], direct["scores"], rtol=1e-5)
    assert [row["best"] for row in rows] == direct["best"].tolist()
    assert world.columns("lite") == read_columns("TENSORFLOW_LITE", lite_content)


def test_a_file_in_another_format_is_rejected(world: MlWorld) -> None:
    world.upload("no-lite", {"m.tflite": b"nothing of the kind"})

    _, message = world.refusal(
        "CREATE MODEL d.r OPTIONS(MODEL_TYPE='TENSORFLOW_LITE', MODEL_PATH='gs://bucket/no-lite/*')"
    )

    assert message == "The file is not a TensorFlow Lite model."
