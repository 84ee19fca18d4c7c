"""Writes models of LightGBM: as it saves them, as onnxmltools converts them by default, and exported.

python -m tests.foreign_models.lightgbm_models FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnx
import pandas
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from modeldrop import export
from tests.foreign_models.kept import keep

ROWS = np.random.default_rng(0).random((100, 3)).astype(np.float32)
TARGET = ROWS @ np.array([3, 1, 0.5])
CLASSES = np.array(["low", "middle", "high"])[(TARGET * 0.7).astype(int)]
SETTINGS: dict[str, Any] = {"n_estimators": 4, "num_leaves": 4, "verbose": -1, "random_state": 0}
SAMPLE = ROWS[:8]


def main(folder: Path) -> None:
    """Write the files into a folder, which exists."""
    booster = lightgbm.LGBMRegressor(**SETTINGS).fit(ROWS, TARGET).booster_
    booster.save_model(folder / "lightgbm_text.txt")
    export(folder / "lightgbm_text.txt", folder / "lightgbm_text.onnx", sample=SAMPLE, overwrite=True)
    keep(folder, "lightgbm_text", {"features": SAMPLE}, {"variable": booster.predict(SAMPLE)})

    classifier = lightgbm.LGBMClassifier(**SETTINGS).fit(ROWS, CLASSES)
    probabilities = classifier.predict_proba(SAMPLE)
    converted = convert_lightgbm(classifier, initial_types=[("input.1", FloatTensorType([None, 3]))])
    onnx.save(converted, folder / "lightgbm_default.onnx")
    keep(
        folder,
        "lightgbm_default",
        {"input_1": SAMPLE},
        {"label": classifier.predict(SAMPLE), "probabilities": probabilities},
    )

    data = pandas.DataFrame(ROWS, columns=["age", "income eur", "size.m"])
    named = lightgbm.LGBMClassifier(**SETTINGS).fit(data, TARGET > 2)
    export(named, folder / "lightgbm_columns.onnx", sample=data[:8], overwrite=True)
    columns = dict(zip(("age", "income_eur", "size_m"), SAMPLE.T, strict=True))
    keep(
        folder,
        "lightgbm_columns",
        columns,
        {"label": named.predict(data[:8]), "probabilities": named.predict_proba(data[:8])},
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
