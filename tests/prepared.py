"""What the tests need and what takes long to make: `make setup` makes it once, in `.cache`.

    python -m tests.prepared

A test that finds it missing makes it.
"""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from examples.train_classifier import saved_model
from localcloud.samples.tables import sample_tables
from tests.paths import ROOT

MODELS_SOURCE = ROOT / "tests" / "e2e" / "saved_models.py"


def saved_models_folder() -> Path:
    """Return the folder of the SavedModels of the program ``MODELS_SOURCE``, as it is now; it exists once they are made."""
    return ROOT / ".cache" / "saved-models" / hashlib.sha256(MODELS_SOURCE.read_bytes()).hexdigest()[:16]


def tensorflow_predictions(model: Path, inputs: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return TensorFlow's own outputs of a SavedModel by name. TensorFlow runs in another process, once for the same inputs.

    Args:
        model: The folder of the SavedModel.
        inputs: The values of each input, one a row.
    """
    text = json.dumps(inputs)
    key = hashlib.sha256(text.encode())
    for file in sorted(file for file in model.rglob("*") if file.is_file()):
        key.update(file.read_bytes())
    kept = ROOT / ".cache" / "predictions" / f"{key.hexdigest()[:16]}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        given = kept.with_suffix(".inputs")
        given.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "tests.e2e.saved_models", "predict", str(model), str(given)]
        output = subprocess.run(command, check=True, capture_output=True).stdout
        given.with_suffix(".unfinished").write_bytes(output)
        given.with_suffix(".unfinished").rename(kept)
        given.unlink()
    outputs: dict[str, list[Any]] = json.loads(kept.read_bytes())
    return outputs


def sample_titles() -> list[str]:
    """Return the titles of the sample table `hacker_news.full`, each once, in order."""
    [table] = [sample for sample in sample_tables() if sample.table.endswith("hacker_news.full")]
    return sorted({row["title"] for row in table.rows if row["title"] is not None})


WORDS = ("ham", "spam", "eggs", "bacon")
"""The vocabulary of the model `judge`."""


def judge_rows() -> list[dict[str, Any]]:
    """Return 500 rows for the model `judge`, with a column `number` beside its inputs."""
    chance = random.Random(11)
    return [
        {
            "word": chance.choice((*WORDS, "tofu", "", "Спам", "egg\nplant")),
            "place": [round(chance.uniform(-3, 3), 3) for _ in range(3)],
            "count": chance.randrange(-(2**40), 2**40),
            "number": number,
        }
        for number in range(500)
    ]


def judge_predictions() -> dict[str, list[Any]]:
    """Return TensorFlow's own outputs of the model `judge` for ``judge_rows``."""
    rows = judge_rows()
    inputs = {name: [row[name] for row in rows] for name in ("word", "place", "count")}
    return tensorflow_predictions(saved_models_folder() / "judge", inputs)


def title_predictions() -> dict[str, list[Any]]:
    """Return TensorFlow's own outputs of the examples' classifier for ``sample_titles``."""
    return tensorflow_predictions(saved_model(), {"input": sample_titles()})


def prepare() -> None:
    """Compile the GoogleSQL parser and the tests, train the examples' classifier, and make the tests' SavedModels."""
    subprocess.run([sys.executable, "-m", "tests.contract.googlesql"], check=True)
    subprocess.run([sys.executable, "-m", "examples.train_classifier"], check=True, stdout=subprocess.DEVNULL)
    if not saved_models_folder().exists():
        subprocess.run([sys.executable, "-m", "tests.e2e.saved_models", "make"], check=True, stderr=subprocess.DEVNULL)
    judge_predictions()
    title_predictions()
    # pytest compiles every module of the tests when it first imports it.
    subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "--quiet"], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    prepare()
