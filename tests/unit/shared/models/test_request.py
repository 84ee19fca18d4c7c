"""Manage messages: which action, on which drop."""

from __future__ import annotations

import re
from typing import Any

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.drop import DropPath
from shared.errors import Rejected
from shared.messages.deployment_request import DeploymentRequest
from shared.models.request import ManageRequest
from tests.example_requests import MANAGE_MESSAGE, NOW, PROJECT, SETTINGS


def test_an_import_names_its_drop() -> None:
    expected = ManageRequest("import", path=DropPath("films", "genres", "2"))
    assert ManageRequest.parse(MANAGE_MESSAGE, SETTINGS, NOW) == expected
    assert (
        ManageRequest.parse({**MANAGE_MESSAGE, "path": MANAGE_MESSAGE["path"].rstrip("/")}, SETTINGS, NOW) == expected
    )


def test_a_message_may_have_an_id_and_labels() -> None:
    message = {**MANAGE_MESSAGE, "request_id": "again-{date}", "labels": {"team": "films"}}
    request = ManageRequest.parse(message, SETTINGS, NOW)
    assert (request.request_id, request.labels) == (f"again-{NOW:%Y-%m-%d}", {"team": "films"})


def test_other_actions_name_a_model() -> None:
    message = {"action": "rollback", "model": "films.genres", "version": "2"}
    model = ModelName(PROJECT, "films", "genres")
    assert ManageRequest.parse(message, SETTINGS, NOW) == ManageRequest("rollback", model=model, version="2")
    for action in ("unpin", "delete", "describe"):
        request = ManageRequest.parse({"action": action, "model": "films.genres"}, SETTINGS, NOW)
        assert request == ManageRequest(action, model=model)


def test_a_deployment_has_all_requests_and_a_small_machine_unless_the_message_says_more() -> None:
    message: dict[str, Any] = {"action": "deploy", "model": "films.genres", "endpoint": "genres"}
    usual = ManageRequest.parse(message, SETTINGS, NOW).deployment
    assert usual == DeploymentRequest("genres", "n1-standard-2", 100)
    more = ManageRequest.parse({**message, "machine_type": "n1-highcpu-4", "traffic": 0}, SETTINGS, NOW).deployment
    assert more == DeploymentRequest("genres", "n1-highcpu-4", 0)


def test_a_model_is_undeployed_from_one_endpoint_or_from_all() -> None:
    message: dict[str, Any] = {"action": "undeploy", "model": "films.genres"}
    assert ManageRequest.parse(message, SETTINGS, NOW).endpoint is None
    assert ManageRequest.parse({**message, "endpoint": "My genres"}, SETTINGS, NOW).endpoint == "My genres"


def test_a_deletion_undeploys_only_if_it_says_so() -> None:
    message: dict[str, Any] = {"action": "delete", "model": "films.genres"}
    assert not ManageRequest.parse(message, SETTINGS, NOW).undeploy
    assert ManageRequest.parse({**message, "undeploy": True}, SETTINGS, NOW).undeploy


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"action": None}, "action", "missing_field"),
        ({"action": ""}, "action", "invalid_field"),
        ({"action": "explode"}, "action", "invalid_field"),
        ({"path": None}, "path", "missing_field"),
        ({"path": "films/genres/2/"}, "path", "invalid_field"),
        ({"path": "gs://other-bucket/films/genres/2/"}, "path", "invalid_field"),
        ({"path": "gs://local-project-modeldrop-models/films/genres/"}, "path", "invalid_field"),
        ({"path": "gs://local-project-modeldrop-models/films/genres/2/assets/"}, "path", "invalid_field"),
        ({"path": "gs://local-project-modeldrop-models/films/../2/"}, "path", "invalid_field"),
        ({"path": "gs://local-project-modeldrop-models/films/gen`res/2/"}, "path", "invalid_field"),
        ({"path": "gs://local-project-modeldrop-models/gcloud/tmp/2/"}, "path", "invalid_field"),
        ({"request_id": 7}, "request_id", "invalid_field"),
        ({"labels": {"Team": "films"}}, "labels", "invalid_name"),
        ({"version": "2"}, "version", "unknown_field"),
    ],
)
def test_a_wrong_field_is_rejected_with_its_name(changes: dict[str, Any], field: str, code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        ManageRequest.parse({**MANAGE_MESSAGE, **changes}, SETTINGS, NOW)
    assert (refusal.value.problem.field, refusal.value.problem.code) == (field, code)


@pytest.mark.parametrize(
    "path",
    [
        "films/genres/2",
        "gs://local-project-modeldrop-models/films/genres/2/model.onnx",
        "https://console.cloud.google.com/storage/browser/local-project-modeldrop-models/films/genres/2",
        "local-project-modeldrop-models/films/genres/2/",
    ],
)
def test_a_drop_that_is_named_otherwise_is_rejected_with_its_path(path: str) -> None:
    meant = r"did you mean gs://local-project-modeldrop-models/films/genres/2/\?$"
    with pytest.raises(Rejected, match=meant):
        ManageRequest.parse({**MANAGE_MESSAGE, "path": path}, SETTINGS, NOW)


@pytest.mark.parametrize(
    "path", ["gs://other-bucket/films/genres", "gs://local-project-modeldrop-models/films/genres", "x"]
)
def test_a_path_that_names_no_drop_has_no_suggestion(path: str) -> None:
    with pytest.raises(Rejected, match=r"<version>/$"):
        ManageRequest.parse({**MANAGE_MESSAGE, "path": path}, SETTINGS, NOW)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"endpoint": "projects/p/locations/us-central1/endpoints/123"}, "did you mean 123?"),
        ({"endpoint": "genres", "traffic": 50.5}, "must be a whole number, not 50.5"),
        ({"action": "register", "registry_id": "genres"}, "did you mean id?"),
        ({"action": "register", "id": "genres", "aliases": ["best", "best"]}, "names best again"),
    ],
)
def test_a_wrong_field_is_rejected_with_what_was_probably_meant(changes: dict[str, Any], advice: str) -> None:
    with pytest.raises(Rejected, match=re.escape(advice)):
        ManageRequest.parse({"action": "deploy", "model": "films.genres", **changes}, SETTINGS, NOW)
