"""The poller hands predictions out to further instances if there are more than one instance should continue."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.engine.ledger.index import Pending
from shared.errors import Rejected
from shared.keys import hash_of
from shared.poller.minutes import poll
from shared.poller.parts import PART_SECONDS, hand_out, is_late, parse_part
from shared.poller.ticks import continue_part, tick
from shared.work import Kind
from tests.example_requests import NOW
from tests.unit.shared.conftest import World
from tests.unit.shared.poller.open_work import ended_unpublished, prediction

KEYS = [hash_of("part", str(number)) for number in range(5)]
FAILED = "modeldrop.prediction.failed.v1"


def ended(world: World, count: int = len(KEYS)) -> None:
    """Leave predictions, the oldest first, whose events are not published."""
    for key in KEYS[:count]:
        ended_unpublished(world, key)
        world.pass_time(1)


def keys_of(parts: list[dict[str, Any]]) -> list[list[str]]:
    return [[each["key"] for each in part["work"]] for part in parts]


def test_the_poller_keeps_the_oldest_predictions_and_hands_out_the_others_in_parts(world: World) -> None:
    world.hand_out(2)
    ended(world)
    done = tick(world.services)
    assert (done.pending, done.handled, done.handed_out, done.left) == (5, 2, 3, 0)
    assert sorted(keys_of(world.parts())) == sorted([KEYS[2:4], KEYS[4:]])
    assert [prediction(world, key).final for key in KEYS] == [True, True, False, False, False]


def test_an_instance_continues_its_part_and_publishes_each_event_once(world: World) -> None:
    world.hand_out(2)
    ended(world)
    tick(world.services)
    world.published()
    parts = world.parts()
    for part in [*parts, *parts]:
        continue_part(parse_part(part), world.services)
    assert [event["type"] for event in world.published()] == [FAILED] * 3
    assert all(prediction(world, key).final for key in KEYS)
    assert world.indexed() == set()


def test_a_lost_part_is_handed_out_again_by_the_next_call_and_not_by_the_next_tick(world: World) -> None:
    world.hand_out(2)
    ended(world)
    ticks = iter([None])
    poll(world.services, wait=lambda seconds: next(ticks) or world.pass_time(60))
    assert sorted(key for part in keys_of(world.parts()) for key in part) == sorted(KEYS[2:])
    assert tick(world.services).handled == 3


@pytest.mark.parametrize(("count", "size"), [(3, 2), (5, 250)], ids=["less than a part is left", "one part is enough"])
def test_a_small_load_publishes_no_part(world: World, count: int, size: int) -> None:
    world.hand_out(size)
    ended(world, count)
    assert tick(world.services).handled == count
    assert world.parts() == []


def test_without_a_topic_the_poller_continues_all_work(world: World) -> None:
    world.configure(poll_part_items=1)
    ended(world)
    assert tick(world.services).handled == 5


def test_the_poller_keeps_work_that_it_cannot_hand_out(world: World) -> None:
    world.configure(work_topic="projects/local-project/topics/missing", poll_part_items=1)
    ended(world)
    assert tick(world.services).handled == 5
    assert all(prediction(world, key).final for key in KEYS)


def test_work_other_than_predictions_and_work_that_failed_before_is_not_handed_out(world: World) -> None:
    world.hand_out(1)
    predictions = [Pending(Kind.PREDICT, key, generation=1, written=NOW, created=NOW) for key in KEYS[:3]]
    failed = replace(predictions[2], looks=1)
    other = Pending(Kind.IMPORT, KEYS[3], generation=1, written=NOW, created=NOW)
    due = [other, *predictions[:2], failed]
    assert hand_out(due, world.services) == [other, predictions[0], failed]
    assert keys_of(world.parts()) == [[KEYS[1]]]


def test_a_part_is_late_when_the_next_call_of_the_poller_has_handed_its_work_out() -> None:
    assert not is_late(NOW, NOW + PART_SECONDS)
    assert is_late(NOW, NOW + PART_SECONDS + timedelta(seconds=1))


PENDING = {"kind": "predict", "key": KEYS[0], "generation": 1, "written": NOW.isoformat(), "created": NOW.isoformat()}


def test_a_part_holds_what_the_index_objects_say() -> None:
    assert parse_part({"work": [{**PENDING, "deadline": NOW.isoformat()}]}) == [
        Pending(Kind.PREDICT, KEYS[0], generation=1, written=NOW, created=NOW, deadline=NOW)
    ]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"work": {}},
        {"work": [], "request_id": "a"},
        {"work": ["a"]},
        {"work": [{}]},
        {"work": [{**PENDING, "kind": "import"}]},
        {"work": [{**PENDING, "key": "../items"}]},
        {"work": [{**PENDING, "generation": "1"}]},
        {"work": [{**PENDING, "written": "yesterday"}]},
        {"work": [{**PENDING, "more": 1}]},
    ],
    ids=json.dumps,
)
def test_a_message_that_the_poller_did_not_publish_is_refused(message: dict[str, Any]) -> None:
    with pytest.raises(Rejected):
        parse_part(message)
