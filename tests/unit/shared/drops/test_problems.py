"""Why a model does not come: the problem of its last drop that is stuck or has failed."""

from __future__ import annotations

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.drop import DropPath
from shared.drops.intake import examine_drop
from shared.drops.problems import FAILED, STUCK, problem_of_drop
from tests.example_requests import PROJECT
from tests.unit.shared.conftest import World

PATH = DropPath("films", "genres", "2")
MODEL = ModelName(PROJECT, "films", "genres")
SETTLED = 30.0


def drop(world: World, path: DropPath, **files: bytes) -> None:
    """Upload files, and let the drop settle."""
    for name, content in files.items():
        world.upload(path, name, content=content)
    world.pass_time(SETTLED)
    examine_drop(path, world.watch_of(path), world.services)


def test_a_drop_that_has_failed_is_the_reason(world: World) -> None:
    drop(world, PATH, **{"model.keras": b"x"})
    found = problem_of_drop(MODEL, world.services)
    assert found is not None
    assert (found.code, found.path) == (FAILED, PATH.uri(world.services.settings.model_bucket))
    assert found.problem.code == "no_model_file"


def test_a_drop_that_is_stuck_is_the_reason(world: World) -> None:
    drop(world, PATH, **{"variables/variables.index": b"x"})
    assert problem_of_drop(MODEL, world.services) is None
    world.pass_time(world.services.settings.drop_stuck_seconds)
    found = problem_of_drop(MODEL, world.services)
    assert found is not None
    assert (found.code, found.problem.code) == (STUCK, "drop_incomplete")


def test_the_last_of_several_drops_is_the_reason(world: World) -> None:
    for version, name in (("9", "model.keras"), ("10", "model.pkl")):
        drop(world, DropPath("films", "genres", version), **{name: b"x"})
    found = problem_of_drop(MODEL, world.services)
    assert found is not None
    assert "model.pkl" in found.problem.message


def test_a_drop_in_another_folder_that_names_the_model_is_the_reason(world: World) -> None:
    path = DropPath("films", "other", "1")
    drop(world, path, **{"modeldrop.yaml": b"target: films.genres", "model.keras": b"x"})
    found = problem_of_drop(MODEL, world.services)
    assert found is not None
    assert found.path == path.uri(world.services.settings.model_bucket)


@pytest.mark.parametrize("model", ["other", "genres2"])
def test_a_drop_of_another_model_is_no_reason(world: World, model: str) -> None:
    drop(world, PATH, **{"model.keras": b"x"})
    assert problem_of_drop(ModelName(PROJECT, "films", model), world.services) is None


def test_a_drop_that_was_put_right_and_is_watched_is_no_reason(world: World) -> None:
    drop(world, PATH, **{"model.keras": b"x"})
    world.upload(PATH, "variables/variables.index")
    examine_drop(PATH, world.watch_of(PATH), world.services)
    assert problem_of_drop(MODEL, world.services) is None
