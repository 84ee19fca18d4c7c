"""The titles: they are what the generator makes, every one once, in three manners."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import islice
from pathlib import Path

from examples.make_titles import PUBLISHERS, TITLES, TITLES_PER_PUBLISHER, endless_titles, write_titles


def read_titles() -> list[dict[str, str]]:
    with TITLES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_titles_csv_is_what_the_generator_makes(tmp_path: Path) -> None:
    write_titles(tmp_path / "titles.csv")

    assert (tmp_path / "titles.csv").read_bytes() == TITLES.read_bytes()


def test_every_publisher_has_as_many_titles_and_none_comes_twice() -> None:
    rows = read_titles()

    assert list(rows[0]) == ["title", "publisher", "split"]
    assert Counter(row["publisher"] for row in rows) == dict.fromkeys(PUBLISHERS, TITLES_PER_PUBLISHER)
    assert len({row["title"] for row in rows}) == len(rows)


def test_about_one_title_in_seven_is_held_out() -> None:
    splits = Counter(row["split"] for row in read_titles())

    assert set(splits) == {"train", "heldout"}
    assert 0.12 < splits["heldout"] / splits.total() < 0.18


def test_every_slot_of_every_title_is_filled() -> None:
    assert not [title for title in islice(endless_titles(7), 3000) if "{" in title.title or "  " in title.title]
