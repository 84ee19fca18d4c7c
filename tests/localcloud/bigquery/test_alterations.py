"""ALTER TABLE, and CREATE TABLE from another table."""

from __future__ import annotations

import pytest
from google.api_core import exceptions

from tests.localcloud.bigquery.world import BigQueryWorld

ID = {"name": "id", "type": "INTEGER", "mode": "REQUIRED"}
TEXT = {"name": "s", "type": "STRING", "mode": "NULLABLE", "description": "text", "defaultValueExpression": "'x'"}


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        (
            "ADD COLUMN n INT64 OPTIONS (description = 'a, b'), ADD COLUMN IF NOT EXISTS s INT64, DROP COLUMN IF EXISTS m",
            [ID, TEXT, {"name": "n", "type": "INTEGER", "mode": "NULLABLE", "description": "a, b"}],
        ),
        ("DROP COLUMN s, ADD COLUMN s FLOAT64", [ID, {"name": "s", "type": "FLOAT", "mode": "NULLABLE"}]),
        (
            "ALTER COLUMN id DROP NOT NULL, ALTER COLUMN s SET OPTIONS (description = 'new')",
            [ID | {"mode": "NULLABLE"}, TEXT | {"description": "new"}],
        ),
        ("ALTER COLUMN s SET DEFAULT UPPER('y')", [ID, TEXT | {"defaultValueExpression": "UPPER('y')"}]),
        ("ALTER COLUMN s DROP DEFAULT", [ID, {name: TEXT[name] for name in TEXT if name != "defaultValueExpression"}]),
        ("RENAME COLUMN s TO t, RENAME COLUMN id TO s", [ID | {"name": "s"}, TEXT | {"name": "t"}]),
        ("SET OPTIONS (description = 'a, b')", [ID, TEXT]),
        ("ALTER COLUMN id SET DATA TYPE FLOAT64, ALTER COLUMN s SET DATA TYPE STRING", [ID | {"type": "FLOAT"}, TEXT]),
    ],
)
@pytest.mark.parametrize("script", [False, True])
def test_columns_are_changed(
    world: BigQueryWorld, dataset: str, change: str, columns: list[dict[str, str]], script: bool
) -> None:
    world.rows(f"CREATE TABLE {dataset}.a (id INT64 NOT NULL, s STRING DEFAULT 'x' OPTIONS (description = 'text'))")
    world.rows(f"{'SELECT 1; ' if script else ''}ALTER TABLE {dataset}.a {change}")
    table = world.call("GET", f"/datasets/{dataset}/tables/a").json()
    assert table["schema"]["fields"] == columns
    assert ("description" in table) == change.startswith("SET OPTIONS")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("ADD COLUMN n INT64, DROP COLUMN m", "Column not found: m"),
        ("ADD COLUMN n INT64, ADD COLUMN N INT64", "Column already exists: N"),
        ("ALTER COLUMN m DROP DEFAULT", "Column not found: m"),
        ("ADD COLUMN n INT64, ALTER COLUMN id SET DATA TYPE STRING",
            r"requires that the existing column type \(INT64\) is assignable to the new type \(STRING\)"),
        ("DROP COLUMN id, ALTER COLUMN s SET DEFAULT 5", "Column default expression has type INT64"),
        ("ADD COLUMN n INT64 NOT NULL", r"Cannot add required fields to an existing schema. \(field: n\)"),
        ("ADD COLUMN n INT64 DEFAULT 5", "ADD COLUMN n cannot have a DEFAULT"),
        (
            "ALTER COLUMN s SET OPTIONS (rounding_mode = 'ROUND_HALF_EVEN')",
            "Option rounding_mode of a column is not supported",
        ),
    ],
)  # fmt: skip
def test_wrong_actions_change_nothing(world: BigQueryWorld, dataset: str, change: str, message: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.a (id INT64, s STRING)")
    with pytest.raises(exceptions.GoogleAPICallError, match=message):
        world.rows(f"ALTER TABLE {dataset}.a {change}")
    assert [column.name for column in world.client().get_table(f"{dataset}.a").schema] == ["id", "s"]


@pytest.mark.parametrize(
    ("change", "use"),
    [
        ("DROP COLUMN d", "partitioned"),
        ("RENAME COLUMN d TO e", "partitioned"),
        ("DROP COLUMN S", "clustered"),
        ("ADD COLUMN n INT64, RENAME COLUMN s TO t", "clustered"),
        ("DROP COLUMN id, DROP COLUMN s", "clustered"),
    ],
)
def test_a_column_that_divides_the_rows_is_not_taken_away(
    world: BigQueryWorld, dataset: str, change: str, use: str
) -> None:
    world.rows(f"CREATE TABLE {dataset}.a (id INT64, s STRING, d DATE) PARTITION BY d CLUSTER BY s")
    with pytest.raises(exceptions.BadRequest, match=rf"is not possible: the table \S+ is {use} by this column"):
        world.rows(f"ALTER TABLE {dataset}.a {change}")
    assert [column.name for column in world.client().get_table(f"{dataset}.a").schema] == ["id", "s", "d"]


def test_a_column_with_a_length_gets_a_longer_one_and_none(world: BigQueryWorld, dataset: str) -> None:
    world.rows(
        f"CREATE TABLE {dataset}.a (s STRING(2) NOT NULL, n NUMERIC(4, 2), r STRUCT<x INT64>, d DATE) PARTITION BY d"
    )
    world.rows(f"INSERT INTO {dataset}.a VALUES ('ab', 12.34, STRUCT(1), '2024-01-01')")
    world.rows(
        f"ALTER TABLE {dataset}.a ALTER COLUMN s SET DATA TYPE STRING(4), ALTER COLUMN n SET DATA TYPE NUMERIC(6, 3), "
        "ALTER COLUMN r SET DATA TYPE STRUCT<x FLOAT64, y STRING>"
    )
    world.rows(f"UPDATE {dataset}.a SET s = 'abcd', n = 123.456, r.y = 'z' WHERE TRUE")
    assert world.rows(f"SELECT s, CAST(n AS STRING), r.x, r.y FROM {dataset}.a") == [("abcd", "123.456", 1.0, "z")]
    with pytest.raises(exceptions.BadRequest, match="maximum length 4"):
        world.rows(f"UPDATE {dataset}.a SET s = 'abcde' WHERE TRUE")
    world.rows(f"ALTER TABLE {dataset}.a ALTER COLUMN s SET DATA TYPE STRING")
    table = world.call("GET", f"/datasets/{dataset}/tables/a").json()
    assert table["schema"]["fields"][:2] == [
        {"name": "s", "type": "STRING", "mode": "REQUIRED"},
        {"name": "n", "type": "NUMERIC", "mode": "NULLABLE", "precision": "6", "scale": "3"},
    ]
    assert table["timePartitioning"] == {"type": "DAY", "field": "d"}


def test_an_added_column_has_its_length_and_its_digits(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.a AS SELECT 1 AS id")
    world.rows(
        f"ALTER TABLE {dataset}.a ADD COLUMN s STRING(2), ADD COLUMN r STRUCT<x BYTES(1)>, ADD COLUMN n NUMERIC(3, 1)"
    )
    world.rows(f"ALTER TABLE {dataset}.a ADD COLUMN IF NOT EXISTS s STRING(9)")
    for change in ("s = 'abc'", "r = STRUCT(b'ab')"):
        with pytest.raises(exceptions.BadRequest, match="has maximum length"):
            world.rows(f"UPDATE {dataset}.a SET {change} WHERE TRUE")
    world.rows(f"UPDATE {dataset}.a SET s = 'ab', r.x = b'c', n = 1.26 WHERE TRUE")
    assert world.rows(f"SELECT id, s, r.x, CAST(n AS STRING) FROM {dataset}.a") == [(1, "ab", b"c", "1.3")]


def test_a_copy_does_not_change_with_its_source(world: BigQueryWorld, dataset: str) -> None:
    world.rows(f"CREATE TABLE {dataset}.copied COPY {dataset}.titles")
    world.rows(f"DELETE {dataset}.titles WHERE TRUE")
    assert world.rows(f"SELECT COUNT(*) FROM {dataset}.copied") == [(100,)]
