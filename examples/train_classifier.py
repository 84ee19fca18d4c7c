"""Trains a small text classifier on ``titles.csv`` and saves it as a SavedModel, as BigQuery imports it.

    python -m examples.train_classifier [FOLDER]

Its serving signature takes a string tensor ``input`` of shape [None] and gives ``dense_1``, of shape [None, 3]: the
probabilities that a title is by each of ``publishers()``. Words are hashed inside the graph, which therefore needs no
vocabulary file and uses core operations only, the ones that BigQuery can run:
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
    """Return the publishers in the order in which ``dense_1`` holds their probabilities."""
    return PUBLISHERS


def read_titles(split: str) -> list[tuple[str, str]]:
    """Return (title, publisher) of each row of ``titles.csv`` whose split is ``split``: train or heldout."""
    with TITLES.open(encoding="utf-8", newline="") as file:
        return [(row["title"], row["publisher"]) for row in csv.DictReader(file) if row["split"] == split]


def saved_model(folder: Path = CACHE) -> Path:
    """Return the folder of the trained SavedModel, a subfolder of ``folder``.

    It is trained (about ten seconds, most of them TensorFlow's import) unless ``folder`` has one already of the same
    titles and training code, whose hash is the subfolder's name. Everything in the returned folder belongs to the
    SavedModel. Raises RuntimeError, with what TensorFlow said, if the training fails.
    """
    trained = folder / fingerprint()
    if not trained.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(dir=folder, prefix="unfinished-"))
        try:
            _train_elsewhere(unfinished)
            _keep(unfinished, trained)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return trained


def fingerprint() -> str:
    """Return a hash of all that the trained model depends on: the titles and the code that trains on them."""
    training_code = Path(__file__).with_name("title_model.py")
    return hashlib.sha256(TITLES.read_bytes() + training_code.read_bytes()).hexdigest()[:16]


def _train_elsewhere(folder: Path) -> None:
    # TensorFlow takes hundreds of megabytes that no process gives back, and logs to stderr whatever one asks of it.
    command = [sys.executable, "-m", "examples.title_model", str(folder.resolve())]
    training = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if training.returncode != 0:
        raise RuntimeError(f"The classifier could not be trained:\n{training.stderr}")


def _keep(unfinished: Path, trained: Path) -> None:
    try:
        unfinished.replace(trained)
    except OSError:
        # Somebody else trained the same meanwhile, and theirs is as good.
        if not trained.is_dir():
            raise


def main() -> None:
    """Train if needed, and print where the SavedModel is."""
    parser = argparse.ArgumentParser(prog="python -m examples.train_classifier", description=__doc__.splitlines()[0])
    parser.add_argument(
        "folder", nargs="?", type=Path, default=CACHE, help="keeps the trained model (default: %(default)s)"
    )
    print(saved_model(parser.parse_args().folder))


if __name__ == "__main__":
    main()
