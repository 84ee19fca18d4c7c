"""A dry run lists what a query reads through views, table functions and functions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world

DEFINITIONS = """
CREATE SCHEMA hidden;
CREATE TABLE hidden.t AS SELECT 'secret' AS s, DATE '2026-01-01' AS d;
CREATE TABLE hidden.t_2026 AS SELECT 's' AS s;
CREATE TABLE FUNCTION hidden.f() AS (SELECT * FROM hidden.t);
CREATE SCHEMA open;
CREATE TABLE open.t AS SELECT 'x' AS s;
CREATE VIEW open.v AS SELECT * FROM hidden.t;
CREATE VIEW open.nested AS SELECT s FROM open.v;
CREATE VIEW open.wildcard AS SELECT s FROM `hidden.t_*`;
CREATE VIEW open.of_function AS SELECT * FROM hidden.f();
CREATE VIEW open.in_expression AS SELECT (SELECT MAX(s) FROM hidden.t) AS s;
CREATE TABLE FUNCTION open.f(n INT64) AS (SELECT s FROM hidden.t);
CREATE TABLE FUNCTION open.of_view() AS (SELECT s FROM open.nested);
CREATE FUNCTION open.scalar() AS ((SELECT MAX(s) FROM hidden.t));
CREATE FUNCTION open.of_scalar(x STRING) AS (CONCAT(x, open.scalar()));
CREATE FUNCTION open.plain(x STRING) AS (CONCAT(x, 'hidden.t'));
CREATE MATERIALIZED VIEW open.materialised AS SELECT s FROM hidden.t;
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        for definition in DEFINITIONS.strip().split(";\n"):
            running.rows(definition)
        yield running


def references(world: BigQueryWorld, sql: str) -> set[str]:
    """Return the tables, and with brackets the routines, that a dry run of a query lists."""
    job = world.client().query(sql, job_config=bigquery.QueryJobConfig(dry_run=True))
    found = job._properties["statistics"]["query"]
    tables = {f"{table['datasetId']}.{table['tableId']}" for table in found.get("referencedTables", [])}
    routines = {f"{each['datasetId']}.{each['routineId']}()" for each in found.get("referencedRoutines", [])}
    return tables | routines


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM open.t", {"open.t"}),
        ("SELECT * FROM hidden.f()", {"hidden.f()", "hidden.t"}),
        ("SELECT * FROM `local-project`.hidden.f() AS x", {"hidden.f()", "hidden.t"}),
        ("SELECT * FROM `local-project.hidden.f`()", {"hidden.f()", "hidden.t"}),
        ("SELECT * FROM open.v", {"open.v", "hidden.t"}),
        ("SELECT * FROM open.nested", {"open.nested", "open.v", "hidden.t"}),
        ("SELECT * FROM open.wildcard", {"open.wildcard", "hidden.t_*"}),
        ("SELECT * FROM open.of_function", {"open.of_function", "hidden.f()", "hidden.t"}),
        ("SELECT * FROM open.in_expression", {"open.in_expression", "hidden.t"}),
        ("SELECT * FROM open.f(1)", {"open.f()", "hidden.t"}),
        (
            "SELECT a.s FROM open.t AS a JOIN open.of_view() AS b ON TRUE",
            {"open.t", "open.of_view()", "open.nested", "open.v", "hidden.t"},
        ),
        ("SELECT open.scalar()", {"open.scalar()", "hidden.t"}),
        (
            "SELECT s FROM open.t WHERE s > open.of_scalar(s)",
            {"open.t", "open.of_scalar()", "open.scalar()", "hidden.t"},
        ),
        ("SELECT `open.scalar`()", {"open.scalar()", "hidden.t"}),
        ("WITH c AS (SELECT * FROM open.v) SELECT * FROM c", {"open.v", "hidden.t"}),
        ("SELECT (SELECT MAX(s) FROM open.v)", {"open.v", "hidden.t"}),
        (
            "SELECT * FROM open.t WHERE EXISTS (SELECT 1 FROM open.nested)",
            {"open.t", "open.nested", "open.v", "hidden.t"},
        ),
        ("SELECT d FROM open.t TABLESAMPLE SYSTEM (10 PERCENT), open.v", {"open.t", "open.v", "hidden.t"}),
        ("SELECT * FROM open.v FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()", {"open.v", "hidden.t"}),
        ("FROM open.v |> WHERE s > 'a' |> SELECT s", {"open.v", "hidden.t"}),
        ("SELECT * FROM open.materialised", {"open.materialised", "hidden.t"}),
        ("SELECT open.plain('x')", {"open.plain()"}),
    ],
)
def test_a_dry_run_lists_what_is_behind_views_and_routines(world: BigQueryWorld, sql: str, expected: set[str]) -> None:
    assert references(world, sql) == expected


@pytest.mark.parametrize("sql", ["SELECT * FROM open.V", "SELECT * FROM Open.v", "SELECT * FROM OPEN.V"])
def test_a_name_in_another_case_is_another_table(world: BigQueryWorld, sql: str) -> None:
    with pytest.raises(exceptions.NotFound):
        references(world, sql)


def test_a_finished_job_lists_them_too(world: BigQueryWorld) -> None:
    job = world.client().query("SELECT * FROM open.f(1)")
    job.result()
    assert [table.table_id for table in job.referenced_tables] == ["t"]


def test_a_query_of_a_view_is_billed_for_the_tables_behind_it(world: BigQueryWorld) -> None:
    job = world.client().query("SELECT * FROM open.v")
    job.result()
    direct = world.client().query("SELECT * FROM hidden.t")
    direct.result()
    assert (job.total_bytes_processed, job.total_bytes_billed) == (
        direct.total_bytes_processed,
        direct.total_bytes_billed,
    )
    with pytest.raises(exceptions.BadRequest, match="bytes billed"):
        world.rows("SELECT * FROM open.v", job_config=bigquery.QueryJobConfig(maximum_bytes_billed=1000))
