"""The life of a model that is deployed to an endpoint, by drops and messages alone."""

from __future__ import annotations

import json

import pytest

from tests.e2e.model_deeds import (
    asked_all_the_time,
    deployed,
    endpoints_named,
    import_version,
    manage,
    model_of,
    models_named,
    predict_online,
    registered,
    registry_id_of,
)
from tests.e2e.world import World, fresh


def _refusal(world: World, request_id: str) -> tuple[str, str]:
    """Return the code and the field of a message that is rejected."""
    error = world.event("request.rejected", request_id=request_id).data["error"]
    return error["code"], error["field"]


@pytest.mark.long
def test_a_sequence_of_drops_and_messages_takes_a_model_from_its_first_drop_to_its_deletion(world: World) -> None:
    name = fresh("life")
    registry = {"id": registry_id_of(name), "aliases": ["champion"]}
    import_version(world, name, 1, registry=registry)
    import_version(world, name, 2, registry=registry)

    check = {"rows": [{"input": {"x": 0}, "expected": {"y": 3.5}}]}
    bad = {"files": 5, "registry": registry, "check": check}
    world.drop({**world.shifter(3), "modeldrop.yaml": json.dumps(bad).encode()}, name, "3")
    world.event("model.check_failed", model=model_of(world, name), version="3")
    assert world.shift_of(name) == 2

    manage(world, "rollback", name, f"{name}-back")
    world.event("model.rolled_back", request_id=f"{name}-back")
    manage(world, "set_aliases", name, f"{name}-alias", aliases=["veteran"])
    assert "veteran" in world.event("model.registered", request_id=f"{name}-alias").data["registry"]["aliases"]

    manage(world, "deploy", name, f"{name}-deploy", endpoint=name)
    event = world.event("model.deployed", request_id=f"{name}-deploy")
    [deployment] = event.data["deployments"]
    assert (deployment["endpoint_name"], deployment["traffic"]) == (name, 100)
    # Each replacement has deleted a version.
    assert event.data["registry"]["version"] == "3"
    assert predict_online(world, deployment["endpoint"], 10.0) == 11.0

    manage(world, "describe", name, f"{name}-describe")
    about = world.event("model.described", request_id=f"{name}-describe").data["description"]
    assert about["deployments"] == [deployment]
    assert about["registry"]["aliases"] == ["champion", "default", "veteran"]

    manage(world, "delete", name, f"{name}-too-soon")
    assert _refusal(world, f"{name}-too-soon") == ("model_deployed", "model")
    manage(world, "undeploy", name, f"{name}-undeploy", endpoint=name)
    event = world.event("model.undeployed", request_id=f"{name}-undeploy")
    assert [each["endpoint_name"] for each in event.data["deployments"]] == [name]
    assert "deployedModels" not in endpoints_named(world, name)[0]
    manage(world, "delete", name, f"{name}-delete")
    world.event("model.deleted", request_id=f"{name}-delete")
    assert world.shift_of(name) is None


@pytest.mark.long
def test_a_drop_with_deploy_takes_the_place_of_the_version_that_is_deployed(world: World) -> None:
    name = fresh("deploying")
    manifest = {"registry": {"id": registry_id_of(name)}, "deploy": {"endpoint": name, "machine_type": "n1-standard-4"}}
    for version in (1, 2):
        import_version(world, name, version, **manifest)
        world.quiet()
        assert len(world.ids("model.deployed", model=model_of(world, name))) == version
        [endpoint] = endpoints_named(world, name)
        [model] = endpoint["deployedModels"]
        assert model["dedicatedResources"]["machineSpec"]["machineType"] == "n1-standard-4"
        assert predict_online(world, endpoint["name"], 0.0) == version

    # A drop that does not say what becomes of the deployed version does not replace it.
    files = {**world.shifter(3), "modeldrop.yaml": json.dumps({"files": 5, "registry": manifest["registry"]}).encode()}
    world.drop(files, name, "3")
    failed = world.event("model.import_failed", model=model_of(world, name), version="3")
    assert failed.data["error"]["code"] == "model_deployed"
    assert "add deploy to modeldrop.yaml" in failed.data["error"]["message"]
    assert predict_online(world, endpoint["name"], 0.0) == 2

    manage(world, "delete", name, f"{name}-delete", undeploy=True)
    event = world.event("model.deleted", request_id=f"{name}-delete")
    assert [each["endpoint_name"] for each in event.data["deployments"]] == [name]
    assert world.shift_of(name) is None


