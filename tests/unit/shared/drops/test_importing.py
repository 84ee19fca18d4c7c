"""Imports: the steps of a drop, its key, and drops that are refused before anything runs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.checks.model_check import ModelCheck
from shared.drops.drop import (
    Drop,
    DropFile,
    DropPath,
    Ready,
)
from shared.drops.imports.importing import Imports
from shared.drops.imports.planning import STAY_REGISTERED, new_step, plan, plan_refused
from shared.drops.manifest import Manifest
from shared.engine.running.steps import submit
from shared.errors import Problem
from shared.messages.deployment_request import DeploymentRequest
from shared.work import Item, Kind, Outcome, System
from shared.work_facts import ImportRequest
from tests.example_requests import NOW, services_at

PATH = DropPath("films", "genres", "2")


def _plan(manifest: Manifest | None = None, generation: int = 1, **settings: Any) -> Item:
    drop = Drop(PATH, (DropFile("genres.onnx", generation, "AAAAAA==", 7, NOW),), manifest=manifest or Manifest())
    return plan(drop, Ready("ONNX", drop.fingerprint, "genres.onnx"), services_at(**settings))


@pytest.mark.parametrize(
    ("manifest", "settings", "steps"),
    [
        (Manifest(), {}, ["create"]),
        (Manifest(files=1), {}, ["create"]),
        (Manifest(description="Tells genres apart"), {}, ["create", "describe"]),
        (Manifest(expires_after=timedelta(days=1)), {}, ["create", "describe"]),
        (Manifest(check=ModelCheck(query="SELECT 1"), description="x"), {}, ["candidate", "check"]),
        (Manifest(), {"safe_import": True}, ["candidate", "create"]),
        (Manifest(registry_id="a", deployment=DeploymentRequest("a")), {}, ["candidate"]),
        (Manifest(labels=(("a", "b"),)), {"safe_import": True}, ["candidate", "create", "describe"]),
    ],
)
def test_the_steps_depend_on_the_manifest_and_on_safe_import(
    manifest: Manifest, settings: dict[str, Any], steps: list[str]
) -> None:
    item = _plan(manifest, **settings)
    assert [step.name for step in item.steps] == steps
    assert {step.system for step in item.steps} == {System.BIGQUERY}


def _request(item: Item) -> ImportRequest:
    assert isinstance(item.request, ImportRequest)
    return item.request


def test_the_planned_item_has_the_drop_and_its_file() -> None:
    item = _plan()
    assert item.kind is Kind.IMPORT
    assert DropPath.of_request(_request(item)) == PATH
    assert item.request == ImportRequest(
        model="local-project.films.genres",
        path="gs://local-project-modeldrop-models/films/genres/2/",
        dataset="films",
        folder="genres",
        version="2",
        fingerprint=item.payload,
        model_type="ONNX",
        uri="gs://local-project-modeldrop-models/films/genres/2/genres.onnx",
    )


def test_a_saved_model_is_imported_with_all_files_of_its_folder() -> None:
    drop = Drop(PATH, (DropFile("saved_model.pb", 1, "AAAAAA==", 7, NOW),))
    item = plan(drop, Ready("TENSORFLOW", drop.fingerprint, None), services_at())
    assert _request(item).uri == "gs://local-project-modeldrop-models/films/genres/2/*"


def test_the_target_in_the_manifest_is_the_model() -> None:
    item = _plan(Manifest(target=ModelName("p-12", "other", "model")))
    assert item.request.model == "p-12.other.model"


def test_one_fingerprint_is_one_key() -> None:
    assert _plan().key == _plan().key
    assert _plan().key != _plan(generation=2).key


def test_a_drop_that_cannot_be_imported_ends_at_once_with_the_reason() -> None:
    problem = Problem("invalid_manifest", "modeldrop.yaml is not YAML", "modeldrop.yaml")
    item = submit(plan_refused(PATH, "f" * 32, problem, services_at()), Imports(), services_at())
    assert (item.outcome, item.problem, item.finished) == (Outcome.FAILED, problem, NOW)
    assert item.steps == ()
    assert _request(item).model_type is None


@pytest.mark.parametrize(
    ("model_type", "settings", "code"),
    [("XGBOOST", {"models_topic": "projects/p/topics/t"}, "not_deployable"), ("ONNX", {}, "no_topic")],
)
def test_a_drop_that_cannot_be_deployed_fails_before_a_job(
    model_type: str, settings: dict[str, Any], code: str
) -> None:
    item = _plan()
    request = replace(_request(item), model_type=model_type, manifest="registry: {id: a}\ndeploy: {endpoint: a}")
    ended = submit(replace(item, request=request), Imports(), services_at(**settings))
    assert ended.outcome is Outcome.FAILED
    assert ended.problem is not None
    assert (ended.problem.code, ended.problem.field) == (code, "modeldrop.yaml.deploy")
    assert ended.problem.message.endswith("(line 2 of modeldrop.yaml)")


def test_a_refused_drop_has_the_same_key_as_its_import() -> None:
    fingerprint = _plan().payload
    assert plan_refused(PATH, fingerprint, Problem("x", "y"), services_at()).key == _plan().key


def test_an_import_continues_if_only_its_registration_fails() -> None:
    planned = _plan()
    stay = new_step(planned, STAY_REGISTERED)
    item = replace(planned, steps=(*planned.steps, stay))
    continued = Imports().continue_without(item, stay, services_at())
    assert continued is not None
    assert continued.steps == planned.steps
    assert Imports().continue_without(item, planned.steps[0], services_at()) is None
