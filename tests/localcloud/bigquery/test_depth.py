"""The depth to which queries may be nested."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator

import pytest
from google.api_core import exceptions
from google.cloud import bigquery

from tests.localcloud.bigquery.world import BigQueryWorld

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
def garbage_collection_is_off() -> Iterator[None]:
    """Turn garbage collection off: a finalizer of another test that runs on a deep stack fails, which pytest reports."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("kind", NESTED)
def test_a_query_with_a_hundred_levels_runs(world: BigQueryWorld, kind: str) -> None:
    assert world.rows(NESTED[kind](100)) == [(1,)]


@pytest.mark.parametrize("dry_run", [False, pytest.param(True, marks=pytest.mark.matrix)])
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind in {"brackets", "sums"} else pytest.mark.matrix)
        for kind in NESTED
        if kind != "unions"
    ],
)
@pytest.mark.long
def test_a_query_with_thousands_of_levels_is_an_invalid_query(world: BigQueryWorld, kind: str, dry_run: bool) -> None:
    with pytest.raises(exceptions.BadRequest, match="Query is too complex") as failed:
        world.client().query(NESTED[kind](5000), job_config=bigquery.QueryJobConfig(dry_run=dry_run)).result()
    assert failed.value.errors[0]["reason"] == "invalidQuery"


def test_the_limit_holds_after_a_library_has_raised_it(world: BigQueryWorld) -> None:
    sys.setrecursionlimit(10_000_000)  # as the import of bigframes does
    with pytest.raises(exceptions.BadRequest, match="Query is too complex"):
        world.rows(NESTED["brackets"](1000))


def test_a_script_with_thousands_of_levels_is_an_invalid_query(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.BadRequest, match="Query is too complex") as failed:
        world.rows(f"SELECT 1; {NESTED['brackets'](5000)}")
    assert failed.value.errors[0]["reason"] == "invalidQuery"


def test_deeply_nested_arrays_are_an_invalid_query(world: BigQueryWorld) -> None:
    with pytest.raises(exceptions.BadRequest, match="Query is too complex") as failed:
        world.rows(f"SELECT {'[' * 100}1{']' * 100} AS x")
    assert failed.value.errors[0]["reason"] == "invalidQuery"
