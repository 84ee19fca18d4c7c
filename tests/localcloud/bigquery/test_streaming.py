"""Rows that tabledata.insertAll adds to tables."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld


@pytest.mark.parametrize(
    ("row", "stored"),
    [
        ({"A": 1, "t": 1577836800}, (1, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), None, None)),
        ({"r": {"X": "2", "y": ["p"]}, "j": {"k": 1}}, (7, None, {"x": 2, "y": ["p"]}, {"k": 1})),
        ({"j": '{"k": 1}'}, (7, None, None, {"k": 1})),
        ({"a": 1.5}, "Cannot convert value to integer (bad value): 1.5"),
        ({"r": {"z": 1}}, "no such field: r.z."),
        ({"r": {"y": "p"}}, "Repeated field must be imported as a JSON array. Field: r.y."),
        ({"a": [1]}, "Array specified for non-repeated field: a."),
    ],
)
def test_streamed_values_are_read_as_those_of_json_files(
    world: BigQueryWorld, dataset: str, row: dict[str, Any], stored: Any
) -> None:
    columns = "a INT64 DEFAULT 7, t TIMESTAMP, r STRUCT<x INT64, y ARRAY<STRING>>, j JSON"
    world.rows(f"CREATE TABLE {dataset}.streamed ({columns})")
    errors = world.client().insert_rows_json(f"{PROJECT}.{dataset}.streamed", [row])
    found = world.rows(f"SELECT * FROM {dataset}.streamed")
    messages = [error["errors"][0]["message"] for error in errors]
    assert (found, messages) == (([], [stored]) if isinstance(stored, str) else ([stored], []))


def test_a_row_with_the_same_id_is_stored_once(world: BigQueryWorld, dataset: str) -> None:
    rows = [{"title": "twice", "score": 1}] * 2
    for _ in range(2):
        assert world.client().insert_rows_json(f"{PROJECT}.{dataset}.titles", rows, row_ids=["id", "id"]) == []
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.titles WHERE title = 'twice'") == [(1,)]


def test_a_template_makes_a_table_for_each_suffix(world: BigQueryWorld, dataset: str) -> None:
    for score in (1, 2):
        row = {"title": "new", "score": score}
        assert world.client().insert_rows_json(f"{PROJECT}.{dataset}.titles", [row], template_suffix="_new") == []
    assert world.rows(f"SELECT title, score FROM {dataset}.titles_new ORDER BY score") == [("new", 1), ("new", 2)]
