"""The example titles and the classifier of their publishers."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from examples.make_titles import (
    PUBLISHERS,
    TITLES,
    TITLES_PER_PUBLISHER,
    endless_titles,
    write_titles,
)
from examples.train_classifier import publishers, read_titles, saved_model
from tests.waiting import LAST_LIMIT

# Runs in another process, which has only the SavedModel.
EVALUATE = """
import sys
import tensorflow as tf
from examples.train_classifier import publishers, read_titles

serve = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
print(serve.structured_input_signature[1]["input"].shape, serve.structured_outputs["dense_1"].shape)
titles, names = zip(*read_titles("heldout"))
probabilities = serve(input=tf.constant(titles + ("",)))["dense_1"].numpy()
assert abs(probabilities.sum(axis=1) - 1).max() < 1e-5
print(sum(publishers()[guess] == name for guess, name in zip(probabilities.argmax(axis=1), names)) / len(names))
"""


@pytest.fixture(scope="module")
def trained() -> Path:
    """The classifier that the demo uses as well; it is trained if it does not exist yet."""
    return saved_model()


def read_rows() -> list[dict[str, str]]:
    with TITLES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_titles_csv_equals_the_output_of_its_generator(tmp_path: Path) -> None:
    write_titles(tmp_path / "titles.csv")

    assert (tmp_path / "titles.csv").read_bytes() == TITLES.read_bytes()


def test_every_publisher_has_the_same_number_of_titles_without_repeats() -> None:
    rows = read_rows()

    assert list(rows[0]) == ["title", "publisher", "split"]
    assert Counter(row["publisher"] for row in rows) == dict.fromkeys(PUBLISHERS, TITLES_PER_PUBLISHER)
    assert len({row["title"] for row in rows}) == len(rows)


def test_about_one_title_in_seven_is_held_out() -> None:
    splits = Counter(row["split"] for row in read_rows())

    assert set(splits) == {"train", "heldout"}
    assert 0.12 < splits["heldout"] / splits.total() < 0.18


def test_every_slot_of_every_title_is_filled() -> None:
    assert not [title for title in islice(endless_titles(7), 3000) if "{" in title.title or "  " in title.title]


@pytest.mark.matrix  # The tutorials and the demo test the classifier as well.
def test_the_classifier_has_the_signature_of_the_tutorial_and_is_good_but_not_perfect(trained: Path) -> None:
    evaluation = subprocess.run(
        [sys.executable, "-c", EVALUATE, str(trained)], capture_output=True, text=True, check=False, timeout=LAST_LIMIT
    )

    assert evaluation.returncode == 0, evaluation.stderr
    shapes, accuracy = evaluation.stdout.splitlines()
    assert shapes == "(None,) (None, 3)"
    assert 0.85 <= float(accuracy) <= 0.97


def test_the_classifier_folder_contains_only_a_saved_model(trained: Path) -> None:
    files = sorted(str(file.relative_to(trained)) for file in trained.rglob("*") if file.is_file())

    assert files == [
        "fingerprint.pb",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]


def test_the_classifier_is_trained_once(trained: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in trained.rglob("*")}

    assert saved_model(trained.parent) == trained
    assert {file: file.stat().st_mtime_ns for file in trained.rglob("*")} == before


def test_a_trained_classifier_is_found_without_importing_tensorflow(trained: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from examples.train_classifier import saved_model; "
        "saved_model(Path(sys.argv[1])); sys.exit('tensorflow' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program, str(trained.parent)], check=False).returncode == 0


def test_heldout_titles_are_not_used_for_training() -> None:
    trained_on = {title for title, _ in read_titles("train")}

    assert not trained_on & {title for title, _ in read_titles("heldout")}
    assert set(publishers()) == {publisher for _, publisher in read_titles("train")}
