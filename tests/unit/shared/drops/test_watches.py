"""Watches: when a new file needs no look, and when a drop that lacks files is reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.checks.identifiers import ModelName
from shared.drops import watches
from shared.drops.drop import DropPath
from shared.work import Item, Kind
from tests.example_requests import NOW, PROJECT, services_at

PATH = DropPath("films", "genres", "2")


def _watch(**facts: Any) -> Item:
    return watches.new(PATH, ModelName(PROJECT, "films", "genres"), services_at()).with_facts(**facts)


def test_a_new_watch_says_what_it_watches_and_since_when() -> None:
    watch = _watch()
    assert (watch.kind, watch.key, watch.created) == (Kind.DROP, PATH.key, NOW)
    assert watch.request["path"] == "gs://local-project-modeldrop-models/films/genres/2/"
    assert watch.request["model"] == "local-project.films.genres"
    assert watch.facts["since"] == NOW.isoformat()


@pytest.mark.parametrize(
    ("files", "enough"),
    [
        (None, True),
        # One that counts its files is looked at with each of them, unless that would take more than a page.
        (3, False),
        (watches.COUNTED_FILES, False),
        (watches.COUNTED_FILES + 1, True),
    ],
)
def test_when_a_new_file_of_an_open_drop_needs_no_look(files: int | None, enough: bool) -> None:
    assert watches.is_enough(_watch(files=files), NOW) is enough


@pytest.mark.parametrize(
    ("outcome", "listed_until", "created", "enough"),
    [
        ("settled", NOW, NOW, True),
        ("settled", NOW, NOW + timedelta(microseconds=1), False),
        ("settled", NOW, None, False),
        ("gone", None, NOW, False),
    ],
)
def test_a_file_needs_no_look_only_if_the_drop_was_imported_with_it(
    outcome: str, listed_until: datetime | None, created: datetime | None, enough: bool
) -> None:
    watch = replace(
        _watch(listed_until=listed_until and listed_until.isoformat()), outcome=outcome, event_published=True
    )
    assert watches.is_enough(watch, created) is enough


@pytest.mark.parametrize(
    ("waited", "missing", "is_stuck"),
    [(3600, ["saved_model.pb"], True), (3599, ["saved_model.pb"], False), (7200, [], False)],
)
def test_a_drop_that_lacks_files_for_too_long_is_stuck(waited: int, missing: list[str], is_stuck: bool) -> None:
    found = watches.stuck_problem(_watch(missing=missing), services_at(NOW + timedelta(seconds=waited)))
    assert (found is not None) is is_stuck


def test_what_is_missing_is_named() -> None:
    services = services_at(NOW + timedelta(hours=2))
    found = watches.stuck_problem(_watch(missing=["variables/variables.index", "assets/a.txt"]), services)
    assert found is not None
    problem, about = found
    assert problem.code == "drop_incomplete"
    assert problem.message.endswith("films/genres/2/ still lacks variables/variables.index, assets/a.txt")
    assert about == f"settling-{NOW.isoformat()}"


def test_very_many_missing_files_are_counted() -> None:
    missing = [f"variables/variables.data-{n:05d}-of-00100" for n in range(100)]
    found = watches.stuck_problem(_watch(missing=missing), services_at(NOW + timedelta(hours=2)))
    assert found is not None
    assert "data-00019-of-00100 and 80 more" in found[0].message
    assert "data-00020" not in found[0].message
