"""A JSON file beside a model is not a second model."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.drops.drop import (
    Drop,
    DropFile,
    DropPath,
    Ready,
)
from shared.errors import Rejected

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def drop_of(*names: str) -> Drop:
    files = (DropFile(name, 1, "AAAAAA==", 10, NOW - timedelta(hours=1)) for name in names)
    return Drop(DropPath("news", "titles", "1"), tuple(files))


@pytest.mark.parametrize(
    ("names", "model_type", "file"),
    [
        (("config.json", "network.onnx"), "ONNX", "network.onnx"),
        (("labels.json", "model.tflite"), "TENSORFLOW_LITE", "model.tflite"),
        (("features.json", "model.bst"), "XGBOOST", "model.bst"),
        (("booster.json",), "XGBOOST", "booster.json"),
    ],
)
def test_a_json_file_is_the_model_only_if_no_other_file_is(names: tuple[str, ...], model_type: str, file: str) -> None:
    found = drop_of(*names).readiness(NOW, timedelta(seconds=20))

    assert isinstance(found, Ready)
    assert (found.model_type, found.file) == (model_type, file)


def test_a_json_file_that_is_not_a_booster_is_not_a_model() -> None:
    drop = replace(drop_of("config.json"), other_json=frozenset({"config.json"}))
    with pytest.raises(Rejected) as refusal:
        drop.readiness(NOW, timedelta(seconds=20))
    assert refusal.value.problem.code == "no_model_file"


def test_a_file_name_with_a_wildcard_is_rejected() -> None:
    with pytest.raises(Rejected, match="holds a"):
        drop_of("net*.onnx").readiness(NOW, timedelta(seconds=20))
