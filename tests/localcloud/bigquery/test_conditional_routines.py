"""Routines that exist already, and what their definitions keep."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core import exceptions

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.mark.parametrize(
    "body", ["FUNCTION {name}(x INT64) AS (x + {n})", "TABLE FUNCTION {name}(x INT64) AS SELECT x + {n} AS y"]
)
def test_a_function_that_exists_is_not_created_again(world: BigQueryWorld, body: str) -> None:
    dataset = world.dataset()
    client = world.client()
    for n, operation in ((1, "CREATE"), (2, "SKIP")):
        created = body.format(name=f"{dataset}.plus", n=n).replace("FUNCTION", "FUNCTION IF NOT EXISTS", 1)
        job = client.query(f"CREATE {created}")
        job.result()
        assert job.ddl_operation_performed == operation
    call = f"SELECT y FROM {dataset}.plus(1)" if "TABLE" in body else f"SELECT {dataset}.plus(1)"
    assert world.rows(call) == [(2,)]


def test_a_procedure_that_exists_is_not_created_again(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    for n in (1, 2):
        world.rows(f"CREATE PROCEDURE IF NOT EXISTS {dataset}.p(OUT y INT64) BEGIN SET y = {n}; END")
    assert world.rows(f"DECLARE r INT64; CALL {dataset}.p(r); SELECT r") == [(1,)]


@pytest.mark.parametrize(
    "form", ["AS (x + 1) OPTIONS (description = 'next')", "OPTIONS (description = 'next') AS (x + 1)"]
)
def test_a_function_has_its_options_before_or_behind_its_body(world: BigQueryWorld, form: str) -> None:
    dataset = world.dataset()
    world.rows(f"CREATE FUNCTION {dataset}.n(x INT64) RETURNS INT64 {form}")
    assert world.rows(f"SELECT {dataset}.n(1)") == [(2,)]
    assert world.client().get_routine(f"{dataset}.n").description == "next"


def test_a_drop_of_another_kind_keeps_the_routine(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    world.rows(f"CREATE FUNCTION {dataset}.n(x INT64) AS (x + 1)")
    for kind in ("PROCEDURE", "TABLE FUNCTION"):
        with pytest.raises(exceptions.BadRequest, match="because it is currently a SCALAR_FUNCTION"):
            world.rows(f"DROP {kind} IF EXISTS {dataset}.n")
    assert world.rows(f"SELECT {dataset}.n(1)") == [(2,)]


def test_the_columns_of_a_table_function_are_not_its_return_type(world: BigQueryWorld) -> None:
    dataset = world.dataset()
    world.rows(f"CREATE TABLE FUNCTION {dataset}.t(x INT64) RETURNS TABLE<y INT64> AS SELECT x AS y")
    assert "returnType" not in world.call("GET", f"/datasets/{dataset}/routines/t").json()
