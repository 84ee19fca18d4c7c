"""Routines that are created only if they do not exist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
