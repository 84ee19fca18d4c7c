"""Watches: which files a watch covers, and when a drop that lacks files is reported."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.checks.identifiers import ModelName
from shared.drops import watches
from shared.drops.contents.files import drop_files
from shared.drops.drop import DropPath, NotReady
from shared.work import Item, Kind, Outcome, WaitReason
from shared.work_facts import FoundFile
from tests.example_requests import NOW, PROJECT, services_at
from tests.unit.shared.conftest import World

PATH = DropPath("films", "genres", "2")


def _watch(**facts: Any) -> Item:
    watch = watches.new_watch(PATH, ModelName(PROJECT, "films", "genres"), services_at())
    return replace(watch, facts=replace(watches.facts_of(watch), **facts))


def test_a_new_watch_has_its_drop_and_the_time_when_it_began() -> None:
    watch = _watch()
    assert (watch.kind, watch.key, watch.created) == (Kind.DROP, PATH.key, NOW)
    assert watches.request_of(watch).path == "gs://local-project-modeldrop-models/films/genres/2/"
    assert watches.request_of(watch).model == "local-project.films.genres"
    assert watches.facts_of(watch).since == NOW


@pytest.mark.parametrize(
    ("files", "covered"),
    [
        (None, True),
        # A drop that counts its files is examined with each of them, unless that would take more than a page.
        (3, False),
        (watches.COUNTED_FILES, False),
        (watches.COUNTED_FILES + 1, True),
    ],
)
def test_an_open_watch_covers_files_unless_a_page_of_them_is_counted(files: int | None, covered: bool) -> None:
    assert watches.covers(_watch(files=files), NOW) is covered


@pytest.mark.parametrize(
    ("outcome", "listed_until", "created", "covered"),
    [
        (Outcome.SETTLED, NOW, NOW, True),
        (Outcome.SETTLED, NOW, NOW + timedelta(microseconds=1), False),
        (Outcome.SETTLED, NOW, None, False),
        (Outcome.GONE, None, NOW, False),
    ],
)
def test_an_ended_watch_covers_only_files_that_were_imported(
    outcome: Outcome, listed_until: datetime | None, created: datetime | None, covered: bool
) -> None:
    watch = replace(_watch(listed_until=listed_until), outcome=outcome, event_published=True)
    assert watches.covers(watch, created) is covered


def test_a_file_that_is_uploaded_while_the_drop_is_imported_opens_the_watch_again(world: World) -> None:
    world.upload(PATH, "genres.onnx")
    listed = drop_files(world.services).list(PATH)
    target = ModelName(PROJECT, "films", "genres")
    watches.open_or_update(listed, NotReady((), world.services.now()), None, world.services)
    watch = world.watch_of(PATH)
    assert watch is not None
    world.upload(PATH, "labels.txt")
    watches.end_watch(watch, Outcome.SETTLED, listed, world.services)
    again = world.watch_of(PATH)
    assert again is not None
    assert not again.ended
    assert (watches.request_of(again).model, again.waits_for) == (str(target), WaitReason.SETTLING)
    assert world.indexed() == {PATH.key}


def test_an_unchanged_drop_is_not_watched_again_after_its_import(world: World) -> None:
    world.upload(PATH, "genres.onnx")
    listed = drop_files(world.services).list(PATH)
    watches.open_or_update(listed, NotReady((), world.services.now()), None, world.services)
    watch = world.watch_of(PATH)
    assert watch is not None
    watches.end_watch(watch, Outcome.SETTLED, listed, world.services)
    ended = world.watch_of(PATH)
    assert ended is not None
    assert ended.final
    assert world.indexed() == set()


@pytest.mark.parametrize(
    ("waited", "missing", "is_stuck"),
    [(900, ("saved_model.pb",), True), (899, ("saved_model.pb",), False), (7200, (), False)],
)
def test_a_drop_that_lacks_files_for_too_long_is_stuck(waited: int, missing: tuple[str, ...], is_stuck: bool) -> None:
    found = watches.stuck_problem(_watch(missing=missing), services_at(NOW + timedelta(seconds=waited)))
    assert (found is not None) is is_stuck


def test_the_files_that_are_there_and_the_missing_files_are_named() -> None:
    services = services_at(NOW + timedelta(hours=2))
    there = tuple(FoundFile(name, 1) for name in ("a", "b", "c", "d"))
    facts = {"missing": ("variables/variables.index", "assets/a.txt"), "found": there, "found_count": 5}
    found = watches.stuck_problem(_watch(**facts), services)
    assert found is not None
    problem, about = found
    assert problem.code == "drop_incomplete"
    assert "films/genres/2/ is incomplete: it holds a, b, c and 2 more, and still lacks" in problem.message
    assert "still lacks variables/variables.index, assets/a.txt. Upload what is missing" in problem.message
    assert about == f"settling-{NOW.isoformat()}"