@pytest.mark.long
def test_an_endpoint_answers_all_the_time_while_its_version_is_replaced_or_rolled_back(world: World) -> None:
    name, other = fresh("steady"), fresh("other")
    manifest = {"registry": {"id": registry_id_of(name)}, "deploy": {"endpoint": name}}
    import_version(world, name, 1, **manifest)
    world.quiet()
    manage(world, "deploy", name, f"{name}-other", endpoint=other, machine_type="n1-standard-4")
    world.event("model.deployed", request_id=f"{name}-other")
    [endpoint], [elsewhere] = endpoints_named(world, name), endpoints_named(world, other)

    with asked_all_the_time(world, endpoint["name"]) as answers, asked_all_the_time(world, elsewhere["name"]):
        import_version(world, name, 2, **manifest)
        world.quiet()
        assert set(answers) == {1.0, 2.0}
        manage(world, "rollback", name, f"{name}-back")
        world.event("model.rolled_back", request_id=f"{name}-back")
        world.quiet()
    assert answers[-1] == 1.0
    assert models_named(world, name) == [name]
    for display_name, machine in ((name, "n1-standard-2"), (other, "n1-standard-4")):
        [endpoint] = endpoints_named(world, display_name)
        [deployed] = endpoint["deployedModels"]
        assert deployed["dedicatedResources"]["machineSpec"]["machineType"] == machine
        assert endpoint["trafficSplit"] == {deployed["id"]: 100}
        assert predict_online(world, endpoint["name"], 0.0) == 1.0


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "nth", "answer"),
    [
        pytest.param("aiplatform.projects.locations.endpoints.deployModel", 1, 1.0, id="stand-in"),
        pytest.param("bigquery.jobs.insert", 3, 2.0, id="replacement"),
    ],
)
def test_an_endpoint_answers_after_the_replacement_of_its_version_failed(
    world: World, method: str, nth: int, answer: float
) -> None:
    name = fresh("failing")
    manifest = {"registry": {"id": registry_id_of(name)}, "deploy": {"endpoint": name}}
    import_version(world, name, 1, **manifest)
    world.quiet()
    [endpoint] = endpoints_named(world, name)

    refusal = {"status": 400, "reason": "invalid", "message": "No machine is left."}
    with asked_all_the_time(world, endpoint["name"]) as answers:
        with world.faults({"method": method, "nth": nth, "do": refusal}):
            files = {**world.shifter(2), "modeldrop.yaml": json.dumps({"files": 5, **manifest}).encode()}
            world.drop(files, name, "2")
            failed = world.event("model.import_failed", model=model_of(world, name), version="2")
            world.quiet()
        assert "No machine is left" in failed.data["error"]["message"]
        assert world.shift_of(name) == 1
        assert predict_online(world, endpoint["name"], 0.0) == answer
        assert len(models_named(world, name)) == answer  # The stand-in stays only if nothing else answers.

        import_version(world, name, 3, **manifest)
        world.quiet()
    assert answers[-1] == 3.0
    assert models_named(world, name) == [name]


