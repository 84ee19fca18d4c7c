"""Models of Keras come in as SavedModels. Keras is imported in the functions: TensorFlow takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modeldrop import export
from modeldrop.exporters.errors import ExportError
from modeldrop.exporters.exports import Exported


def columns(exported: Exported) -> dict[str, str]:
    facts = exported.checked.facts
    assert facts is not None
    return {tensor.name: tensor.type for tensor in (*facts.inputs, *facts.outputs)}


# Keras warns about its own arrays when it saves a model.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_saved_keras_file_comes_in_with_the_name_of_its_last_layer(tmp_path: Path) -> None:
    import keras

    layers = [keras.Input((4,), name="measures"), keras.layers.Dense(3, activation="softmax", name="species")]
    keras.Sequential(layers).save(tmp_path / "model.keras")

    exported = export(tmp_path / "model.keras", tmp_path / "out", sample=np.ones((5, 4)))

    assert exported.checked.ok
    assert columns(exported) == {"measures": "ARRAY<FLOAT64>", "species": "ARRAY<FLOAT64>"}
    assert (tmp_path / "out" / "saved_model.pb").exists()


def functional() -> Any:
    """A model with a text, a number and integers, two outputs, and names that columns cannot have."""
    import keras

    text = keras.Input((1,), dtype="string", name="text")
    number = keras.Input((1,), name="price in eur")
    ids = keras.Input((3,), dtype="int64", name="ids")
    vectorize = keras.layers.TextVectorization(output_mode="multi_hot", vocabulary=["good", "bad"], name="words")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(5, 2)(ids))
    words = keras.layers.Flatten()(vectorize(text))
    joined = keras.layers.Concatenate()([words, number, embedded])
    outputs = {"score": keras.layers.Dense(1)(joined), "class/probabilities": keras.layers.Dense(3)(joined)}
    return keras.Model({"text": text, "price in eur": number, "ids": ids}, outputs)


@pytest.mark.matrix
def test_several_inputs_and_outputs_keep_their_names(tmp_path: Path) -> None:
    exported = export(functional(), tmp_path / "out")

    assert columns(exported) == {
        "ids": "ARRAY<INT64>",
        "price_in_eur": "FLOAT64",
        "text": "STRING",
        "class_probabilities": "ARRAY<FLOAT64>",
        "score": "ARRAY<FLOAT64>",
    }
    assert "'price in eur' is now 'price_in_eur'" in exported.notes[0]


@pytest.mark.matrix
def test_a_model_that_does_not_say_its_inputs_needs_sample_rows(tmp_path: Path) -> None:
    import keras

    class Doubler(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.dense = keras.layers.Dense(2)

        def call(self, values: Any) -> Any:
            return self.dense(values) * 2

    with pytest.raises(ExportError, match="give a few rows as sample"):
        export(Doubler(), tmp_path / "out")
    assert not list(tmp_path.iterdir())

    exported = export(Doubler(), tmp_path / "out", sample=np.ones((3, 4)))
    assert columns(exported) == {"input": "ARRAY<FLOAT64>", "output": "ARRAY<FLOAT64>"}


@pytest.mark.matrix
def test_a_large_image_model_is_called_with_rows_of_its_shape(tmp_path: Path) -> None:
    import keras

    image = keras.Input((8, 8, 3), name="image")
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, name="edges")(image))
    model = keras.Model(image, keras.layers.Dense(2, name="kind")(pooled))

    assert columns(export(model, tmp_path / "out")) == {"image": "ARRAY<FLOAT64>", "kind": "ARRAY<FLOAT64>"}
