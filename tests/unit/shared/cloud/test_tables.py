"""The partitions of a table, as a Table resource describes them."""

from __future__ import annotations

from typing import Any

import pytest

from shared.cloud.tables import Partitioning

DAYS = {"timePartitioning": {"type": "DAY", "field": "day"}}
NUMBERS = {"rangePartitioning": {"field": "n", "range": {"start": "-10", "end": "30", "interval": "10"}}}


@pytest.mark.parametrize(
    ("resource", "right", "wrong"),
    [
        (DAYS, ["20260131"], ["2026013107", "202601", "20260132", "2026131", "__NULL__", "0", ""]),
        ({"timePartitioning": {"type": "HOUR"}}, ["2026013123"], ["2026013124", "20260131"]),
        ({"timePartitioning": {"type": "MONTH"}}, ["202612"], ["202613", "20260131"]),
        ({"timePartitioning": {"type": "YEAR"}}, ["2026"], ["26", "202601"]),
        ({"timePartitioning": {"expirationMs": "1"}}, ["20260131"], ["2026"]),
        (NUMBERS, ["-10", "0", "20"], ["5", "30", "-20", "ten"]),
    ],
)
def test_a_partition_has_an_id_of_its_kind(resource: dict[str, Any], right: list[str], wrong: list[str]) -> None:
    found = Partitioning.of(resource)
    assert found is not None and found.has(found.example)
    assert [each for each in (*right, *wrong) if found.has(each)] == right


def test_a_table_without_partitions_has_none() -> None:
    assert Partitioning.of({"numRows": "1"}) is None
    days = Partitioning.of(DAYS)
    assert days is not None and days.column == "day"
