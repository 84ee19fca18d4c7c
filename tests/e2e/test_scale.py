"""The scale benchmark does with small numbers what it measures with large ones (`make test-all`)."""

from __future__ import annotations

import pytest

from benchmarks import scale
from benchmarks.cold_start import cold_starts

pytestmark = pytest.mark.matrix


def test_the_end_of_a_prediction_is_one_write_of_its_item_and_none_is_refused() -> None:
    [_, writes] = scale.ended_at_once(30)
    assert (writes.value, writes.comparison) == ("1.00 of each item", "0.00 refused with 429")


def test_each_of_many_messages_is_submitted_and_no_write_is_refused() -> None:
    [messages] = scale.many_messages(20, 4)
    assert messages.comparison.startswith("0.00 writes refused with 429 each; ")


def test_what_the_poller_hands_out_is_ended_once_by_another_instance() -> None:
    [rate, writes] = scale.ended_at_once(30, instances=1, part_items=10)
    assert "20 handed out" in rate.comparison
    assert writes.meets_limit


def test_a_tick_over_many_open_items_lists_all_of_them() -> None:
    [tick, _] = scale.many_open_items(2_500)
    assert tick.name == "a tick over 2,500 open items"


def test_functions_answer_their_first_event_from_a_cold_start() -> None:
    assert ["import_model" in start.name for start in cold_starts(1)] == [True, False]
