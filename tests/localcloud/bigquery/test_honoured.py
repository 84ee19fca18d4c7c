"""docs/bigquery.md: each statement of its tables does what the page says, and each field that it lists is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from localcloud.base.clock import ManualClock
from localcloud.bigquery.rest.unsupported import COLUMN_FIELDS, DATASET_FIELDS, TABLE_FIELDS
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "bigquery.md").read_text()
FIELDS = {"dataset": DATASET_FIELDS, "table": TABLE_FIELDS, "column": COLUMN_FIELDS}


def rows_of(heading: str) -> list[tuple[str, str]]:
    """Return the two cells of each row in the first table below a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = section.split("|---|---|\n")[1].split("\n\n")[0]
    return [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table.splitlines()]  # type: ignore[misc]


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, clock: ManualClock) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage"), clock=clock) as running:
        running.client().create_dataset("honoured")
        yield running


@pytest.mark.parametrize("heading", ["Carried out", "Accepted without effect"])
def test_what_the_page_calls_accepted_is(world: BigQueryWorld, heading: str) -> None:
    for statement, _ in rows_of(heading):
        world.rows(statement.strip("`"))


@pytest.mark.parametrize(("statement", "error"), rows_of("Refused"))
def test_what_the_page_calls_refused_is(world: BigQueryWorld, statement: str, error: str) -> None:
    with pytest.raises(exceptions.GoogleAPICallError, match=re.escape(error.strip("`"))):
        world.rows(statement.strip("`"))


def test_the_page_lists_the_fields_that_are_refused() -> None:
    table = PAGE.split("| resource | fields |\n|---|---|\n")[1].split("\n\n")[0]
    listed = {row.split("|")[1].strip(): re.findall(r"`(\w+)`", row) for row in table.splitlines()}
    assert listed == {kind: sorted(fields) for kind, fields in FIELDS.items()}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/datasets", {"datasetReference": {"datasetId": "other"}, "isCaseInsensitive": True}),
        ("/datasets/honoured/tables", {"tableReference": {"tableId": "x"}, "tableConstraints": {"primaryKey": {}}}),
        (
            "/datasets/honoured/tables",
            {"tableReference": {"tableId": "x"}, "schema": {"fields": [{"name": "a", "type": "STRING", "collation": "c"}]}},
        ),
    ],
)  # fmt: skip
def test_a_field_that_is_not_carried_out_is_refused(world: BigQueryWorld, path: str, body: dict[str, Any]) -> None:
    response = world.call("POST", path, json=body)
    assert response.status_code == 501
    assert "is not supported by the local BigQuery" in response.json()["error"]["message"]


def test_a_column_has_its_default_value(world: BigQueryWorld) -> None:
    field = bigquery.SchemaField("s", "STRING", default_value_expression="UPPER('foo')")
    table = bigquery.Table(f"{PROJECT}.honoured.defaults", [field, bigquery.SchemaField("i", "INTEGER")])
    assert world.client().create_table(table).schema[0].default_value_expression == "UPPER('foo')"
    world.rows("INSERT INTO honoured.defaults (i) VALUES (1)")
    assert world.client().insert_rows_json(f"{PROJECT}.honoured.defaults", [{"i": 2}]) == []
    assert world.rows("SELECT i, s FROM honoured.defaults ORDER BY i") == [(1, "FOO"), (2, "FOO")]


def test_a_value_that_is_too_long_is_refused(world: BigQueryWorld) -> None:
    schema = [
        bigquery.SchemaField("s", "STRING", max_length=2),
        bigquery.SchemaField("n", "NUMERIC", precision=4, scale=1),
    ]
    created = world.client().create_table(bigquery.Table(f"{PROJECT}.honoured.limits", schema))
    assert [(field.max_length, field.precision, field.scale) for field in created.schema] == [
        (2, None, None),
        (None, 4, 1),
    ]
    with pytest.raises(exceptions.BadRequest, match=r"STRING\(2\) has maximum length 2 but got a value with length 3"):
        world.rows("INSERT INTO honoured.limits (s) VALUES ('abc')")
    world.rows("INSERT INTO honoured.limits (s, n) VALUES ('ab', 1.26)")
    assert world.rows("SELECT CAST(n AS STRING) FROM honoured.limits") == [("1.3",)]


def test_an_expired_table_is_gone(world: BigQueryWorld, clock: ManualClock) -> None:
    dataset = bigquery.Dataset(f"{PROJECT}.passing")
    dataset.default_table_expiration_ms = 3_600_000
    world.client().create_dataset(dataset)
    world.rows("CREATE TABLE passing.soon AS SELECT 1 AS id")
    world.rows(
        "CREATE TABLE passing.late (id INT64) OPTIONS (expiration_timestamp = TIMESTAMP '2030-01-01 00:00:00 UTC')"
    )
    clock.advance(timedelta(hours=2).total_seconds())
    assert [table.table_id for table in world.client().list_tables("passing")] == ["late"]
    with pytest.raises(exceptions.NotFound):
        world.rows("SELECT * FROM passing.soon")
    world.rows("ALTER TABLE passing.late SET OPTIONS (expiration_timestamp = TIMESTAMP '2026-01-01 01:00:00 UTC')")
    with pytest.raises(exceptions.NotFound):
        world.client().get_table("passing.late")


def test_options_of_a_table_can_be_read_and_changed(world: BigQueryWorld) -> None:
    world.rows("CREATE TABLE honoured.options (id INT64) OPTIONS (description = 'before')")
    world.rows("BEGIN ALTER TABLE honoured.options SET OPTIONS (description = 'after', labels = [('a', 'b')]); END")
    table = world.client().get_table("honoured.options")
    assert (table.description, table.labels) == ("after", {"a": "b"})
