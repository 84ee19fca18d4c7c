"""docs/bigquery.md: each statement of its tables does what the page says, and each field that it lists is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bqemulator
import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from localcloud.apis.discovery import read_document
from localcloud.base.clock import ManualClock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.request_fields import (
    PARAMETERS_WITHOUT_EFFECT,
    REFUSED_PARAMETERS,
    REQUEST_FIELDS,
    WITHIN,
    check_columns,
    check_request,
)
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld, bigquery_world
from tests.paths import ROOT

PAGE = (ROOT / "docs" / "bigquery.md").read_text()
DESCRIPTION = read_document("bigquery.v2")
OUTPUT_ONLY = re.compile(r"output.only", re.IGNORECASE)
SOURCES = "".join(
    path.read_text()
    for folder in (ROOT / "localcloud" / "bigquery", Path(bqemulator.__file__).parent / "api")
    for path in folder.rglob("*.py")
    if path.name != "request_fields.py"
)
REFUSED_FIELDS = [(schema, name) for schema, fields in REQUEST_FIELDS.items() for name in fields.refused]


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


def table_below(header: str) -> list[list[str]]:
    """Return the cells of the table with a header."""
    table = PAGE.split(f"{header}\n")[1].split("\n", 1)[1].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()]


@pytest.mark.parametrize("schema", REQUEST_FIELDS)
def test_each_field_of_a_request_is_carried_out_or_listed(schema: str) -> None:
    fields = REQUEST_FIELDS[schema]
    described = DESCRIPTION.schemas[schema]["properties"]
    settable = {name for name, of in described.items() if not OUTPUT_ONLY.search(of.get("description", ""))}
    assert settable <= fields.carried_out | set(fields.without_effect) | set(fields.refused) <= set(described)
    read = fields.carried_out - set(WITHIN.get(schema, {}))
    assert [name for name in read if f'"{name}"' not in SOURCES] == []
    assert not fields.carried_out & (set(fields.without_effect) | set(fields.refused))


@pytest.mark.parametrize(("schema", "name"), REFUSED_FIELDS)
def test_a_field_that_is_not_carried_out_is_refused_by_name(schema: str, name: str) -> None:
    with pytest.raises(QueryError, match=f"{name} is not supported by the local BigQuery") as refused:
        check_request(schema, {name: "some value"}, "column a")
    assert refused.value.status == 501
    check_request(schema, dict.fromkeys((name,), False))
    for harmless in REQUEST_FIELDS[schema].refused[name]:
        check_request(schema, {name: harmless})


def test_a_column_within_a_column_is_checked() -> None:
    inner = {"name": "inner", "type": "STRING", "collation": "und:ci"}
    with pytest.raises(QueryError, match="Column inner: collation is not supported"):
        check_columns([{"name": "outer", "type": "RECORD", "fields": [inner]}])


@pytest.mark.parametrize(
    ("method", "path", "body", "where"),
    [
        ("POST", "/jobs", {"configuration": {"query": {"query": "SELECT 1", "writeDispositon": "x"}}}, "configuration.query"),
        ("POST", "/queries", {"query": "SELECT 1", "maxResult": 1}, None),
        ("POST", "/datasets", {"datasetReference": {"datasetId": "other"}, "label": {}}, None),
        ("PATCH", "/datasets/honoured/tables/none", {"descriptions": ""}, None),
    ],
)  # fmt: skip
def test_a_field_that_no_request_has_is_refused(
    world: BigQueryWorld, method: str, path: str, body: dict[str, Any], where: str | None
) -> None:
    if "tables" in path:
        world.client().create_table(f"{PROJECT}.honoured.none", exists_ok=True)
    response = world.call(method, path, json=body)
    message = response.json()["error"]["message"]
    assert (response.status_code, 'Unknown name "' in message) == (400, True)
    assert where is None or f"at '{where}'" in message


@pytest.mark.parametrize("parameter", REFUSED_PARAMETERS)
def test_a_parameter_that_is_not_carried_out_is_refused_by_name(world: BigQueryWorld, parameter: str) -> None:
    response = world.call("GET", "/datasets", params={parameter: "INT64"})
    assert (response.status_code, parameter in response.json()["error"]["message"]) == (501, True)


@pytest.mark.parametrize("path", ["/jobs", "/datasets", "/datasets/honoured/tables", "/datasets/honoured/routines"])
def test_a_parameter_that_the_method_does_not_have_is_refused(world: BigQueryWorld, path: str) -> None:
    response = world.call("GET", path, params={"alt": "json", "$prettyPrint": "false", "foo": "1"})
    message = response.json()["error"]["message"]
    assert (response.status_code, 'Unknown name "foo": Cannot bind query parameter.' in message) == (400, True)


def test_each_parameter_is_read_or_listed() -> None:
    names = {
        name for method in DESCRIPTION.methods for name, of in method.parameters.items() if of["location"] == "query"
    }
    listed = set(PARAMETERS_WITHOUT_EFFECT) | set(REFUSED_PARAMETERS)
    assert [name for name in names - listed if f'"{name}"' not in SOURCES] == []
    assert listed <= names | set(DESCRIPTION.parameters) <= names | listed | {"alt", "fields", "uploadType"}


def test_the_page_lists_the_fields_that_are_refused_or_without_effect() -> None:
    assert table_below("| request | fields |") == [
        [fields.title, ", ".join(f"`{name}`" for name in sorted(fields.refused))]
        for fields in REQUEST_FIELDS.values()
        if fields.refused
    ]
    assert table_below("| request | field | why |") == [
        [fields.title, f"`{name}`", why]
        for fields in REQUEST_FIELDS.values()
        for name, why in fields.without_effect.items()
    ]
    assert table_below("| parameter | why |") == [[f"`{name}`", why] for name, why in PARAMETERS_WITHOUT_EFFECT.items()]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/datasets", {"datasetReference": {"datasetId": "other"}, "isCaseInsensitive": True}),
        ("/datasets/honoured/tables", {"tableReference": {"tableId": "x"}, "resourceTags": {"a": "b"}}),
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
    world.rows("ALTER TABLE passing.late SET OPTIONS (expiration_timestamp = TIMESTAMP '2026-01-01 03:00:00 UTC')")
    clock.advance(timedelta(hours=2).total_seconds())
    with pytest.raises(exceptions.NotFound):
        world.client().get_table("passing.late")


def test_options_of_a_table_can_be_read_and_changed(world: BigQueryWorld) -> None:
    world.rows("CREATE TABLE honoured.options (id INT64) OPTIONS (description = 'before')")
    world.rows("BEGIN ALTER TABLE honoured.options SET OPTIONS (description = 'after', labels = [('a', 'b')]); END")
    table = world.client().get_table("honoured.options")
    assert (table.description, table.labels) == ("after", {"a": "b"})


def test_an_update_of_the_schema_changes_the_settings_of_columns(world: BigQueryWorld) -> None:
    client = world.client()
    before = [bigquery.SchemaField("s", "STRING", mode="REQUIRED", max_length=2), bigquery.SchemaField("i", "INTEGER")]
    table = client.create_table(bigquery.Table(f"{PROJECT}.honoured.updated", before))
    table.schema = [
        bigquery.SchemaField("s", "STRING", max_length=3),
        before[1],
        bigquery.SchemaField("d", "STRING", default_value_expression="'x'"),
    ]
    after = client.update_table(table, ["schema"]).schema
    assert [(f.mode, f.max_length, f.default_value_expression) for f in after] == [
        ("NULLABLE", 3, None),
        ("NULLABLE", None, None),
        ("NULLABLE", None, "'x'"),
    ]
    world.rows("INSERT INTO honoured.updated (s, i) VALUES ('abc', 1), (NULL, 2)")
    assert world.rows("SELECT s, d FROM honoured.updated ORDER BY i") == [("abc", "x"), (None, "x")]
    table.schema = before
    with pytest.raises(exceptions.BadRequest):
        client.update_table(table, ["schema"])
    table.schema = [bigquery.SchemaField("s", "STRING", max_length=1), *after[1:]]
    with pytest.raises(exceptions.BadRequest, match="Field s has changed maxLength from 3 to 1"):
        client.update_table(table, ["schema"])


def test_an_update_of_the_schema_keeps_the_lengths_of_nested_fields(world: BigQueryWorld) -> None:
    client = world.client()
    world.rows("CREATE TABLE honoured.nested (r STRUCT<s STRING(2), n NUMERIC(5, 2)>)")
    table = client.get_table("honoured.nested")
    record = bigquery.SchemaField(
        "r", "RECORD", fields=[bigquery.SchemaField("s", "STRING"), bigquery.SchemaField("n", "NUMERIC")]
    )
    table.schema = [record, bigquery.SchemaField("t", "STRING")]
    kept = client.update_table(table, ["schema"]).schema[0].fields
    assert [(f.max_length, f.precision, f.scale) for f in kept] == [(2, None, None), (None, 5, 2)]
    with pytest.raises(exceptions.BadRequest, match="has maximum length 2"):
        world.rows("INSERT INTO honoured.nested (r) VALUES (STRUCT('abc', 1))")
