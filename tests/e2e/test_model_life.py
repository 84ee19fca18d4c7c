"""The lives of several models, while functions are killed at random calls: each step of a life takes effect once."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.e2e.deeds import jobs_of_import
from tests.e2e.model_deeds import (
    endpoints_named,
    manage,
    model_of,
    predict_online,
    registry_id_of,
)
from tests.e2e.world import SHIFTED_TABLE, World, fresh

MODELS = 3
# About how many calls each function makes in a stage of a life of so many models.
CALLS = {"import_model": 80, "manage_model": 40, "poll_jobs": 60}
KILLS = 2
# Work that ended the process three times is reported as stuck, and continues.
STUCK = "modeldrop.job.stuck.v1"


@dataclass(frozen=True)
class Stage:
    """A part of a model's life: what somebody does, and what holds when that is done."""

    do: Callable[[World, str], None]
    check: Callable[[World, str], None]


def _drop(version: int, expected: int, world: World, name: str) -> None:
    """Drop a version that adds its number; its check expects that it adds ``expected``."""
    query = f"SELECT x, x + {expected} AS expected_y FROM {world.dataset}.{SHIFTED_TABLE}"
    manifest = {
        "files": 5,
        "check": {"query": query},
        "registry": {"id": registry_id_of(name), "aliases": ["champion"]},
    }
    files = {**world.shifter(version), "modeldrop.yaml": json.dumps(manifest).encode()}
    world.drop(files, name, str(version))


def _check_drop(version: int, in_use: int, kind: str, world: World, name: str) -> None:
    ends = ("model.imported", "model.import_failed", "model.check_failed")
    model = model_of(world, name)
    assert len(world.ids(*ends, model=model, version=str(version))) == 1
    assert len(world.ids(kind, model=model, version=str(version))) == 1
    assert world.shift_of(name) == in_use


def _manage(action: str, world: World, name: str, **more: Any) -> None:
    manage(world, action, name, f"{name}-{action}", **more)


def _event_of(world: World, name: str, kind: str, action: str) -> dict[str, Any]:
    """Return the data of the only event of a message, which is of this kind and may have come twice."""
    found = [each for each in world.events.all(request_id=f"{name}-{action}") if each.type != STUCK]
    assert [each.type for each in {each.id: each for each in found}.values()] == [f"modeldrop.{kind}.v1"]
    return found[0].data


def _check_rollback(world: World, name: str) -> None:
    data = _event_of(world, name, "model.rolled_back", "rollback")
    assert (data["version"], data["replaced_version"]) == ("1", "2")
    assert world.shift_of(name) == 1


def _check_aliases(world: World, name: str) -> None:
    registry = _event_of(world, name, "model.registered", "set_aliases")["registry"]
    # Each replacement of the model has deleted a version.
    assert registry["version"] == "3"
    assert {"champion", "veteran"} <= set(registry["aliases"])


def _check_deployed(world: World, name: str) -> None:
    [deployment] = _event_of(world, name, "model.deployed", "deploy")["deployments"]
    [endpoint] = endpoints_named(world, name)
    [model] = endpoint["deployedModels"]
    assert (deployment["endpoint"], deployment["deployed_model_id"]) == (endpoint["name"], model["id"])
    assert endpoint["trafficSplit"] == {model["id"]: 100}
    assert predict_online(world, endpoint["name"], 10.0) == 11.0


def _delete_too_soon(world: World, name: str) -> None:
    manage(world, "delete", name, f"{name}-too-soon")


def _check_not_deleted(world: World, name: str) -> None:
    error = _event_of(world, name, "request.rejected", "too-soon")["error"]
    assert error["code"] == "model_deployed"
    _check_deployed(world, name)


def _check_undeployed(world: World, name: str) -> None:
    data = _event_of(world, name, "model.undeployed", "undeploy")
    assert [each["endpoint_name"] for each in data["deployments"]] == [name]
    [endpoint] = endpoints_named(world, name)
    assert "deployedModels" not in endpoint
    assert world.shift_of(name) == 1


def _check_deleted(world: World, name: str) -> None:
    _event_of(world, name, "model.deleted", "delete")
    assert world.shift_of(name) is None
    # The candidates of both versions with a good check, the model of each, the candidate of the bad one, and the rollback.
    assert len(jobs_of_import(world, name)) == 6
    models = [each.model_id for each in world.bigquery.list_models(world.dataset)]
    assert [each for each in models if each.startswith(name)] == []


STAGES = (
    Stage(partial(_drop, 1, 1), partial(_check_drop, 1, 1, "model.imported")),
    Stage(partial(_drop, 2, 2), partial(_check_drop, 2, 2, "model.imported")),
    # The bad drop: a third version that does not compute what its check expects.
    Stage(partial(_drop, 3, 4), partial(_check_drop, 3, 2, "model.check_failed")),
    Stage(partial(_manage, "rollback"), _check_rollback),
    Stage(partial(_manage, "set_aliases", aliases=["veteran"]), _check_aliases),
    Stage(lambda world, name: _manage("deploy", world, name, endpoint=name), _check_deployed),
    Stage(_delete_too_soon, _check_not_deleted),
    Stage(partial(_manage, "undeploy"), _check_undeployed),
    Stage(partial(_manage, "delete"), _check_deleted),
)


def _kills(chance: random.Random) -> Iterator[dict[str, Any]]:
    for function, calls in CALLS.items():
        for when in ("before", "after"):
            nth = chance.sample(range(1, calls), KILLS)
            yield {"caller": function, "nth": nth, "when": when, "do": {"kill": True}}


@pytest.mark.matrix
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_models_live_the_same_lives_wherever_functions_are_killed(world: World, seed: int) -> None:
    chance = random.Random(seed)
    names = [fresh("life") for _ in range(MODELS)]
    killed = 0
    for stage in STAGES:
        with world.faults(*_kills(chance)):
            for name in chance.sample(names, len(names)):
                stage.do(world, name)
            world.quiet()
            killed += sum(world.faults_met())
        world.ready()
        world.quiet()
        for name in names:
            stage.check(world, name)
    assert killed >= len(STAGES)
