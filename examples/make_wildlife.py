"""Writes stand-ins for the files of the course's lab about wildlife: images, a list of classes, and an ONNX model.

    python -m examples.make_wildlife FOLDER

The lab's own files, a ResNet-18 and photographs, come with a Google Cloud project for the time of the lab. These have the
same names, columns and shapes, and the class of an image depends on its mean color alone.
https://www.cloudskillsboost.google/course_templates/1060/labs/527189
"""

from __future__ import annotations

import csv
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save
from PIL import Image

SEED = 1248
SIZE = 224
# Rows of the list that no image belongs to. The number is that of the class in ImageNet.
OTHERS = {0: "tench", 9: "ostrich", 207: "golden retriever", 281: "tabby", 985: "daisy", 999: "toilet tissue"}


@dataclass(frozen=True)
class Animal:
    """An animal on an image: its class in ImageNet, its name, and the color of the image."""

    number: int
    name: str
    color: tuple[int, int, int]

    @property
    def file(self) -> str:
        """The name of the image."""
        return f"{self.name.lower().replace(' ', '_')}.jpg"


ANIMALS = (
    Animal(100, "black swan", (30, 35, 45)),
    Animal(121, "king crab", (200, 70, 40)),
    Animal(291, "lion", (210, 170, 90)),
    Animal(295, "American black bear", (50, 90, 40)),
    Animal(344, "hippopotamus", (140, 120, 150)),
)


def write_wildlife(folder: Path) -> None:
    """Write ``images/*.jpg``, ``classifier.csv`` and ``resnet18.onnx`` to ``folder``."""
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(SEED)
    for animal in ANIMALS:
        pixels = np.clip(np.array(animal.color) + noise.integers(-12, 13, (300, 400, 3)), 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(images / animal.file, "JPEG", quality=90)
    _write_classes(folder / "classifier.csv")
    _write_model(folder / "resnet18.onnx")


def _write_classes(file: Path) -> None:
    names = OTHERS | {animal.number: animal.name for animal in ANIMALS}
    rows = list(names.items())
    random.Random(SEED).shuffle(rows)
    with file.open("w", encoding="utf-8", newline="") as opened:
        # The lab's list counts from 1, and the model from 0.
        csv.writer(opened, lineterminator="\n").writerows((number + 1, name) for number, name in rows)


def _write_model(file: Path) -> None:
    """Write a model from ``input`` [N, 224, 224, 3] to ``class_label`` [N], the class whose color is nearest."""
    colors = np.array([animal.color for animal in ANIMALS], np.float32)[None] / 255
    numbers = np.array([animal.number for animal in ANIMALS], np.int64)
    constants = {"colors": colors, "numbers": numbers, "one": np.array([1], np.int64), "two": np.array([2], np.int64)}
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2], keepdims=0),
            helper.make_node("Unsqueeze", ["mean", "one"], ["means"]),
            helper.make_node("Sub", ["means", "colors"], ["differences"]),
            helper.make_node("Mul", ["differences", "differences"], ["squares"]),
            helper.make_node("ReduceSum", ["squares", "two"], ["distances"], keepdims=0),
            helper.make_node("ArgMin", ["distances"], ["nearest"], axis=1, keepdims=0),
            helper.make_node("Gather", ["numbers", "nearest"], ["class_label"]),
        ],
        "wildlife",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("class_label", TensorProto.INT64, ["N"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    # BigQuery runs ONNX Runtime 1.12, which reads IR version 8.
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), file)


if __name__ == "__main__":
    write_wildlife(Path(sys.argv[1]))
