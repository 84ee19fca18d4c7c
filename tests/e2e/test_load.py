"""The load benchmark in small: what it measures holds for fewer messages as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.load import (
    Chain,
    many_messages,
    many_models,
    many_running_jobs,
)
from tests.conftest import variables
from tests.e2e.world import World


@pytest.fixture
def chain(world: World) -> Iterator[Chain]:
    world.reconcile()
    with variables(world.environment), Chain(world.environment) as chain:
        yield chain


def test_many_models_are_imported_each_once(chain: Chain) -> None:
    assert [figure for figure in many_models(chain, 6) if figure.holds is False] == []


def test_many_messages_at_once_are_predicted_each_once(chain: Chain) -> None:
    assert [figure for figure in many_messages(chain, 40, 8) if figure.holds is False] == []


def test_a_tick_over_many_running_jobs_makes_few_calls(chain: Chain) -> None:
    assert [figure for figure in many_running_jobs(chain, 50, 8) if figure.holds is False] == []