@pytest.mark.long
def test_two_models_share_an_endpoint_and_its_requests(world: World) -> None:
    first, second = fresh("shared"), fresh("shared")
    for name in (first, second):
        registered(world, name)
    for name, traffic in ((first, 100), (second, 30)):
        manage(world, "deploy", name, f"{name}-deploy", endpoint=first, traffic=traffic)
        event = world.event("model.deployed", request_id=f"{name}-deploy")
        assert event.data["deployments"][0]["traffic"] == traffic
    [endpoint] = endpoints_named(world, first)
    assert sorted(endpoint["trafficSplit"].values()) == [30, 70]

    # The version is on the endpoint already: the message changes its traffic, and deploys no second one.
    manage(world, "deploy", second, f"{second}-all", endpoint=first)
    world.event("model.deployed", request_id=f"{second}-all")
    [endpoint] = endpoints_named(world, first)
    assert len(endpoint["deployedModels"]) == 2
    assert list(endpoint["trafficSplit"].values()) == [100]

    manage(world, "undeploy", second, f"{second}-undeploy")
    assert _refusal(world, f"{second}-undeploy") == ("has_traffic", "endpoint")
    manage(world, "deploy", first, f"{first}-all", endpoint=first)
    world.event("model.deployed", request_id=f"{first}-all")
    manage(world, "undeploy", second, f"{second}-again")
    world.event("model.undeployed", request_id=f"{second}-again")


@pytest.mark.long
def test_a_deployment_that_a_rule_forbids_is_rejected_before_anything_is_created(world: World) -> None:
    name, other = fresh("forbidden"), fresh("elsewhere")
    import_version(world, name, 1)
    manage(world, "deploy", name, f"{name}-unregistered", endpoint=name)
    assert _refusal(world, f"{name}-unregistered") == ("not_registered", "model")
    manage(world, "register", name, f"{name}-register", id=registry_id_of(name))
    world.event("model.registered", request_id=f"{name}-register")
    for request_id, more, expected in (
        ("number", {"endpoint": "12345"}, ("endpoint_not_found", "endpoint")),
        ("share", {"endpoint": name, "traffic": 50}, ("invalid_field", "traffic")),
    ):
        manage(world, "deploy", name, f"{name}-{request_id}", **more)
        assert _refusal(world, f"{name}-{request_id}") == expected
    manage(world, "undeploy", name, f"{name}-undeploy")
    assert _refusal(world, f"{name}-undeploy") == ("not_deployed", "endpoint")

    deployed(world, other)
    manage(world, "undeploy", other, f"{other}-elsewhere", endpoint=name)
    assert _refusal(world, f"{other}-elsewhere") == ("not_deployed", "endpoint")
    manage(world, "deploy", other, f"{other}-larger", endpoint=other, machine_type="n1-standard-8")
    assert _refusal(world, f"{other}-larger") == ("deployed_otherwise", "machine_type")


@pytest.mark.long
def test_a_model_of_the_european_multi_region_lives_in_europe_west4(world: World) -> None:
    name, dataset = fresh("european"), world.make_dataset("european", "EU")
    model, registry_id = f"{world.project}.{dataset}.{name}", registry_id_of(name)
    manifest = {"files": 5, "registry": {"id": registry_id, "aliases": ["champion"]}, "deploy": {"endpoint": name}}
    files = {**world.shifter(1), "modeldrop.yaml": json.dumps(manifest).encode()}
    world.drop(files, name, dataset=dataset)
    world.event("model.imported", model=model)
    event = world.event("model.deployed", model=model)
    assert (event.data["registry"]["location"], event.data["registry"]["version"]) == ("europe-west4", "1")
    [deployment] = event.data["deployments"]
    assert deployment["endpoint"].startswith(f"projects/{world.project}/locations/europe-west4/endpoints/")
    assert predict_online(world, deployment["endpoint"], 10.0) == 11.0
    assert endpoints_named(world, name) == []  # None in us-central1.

    for action, more, end in (
        ("register", {"id": registry_id, "aliases": ["veteran"]}, "registered"),
        ("undeploy", {"endpoint": name}, "undeployed"),
        ("delete", {}, "deleted"),
    ):
        request_id = f"{name}-{action}"
        world.publish(
            "MODELS_TOPIC", {"action": action, "model": f"{dataset}.{name}", "request_id": request_id, **more}
        )
        event = world.event(f"model.{end}", request_id=request_id)
        assert event.data["job"] is None or event.data["job"]["location"] in ("EU", "europe-west4")
    assert list(world.bigquery.list_models(dataset)) == []
