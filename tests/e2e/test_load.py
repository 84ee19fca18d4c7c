"""The load benchmark meets its limits with small numbers too (`make test-all`)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.load import (
    Client,
    many_messages,
    many_models,
    many_running_jobs,
)
from tests.conftest import variables
from tests.e2e.world import World

pytestmark = pytest.mark.matrix


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    world.reconcile()
    with variables(world.environment), Client(world.environment) as client:
        yield client


def test_each_of_many_models_is_imported_once(client: Client) -> None:
    assert [figure for figure in many_models(client, 6) if figure.meets_limit is False] == []


def test_each_of_many_messages_is_predicted_once(client: Client) -> None:
    assert [figure for figure in many_messages(client, 20, 4) if figure.meets_limit is False] == []


def test_a_tick_over_many_running_jobs_makes_few_calls(client: Client) -> None:
    assert [figure for figure in many_running_jobs(client, 24, 4) if figure.meets_limit is False] == []
