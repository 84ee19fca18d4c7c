"""One running local BigQuery for all tests that need an ordinary one, with a dataset for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.localcloud.bigquery.world import BigQueryWorld, bigquery_world


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryWorld]:
    """A running local BigQuery. Its responses are checked against Google's API description when the last test has ended."""
    with bigquery_world(tmp_path_factory.mktemp("bigquery")) as running:
        yield running


@pytest.fixture
def dataset(world: BigQueryWorld) -> str:
    """A new dataset with a table ``titles`` of 100 rows (title, score)."""
    return world.dataset()
