"""Trains a small text classifier on ``titles.csv`` and saves it as a SavedModel that BigQuery can import.

    python -m examples.train_classifier [FOLDER]

Its serving signature has the input ``input``, a string tensor of shape [None], and the output ``dense_1`` of shape
[None, 3]: the probability of each of ``publishers()``. Words are hashed inside the graph, so there is no vocabulary file,
and the graph uses core operations only, which BigQuery can run:
https://cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow#limitations
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from examples.make_titles import PUBLISHERS, TITLES

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".cache" / "classifier"


def publishers() -> tuple[str, ...]:
    """Return the publishers in the order of their probabilities in ``dense_1``."""
    return PUBLISHERS


def read_titles(split: str) -> list[tuple[str, str]]:
    """Return (title, publisher) of each row of ``titles.csv`` with the given split, ``train`` or ``heldout``."""
    with TITLES.open(encoding="utf-8", newline="") as file:
        return [(row["title"], row["publisher"]) for row in csv.DictReader(file) if row["split"] == split]


def saved_model(folder: Path = CACHE) -> Path:
    """Return the folder of the trained SavedModel, which has no other files.

    Training takes about ten seconds, most of them for importing TensorFlow. It is skipped if ``folder`` already has a
    model of the same titles and training code.

    Args:
        folder: Keeps trained models; each is in a subfolder, whose name is the ``fingerprint()``.

    Raises:
        RuntimeError: The training failed; the message has the output of TensorFlow.
    """
    trained = folder / fingerprint()
    if not trained.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder, prefix="unfinished-"))
        try:
            _train_in_a_process(unfinished)
            _keep(unfinished, trained)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return trained


def fingerprint() -> str:
    """Return a hash of the titles and of the training code."""
    training_code = Path(__file__).with_name("title_model.py")
    return hashlib.sha256(TITLES.read_bytes() + training_code.read_bytes()).hexdigest()[:16]


def _train_in_a_process(folder: Path) -> None:
    # TensorFlow uses hundreds of megabytes until the process ends, and its logs on stderr cannot be switched off.
    command = [sys.executable, "-m", "examples.title_model", str(folder.resolve())]
    training = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if training.returncode != 0:
        raise RuntimeError(f"The classifier could not be trained:\n{training.stderr}")


def _keep(unfinished: Path, trained: Path) -> None:
    try:
        unfinished.replace(trained)
    except OSError:
        # Another process trained the same model in the meantime; that one is used.
        if not trained.is_dir():
            raise


def main() -> None:
    """Train the model if needed, and print the folder of the SavedModel."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.train_classifier",
        description="Train a small text classifier and save it as a SavedModel.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=CACHE, help="folder for trained models (default: %(default)s)"
    )
    print(saved_model(parser.parse_args().folder))


if __name__ == "__main__":
    main()
