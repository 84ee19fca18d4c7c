"""Makes SavedModels for the tests, and predicts with them directly: a program, so that only its process pays for TensorFlow.

python -m tests.e2e.saved_models make
python -m tests.e2e.saved_models predict MODEL_FOLDER INPUTS.json
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from tests.prepared import WORDS, saved_models_folder


class Shifter(tf.Module):
    """Adds to each ``x`` the number that its asset holds: with other bytes in that file it is another model."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        file = folder / "shift.txt"
        file.write_text("shift\t0\n", encoding="utf-8")
        self.file = tf.saved_model.Asset(str(file))
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.TextFileInitializer(self.file, tf.string, 0, tf.int64, 1, delimiter="\t"), -1
        )
        self.scale = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def serve(self, x: tf.Tensor) -> dict[str, tf.Tensor]:
        shift = tf.cast(self.table.lookup(tf.constant("shift")), tf.float32)
        return {"y": x * self.scale + shift}


class Judge(tf.Module):
    """Three inputs of different types, three outputs of different types, words from a vocabulary."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        file = folder / "vocabulary.txt"
        file.write_text("".join(f"{word}\n" for word in WORDS), encoding="utf-8")
        self.file = tf.saved_model.Asset(str(file))
        self.table = tf.lookup.StaticVocabularyTable(
            tf.lookup.TextFileInitializer(
                self.file, tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
            ),
            num_oov_buckets=2,
        )
        tf.random.set_seed(7)
        self.weights = tf.Variable(tf.random.normal([3, 4]))
        self.embedding = tf.Variable(tf.random.normal([len(WORDS) + 2, 4]))

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="word"),
            tf.TensorSpec([None, 3], tf.float32, name="place"),
            tf.TensorSpec([None], tf.int64, name="count"),
        ]
    )
    def serve(self, word: tf.Tensor, place: tf.Tensor, count: tf.Tensor) -> dict[str, tf.Tensor]:
        bucket = self.table.lookup(word)
        scores = tf.nn.softmax(place @ self.weights + tf.gather(self.embedding, bucket))
        best = tf.argmax(scores, axis=1)
        return {
            "scores": scores,
            "bucket": bucket * 1000 + count,
            "verdict": tf.strings.join([word, tf.strings.as_string(best)], separator=":"),
        }


def make() -> None:
    """Save every model in a subfolder of ``saved_models_folder``, which appears when all are complete."""
    folder = saved_models_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent, prefix="unfinished-"))
    for name, kind in {"shifter": Shifter, "judge": Judge}.items():
        sources = unfinished / f"{name}-sources"
        sources.mkdir(parents=True)
        model = kind(sources)
        tf.saved_model.save(model, str(unfinished / name), signatures={"serving_default": model.serve})
    # Another process may have been faster.
    with contextlib.suppress(OSError):
        unfinished.rename(folder)


def predict(folder: Path, inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the outputs of the model in ``folder`` for ``inputs``, by name."""
    loaded = tf.saved_model.load(str(folder))
    function = loaded.signatures["serving_default"]
    kinds = function.structured_input_signature[1]
    outputs = function(**{name: tf.constant(values, kinds[name].dtype) for name, values in inputs.items()})
    return {
        name: [value.decode() for value in tensor.numpy()] if tensor.dtype == tf.string else tensor.numpy().tolist()
        for name, tensor in outputs.items()
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["make"]:
            make()
        case ["predict", model_folder, inputs_file]:
            given = json.loads(Path(inputs_file).read_text(encoding="utf-8"))
            sys.stdout.write(json.dumps(predict(Path(model_folder), given)))
