"""Queries that are nested deeply, and those that are nested too deeply."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world

NESTED: dict[str, Callable[[int], str]] = {
    "brackets": lambda depth: f"SELECT {'(' * depth}1{')' * depth} AS x",
    "queries in brackets": lambda depth: f"{'(' * depth}SELECT 1 AS x{')' * depth}",
    "calls": lambda depth: f"SELECT {'ABS(' * depth}1{')' * depth} AS x",
    "texts": lambda depth: "SELECT LENGTH(" + "CONCAT(" * depth + "'x'" + ", '')" * depth + ") AS x",
    "cases": lambda depth: f"SELECT {'CASE WHEN TRUE THEN ' * depth}1{' END' * depth} AS x",
    "negations": lambda depth: f"SELECT IF({'NOT ' * 2 * depth}TRUE, 1, 0) AS x",
    "sums": lambda depth: f"SELECT 1{' + 0' * depth} AS x",
    "unions": lambda depth: f"SELECT MAX(x) AS x FROM (SELECT 1 AS x{' UNION ALL SELECT 1' * depth})",
}


@pytest.fixture(scope="module", autouse=True)
def nothing_is_collected() -> Iterator[None]:
    """Keep what other tests left from being finalized at the bottom of the stack, which pytest would take for a failure."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    with bigquery_world(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.mark.parametrize("kind", NESTED)
def test_a_hundred_levels_are_read(world: BigQueryWorld, kind: str) -> None:
    assert world.rows(NESTED[kind](100)) == [(1,)]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in NESTED if kind != "unions"])
def test_thousands_are_refused_for_good(world: BigQueryWorld, kind: str, dry_run: bool) -> None:
    with pytest.raises(exceptions.BadRequest, match="Query is too complex") as refusal:
        world.client().query(NESTED[kind](5000), job_config=bigquery.QueryJobConfig(dry_run=dry_run)).result()
    assert refusal.value.errors[0]["reason"] == "invalidQuery"


def test_a_script_with_such_a_statement_is_refused_for_good(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.BadRequest, match="Query is too complex") as refusal:
        world.rows(f"SELECT 1; {NESTED['brackets'](5000)}")
    assert refusal.value.errors[0]["reason"] == "invalidQuery"


def test_arrays_of_arrays_of_arrays_are_refused_for_good(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.BadRequest, match="Query is too complex") as refusal:
        world.rows(f"SELECT {'[' * 100}1{']' * 100} AS x")
    assert refusal.value.errors[0]["reason"] == "invalidQuery"
