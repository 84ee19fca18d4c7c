"""Rollbacks: which drop a message brings back, and what is refused."""

from __future__ import annotations

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.drop import DropPath
from shared.drops.imports.planning import former_version, plan_rollback, request_of
from shared.drops.imports.turns import ModelRecords
from shared.errors import Rejected
from shared.work import Item
from shared.work_facts import ModelVersion, Rollback
from tests.example_requests import PROJECT
from tests.unit.shared.conftest import World

MODEL = ModelName(PROJECT, "films", "genres")


@pytest.fixture
def used(world: World) -> World:
    """A world with the versions 1, 2, 3 and 10 of a model, of which 3 is in use; version 2 has no model file."""
    for version in ("1", "3", "10"):
        world.upload(DropPath("films", "genres", version), "genres.onnx")
    world.upload(DropPath("films", "genres", "2"), "fingerprint.pb")
    world.upload(DropPath("films", "genres", "11"), "genres.onnx")
    world.upload(DropPath("films", "genres", "11"), "modeldrop.yaml", content=b"target: films.others")
    world.pass_time(60)
    records = ModelRecords(world.services)
    records.take_turn(MODEL, "3", "key")
    records.leave_turn(MODEL, "key", ModelVersion("3", "f"))
    return world


def _found(world: World, version: str | None, model: ModelName = MODEL) -> Item:
    return former_version(plan_rollback(model, version, ("message", "1"), world.services), world.services)


def test_a_rollback_imports_the_drop_of_its_version(used: World) -> None:
    item = _found(used, "1")
    request = request_of(item)
    assert request.uri == f"gs://{used.models.name}/films/genres/1/genres.onnx"
    assert (request.version, request.rollback) == ("1", Rollback("1", replaced="3"))
    assert request.fingerprint
    assert [step.name for step in item.steps] == ["create"]


def test_without_a_version_a_rollback_goes_to_the_one_below(used: World) -> None:
    used.remove(DropPath("films", "genres", "2"))
    assert request_of(_found(used, None)).version == "1"


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        (None, "version 2 of local-project.films.genres is not complete"),
        ("4", "there is no version 4 of local-project.films.genres; the model bucket has the versions 1, 2, 3, 10"),
        ("11", "there is no version 11"),
    ],
)
def test_a_rollback_to_no_model_is_rejected(used: World, version: str | None, advice: str) -> None:
    with pytest.raises(Rejected) as refusal:
        _found(used, version)
    assert advice in refusal.value.problem.message
    assert refusal.value.problem.field == "version"


def test_a_rollback_of_a_model_without_a_record_needs_a_version(used: World) -> None:
    with pytest.raises(Rejected, match="give the version"):
        _found(used, None, ModelName(PROJECT, "films", "others"))


def test_a_rollback_of_a_model_without_drops_says_that_there_are_none(used: World) -> None:
    with pytest.raises(Rejected, match=r"no drop of local-project\.films\.unknown has been imported") as refusal:
        _found(used, None, ModelName(PROJECT, "films", "unknown"))
    assert (refusal.value.problem.code, refusal.value.problem.field) == ("model_not_found", "model")


def test_one_message_is_one_rollback(used: World) -> None:
    assert _found(used, "1").key == plan_rollback(MODEL, None, ("message", "1"), used.services).key
    assert _found(used, "1").key != plan_rollback(MODEL, "1", ("request", "1"), used.services).key
