"""Traffic splits: whole shares that add up to 100."""

from __future__ import annotations

import pytest

from shared.cloud.endpoint_calls import with_share


@pytest.mark.parametrize(
    ("traffic", "share", "expected"),
    [
        ({}, 100, {"new": 100}),
        ({}, 0, {}),
        ({}, 30, None),
        ({"a": 100}, 100, {"new": 100}),
        ({"a": 100}, 30, {"a": 70, "new": 30}),
        ({"a": 100}, 0, {"a": 100}),
        ({"a": 50, "b": 50}, 1, {"a": 50, "b": 49, "new": 1}),
        ({"a": 34, "b": 33, "c": 33}, 10, {"a": 30, "b": 30, "c": 30, "new": 10}),
        ({"a": 99, "b": 1}, 90, {"a": 10, "new": 90}),
        ({"a": 60, "new": 40}, 0, {"a": 100}),
        ({"a": 60, "new": 40}, 80, {"a": 20, "new": 80}),
        ({"new": 100}, 0, {}),
        ({"new": 100}, 50, None),
        ({"a": 0, "new": 100}, 50, None),
    ],
)
def test_the_others_keep_their_shares_of_the_rest(
    traffic: dict[str, int], share: int, expected: dict[str, int] | None
) -> None:
    split = with_share(traffic, "new", share)
    assert split == expected
    assert not split or sum(split.values()) == 100
