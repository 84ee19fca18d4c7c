"""The scale benchmark does with small numbers what it measures with large ones (`make test-all`)."""

from __future__ import annotations

import pytest

from benchmarks import scale

pytestmark = pytest.mark.matrix


def test_the_end_of_a_prediction_is_one_write_of_its_item_and_none_is_refused() -> None:
    [_, writes] = scale.ended_at_once(30)
    assert (writes.value, writes.comparison) == ("1.00 of each item", "0.00 refused with 429")


def test_each_of_many_messages_is_submitted_and_no_write_is_refused() -> None:
    [messages] = scale.many_messages(20, 4)
    assert messages.comparison == "0.00 writes refused with 429 each"
