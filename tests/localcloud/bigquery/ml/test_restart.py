"""Models of a data directory in a process that has not loaded any of them yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.localcloud.bigquery.ml.world import ml_world
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT

PROGRAM = """
import sys
from pathlib import Path
from tests.localcloud.bigquery.ml.world import ml_world
with ml_world(Path(sys.argv[1])) as world:
    for model in ("one", "two"):
        sql = f"SELECT y FROM ML.PREDICT(MODEL d.{model}, (SELECT 1.0 AS x))"
        print([row.y for row in world.run(sql).result()], flush=True)
"""


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that a local BigQuery with two TensorFlow models has left behind."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    directory = tmp_path_factory.mktemp("data")
    with ml_world(directory) as world:
        for model, added in (("one", 1.0), ("two", 2.0)):
            module = tf.Module()
            module.serve = tf.function(
                lambda x, added=added: {"y": x + added},
                input_signature=[tf.TensorSpec([None], tf.float32, name="x")],
            )
            folder = tmp_path_factory.mktemp(model)
            tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
            world.upload_folder(f"{model}/1", folder)
            world.import_model(model, "TENSORFLOW", f"{model}/1/*")
    return directory


def test_one_model_after_the_other_predicts_after_a_restart(directory: Path) -> None:
    # Whoever loads a model first imports TensorFlow, and this process has done that: it takes a new one.
    command = [sys.executable, "-c", PROGRAM, str(directory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LAST_LIMIT)
    assert (done.returncode, done.stdout) == (0, "[2.0]\n[3.0]\n"), done.stderr[-2000:]
