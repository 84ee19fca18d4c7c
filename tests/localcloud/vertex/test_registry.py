"""The model registry and endpoints of local Vertex AI, through Google's clients."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as api

from localcloud.base.clock import ManualClock
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.pace import Pace
from tests.localcloud.vertex.world import PARENT, World, vertex_world
from tests.waiting import LAST_LIMIT

BIGQUERY_MODEL = "local-project.bqml_tutorial.imported_tf_model"
MODEL = f"{PARENT}/models/imported_tf_model"
RESOURCES = {"machine_spec": {"machine_type": "n1-standard-2"}, "min_replica_count": 1}


def shout(instances: list[Any]) -> list[Any]:
    return [{"dense_1": [len(instance["input"])]} for instance in instances]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with vertex_world(tmp_path, pace=Pace(operation_seconds=0.05)) as running:
        yield running


@pytest.fixture
def models(world: World) -> api.ModelServiceClient:
    return api.ModelServiceClient(
        transport="rest", client_options={"api_endpoint": world.url}, credentials=AnonymousCredentials()
    )


@pytest.fixture
def endpoints(world: World) -> api.EndpointServiceClient:
    return api.EndpointServiceClient(
        transport="rest", client_options={"api_endpoint": world.url}, credentials=AnonymousCredentials()
    )


def register(world: World, name: str = MODEL, **options: Any) -> int:
    return world.vertex.registry.register(name, **{"bigquery_model": BIGQUERY_MODEL, "predict": shout} | options)


class TestModels:
    def test_a_registered_model_is_found(self, world: World, models: api.ModelServiceClient) -> None:
        assert register(world, aliases=["champion"]) == 1
        model = models.get_model(name=MODEL)
        assert (model.name, model.version_id, model.display_name) == (MODEL, "1", "imported_tf_model")
        assert sorted(model.version_aliases) == ["champion", "default"]
        assert model.model_source_info.source_type == api.ModelSourceInfo.ModelSourceType.BQML
        assert models.get_model(name=f"{MODEL}@champion").version_id == "1"
        assert models.get_model(name=f"{MODEL}@1").version_id == "1"
        for name in (f"{MODEL}@2", f"{MODEL}@nobody", f"{PARENT}/models/other"):
            with pytest.raises(exceptions.NotFound):
                models.get_model(name=name)

    def test_a_replaced_model_gets_a_new_version_and_loses_the_old_one(
        self, world: World, models: api.ModelServiceClient
    ) -> None:
        register(world)
        assert register(world) == 2
        assert [model.name for model in models.list_model_versions(name=MODEL)] == [f"{MODEL}@2"]
        assert "default" in models.get_model(name=MODEL).version_aliases

    def test_another_model_under_the_same_id_is_another_version(
        self, world: World, models: api.ModelServiceClient
    ) -> None:
        register(world)
        register(world, bigquery_model="local-project.bqml_tutorial.other", aliases=["next"])
        versions = {model.version_id: list(model.version_aliases) for model in models.list_model_versions(name=MODEL)}
        assert versions == {"2": ["next"], "1": ["default"]}
        assert models.get_model(name=MODEL).version_id == "1"

    def test_aliases_move_and_one_version_stays_the_default(self, world: World, models: api.ModelServiceClient) -> None:
        register(world, aliases=["champion"])
        register(world, bigquery_model="local-project.bqml_tutorial.other")
        moved = models.merge_version_aliases(name=f"{MODEL}@2", version_aliases=["champion", "default"])
        assert sorted(moved.version_aliases) == ["champion", "default"]
        assert models.get_model(name=MODEL).version_id == "2"
        assert list(models.get_model(name=f"{MODEL}@1").version_aliases) == []
        assert (
            "champion"
            not in models.merge_version_aliases(name=f"{MODEL}@2", version_aliases=["-champion"]).version_aliases
        )
        for aliases in (["-default"], ["Not An Alias"], ["7"]):
            with pytest.raises(exceptions.BadRequest):
                models.merge_version_aliases(name=f"{MODEL}@2", version_aliases=aliases)

    def test_models_are_listed_by_filter(self, world: World, models: api.ModelServiceClient) -> None:
        register(world)
        register(world, f"{PARENT}/models/other", bigquery_model="p.d.other")
        listed = models.list_models(request={"parent": PARENT, "filter": "model=other"})
        assert [model.name for model in listed] == [f"{PARENT}/models/other"]
        assert len(list(models.list_models(request={"parent": PARENT, "page_size": 1}))) == 2

    def test_a_description_is_updated(self, world: World, models: api.ModelServiceClient) -> None:
        register(world)
        changed = {"name": MODEL, "description": "titles", "labels": {"team": "news"}, "display_name": "ignored"}
        models.update_model(model=changed, update_mask={"paths": ["description", "labels"]})
        model = models.get_model(name=MODEL)
        assert (model.description, dict(model.labels)) == ("titles", {"team": "news"})
        assert model.display_name == "imported_tf_model"
        assert model.update_time > model.create_time
        with pytest.raises(exceptions.BadRequest):
            models.update_model(model=changed, update_mask={"paths": ["metadata"]})

    def test_an_imported_model_has_no_evaluations(self, world: World, models: api.ModelServiceClient) -> None:
        register(world)
        assert list(models.list_model_evaluations(parent=MODEL)) == []
        with pytest.raises(exceptions.NotFound):
            models.list_model_evaluations(parent=f"{PARENT}/models/other")

    def test_a_bigquery_model_can_be_deleted_only_in_bigquery(
        self, world: World, models: api.ModelServiceClient
    ) -> None:
        register(world)
        for delete, name in ((models.delete_model, MODEL), (models.delete_model_version, f"{MODEL}@1")):
            with pytest.raises(exceptions.BadRequest, match=f"drop {BIGQUERY_MODEL}"):
                delete(name=name)
        world.vertex.registry.unregister(BIGQUERY_MODEL)
        with pytest.raises(exceptions.NotFound):
            models.get_model(name=MODEL)
        assert register(world) == 2  # Numbers are not reused.


class TestEndpoints:
    def test_a_model_is_deployed_predicts_and_is_undeployed(
        self, world: World, models: api.ModelServiceClient, endpoints: api.EndpointServiceClient
    ) -> None:
        register(world)
        endpoint = endpoints.create_endpoint(
            parent=PARENT, endpoint={"display_name": "titles", "labels": {"team": "news"}}
        ).result(timeout=LAST_LIMIT)
        deploying = endpoints.deploy_model(
            endpoint=endpoint.name,
            deployed_model={"model": MODEL, "display_name": "first", "dedicated_resources": RESOURCES},
            traffic_split={"0": 100},
        )
        deployed = deploying.result(timeout=LAST_LIMIT).deployed_model
        assert (deployed.model, deployed.model_version_id, deployed.display_name) == (MODEL, "1", "first")
        shown = endpoints.get_endpoint(name=endpoint.name)
        assert dict(shown.traffic_split) == {deployed.id: 100}
        assert [one.id for one in shown.deployed_models] == [deployed.id]
        (reference,) = models.get_model(name=MODEL).deployed_models
        assert (reference.endpoint, reference.deployed_model_id) == (endpoint.name, deployed.id)

        answer = requests.post(
            f"{world.url}/v1/{endpoint.name}:predict", json={"instances": [{"input": "four"}]}, timeout=LAST_LIMIT
        ).json()
        assert answer["predictions"] == [{"dense_1": [4]}]
        assert answer["modelDisplayName"] == "imported_tf_model"
        assert (answer["deployedModelId"], answer["modelVersionId"]) == (deployed.id, "1")

        with pytest.raises(RequestError, match="Please undeploy the model before retry"):
            world.vertex.registry.unregister(BIGQUERY_MODEL)
        with pytest.raises(exceptions.BadRequest, match="Undeploy them first"):
            endpoints.delete_endpoint(name=endpoint.name)
        endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id=deployed.id).result(timeout=LAST_LIMIT)
        assert not models.get_model(name=MODEL).deployed_models
        assert not endpoints.get_endpoint(name=endpoint.name).traffic_split
        endpoints.delete_endpoint(name=endpoint.name).result(timeout=LAST_LIMIT)
        assert list(endpoints.list_endpoints(parent=PARENT)) == []

    def test_traffic_moves_to_a_new_version(self, world: World, endpoints: api.EndpointServiceClient) -> None:
        register(world)
        register(world, bigquery_model="local-project.bqml_tutorial.other")
        endpoint = (
            endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "titles"})
            .result(timeout=LAST_LIMIT)
            .name
        )

        def deploy(version: int, split: dict[str, int]) -> str:
            model = {"model": f"{MODEL}@{version}", "dedicated_resources": RESOURCES}
            operation = endpoints.deploy_model(endpoint=endpoint, deployed_model=model, traffic_split=split)
            return str(operation.result(timeout=LAST_LIMIT).deployed_model.id)

        first = deploy(1, {"0": 100})
        second = deploy(2, {first: 40, "0": 60})
        assert dict(endpoints.get_endpoint(name=endpoint).traffic_split) == {first: 40, second: 60}
        with pytest.raises(exceptions.BadRequest, match="has traffic"):
            endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=first)
        endpoints.update_endpoint(
            endpoint={"name": endpoint, "traffic_split": {second: 100}}, update_mask={"paths": ["traffic_split"]}
        )
        endpoints.undeploy_model(endpoint=endpoint, deployed_model_id=first).result(timeout=LAST_LIMIT)
        shown = endpoints.get_endpoint(name=endpoint)
        assert (dict(shown.traffic_split), [one.model_version_id for one in shown.deployed_models]) == (
            {second: 100},
            ["2"],
        )

    def test_a_model_that_cannot_be_deployed_is_rejected(
        self, world: World, endpoints: api.EndpointServiceClient
    ) -> None:
        register(world)
        register(world, f"{PARENT}/models/booster", bigquery_model="p.d.booster", deployable=False)
        endpoint = (
            endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "e"}).result(timeout=LAST_LIMIT).name
        )
        booster = f"{PARENT}/models/booster"
        cases: list[tuple[dict[str, Any], dict[str, int]]] = [
            ({"model": booster, "dedicated_resources": RESOURCES}, {"0": 100}),
            ({"model": MODEL, "automatic_resources": {"min_replica_count": 1}}, {"0": 100}),
            ({"model": MODEL, "dedicated_resources": {"min_replica_count": 1}}, {"0": 100}),
            ({"model": MODEL, "dedicated_resources": {**RESOURCES, "machine_spec": {"machine_type": "large"}}}, {}),
            (
                {"model": MODEL, "dedicated_resources": {**RESOURCES, "min_replica_count": 2, "max_replica_count": 1}},
                {},
            ),
            ({"model": MODEL, "dedicated_resources": RESOURCES}, {"0": 50}),
            ({"model": MODEL, "dedicated_resources": RESOURCES}, {"nobody": 100}),
        ]
        with pytest.raises(exceptions.BadRequest, match=f"Model {booster} is not exportable from BigQueryML"):
            endpoints.deploy_model(endpoint=endpoint, deployed_model=cases[0][0], traffic_split={"0": 100})
        for model, split in cases:
            with pytest.raises(exceptions.BadRequest):
                endpoints.deploy_model(endpoint=endpoint, deployed_model=model, traffic_split=split)
        with pytest.raises(exceptions.NotFound):
            endpoints.deploy_model(
                endpoint=endpoint, deployed_model={"model": f"{MODEL}@9", "dedicated_resources": RESOURCES}
            )
        assert not endpoints.get_endpoint(name=endpoint).deployed_models
        with pytest.raises(exceptions.BadRequest):
            endpoints.create_endpoint(parent=PARENT, endpoint={})

    def test_a_field_of_the_wrong_type_is_rejected(self, world: World, endpoints: api.EndpointServiceClient) -> None:
        register(world)
        endpoint = (
            endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "e"}).result(timeout=LAST_LIMIT).name
        )
        model = {"model": MODEL, "dedicatedResources": {"machineSpec": {"machineType": "n"}, "minReplicaCount": 1}}
        for body in (
            {"deployedModel": 1},
            {"deployedModel": {**model, "dedicatedResources": "many"}},
            {"deployedModel": model, "trafficSplit": [100]},
            {"deployedModel": model, "trafficSplit": {"0": "all"}},
            {"deployedModel": model, "trafficSplit": {"0": None}},
        ):
            answer = requests.post(f"{world.url}/v1/{endpoint}:deployModel", json=body, timeout=LAST_LIMIT)
            assert answer.status_code == 400, body

    def test_calls_are_divided_by_the_traffic_split(self, world: World, endpoints: api.EndpointServiceClient) -> None:
        endpoint = endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "e"}).result(timeout=LAST_LIMIT)
        split: dict[str, int] = {}
        for number, share in ((1, 100), (2, 30)):
            register(world, bigquery_model=f"p.d.m{number}", predict=lambda rows, number=number: [number] * len(rows))
            deployed = endpoints.deploy_model(
                endpoint=endpoint.name,
                deployed_model={"model": f"{MODEL}@{number}", "dedicated_resources": RESOURCES},
                traffic_split={**dict.fromkeys(split, 100 - share), "0": share},
            ).result(timeout=LAST_LIMIT)
            split = {**split, deployed.deployed_model.id: share}
        predict = world.vertex.endpoints.predict
        versions = [predict(endpoint.name, {"instances": [1]})["modelVersionId"] for _ in range(100)]
        assert (versions.count("1"), versions.count("2")) == (70, 30)
        assert len(set(versions[:5])) == 2

    def test_a_raw_prediction_is_the_answer_of_the_model_alone(
        self, world: World, endpoints: api.EndpointServiceClient
    ) -> None:
        register(world)
        endpoint = (
            endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "e"}).result(timeout=LAST_LIMIT).name
        )
        url = f"{world.url}/v1/{endpoint}"
        without = requests.post(f"{url}:rawPredict", json={"instances": [{"input": "a"}]}, timeout=LAST_LIMIT)
        assert without.json()["error"]["status"] == "FAILED_PRECONDITION"
        model = {"model": MODEL, "dedicated_resources": RESOURCES}
        endpoints.deploy_model(endpoint=endpoint, deployed_model=model, traffic_split={"0": 100}).result(
            timeout=LAST_LIMIT
        )
        answers = [
            world.vertex.endpoints.raw_predict(endpoint, {"instances": [{"input": "four"}]}),
            {"predictions": [{"dense_1": [4]}]},
        ]
        assert answers[0] == answers[1]
        for body in ({}, {"instances": []}, {"instances": 1}):
            answer = requests.post(f"{url}:predict", json=body, timeout=LAST_LIMIT)
            assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
        answer = requests.post(f"{url}:predict", json={"instances": [1], "parameters": {"a": 1}}, timeout=LAST_LIMIT)
        assert answer.status_code == 501

    @pytest.mark.parametrize("path", [":explain", "/modelDeploymentMonitoringJobs", ":mutateDeployedModel"])
    def test_a_feature_that_only_google_cloud_has_is_named(self, world: World, path: str) -> None:
        parent = f"{PARENT}/endpoints/1" if path.startswith(":") else PARENT
        answer = requests.post(f"{world.url}/v1/{parent}{path}", json={}, timeout=LAST_LIMIT)
        assert (answer.status_code, answer.json()["error"]["status"]) == (501, "UNIMPLEMENTED")
        assert "is not supported by the local Vertex AI" in answer.json()["error"]["message"]

    def test_a_field_that_is_not_supported_is_named(self, world: World, endpoints: api.EndpointServiceClient) -> None:
        register(world)
        with pytest.raises(exceptions.MethodNotImplemented, match=r"endpoint\.encryptionSpec"):
            endpoints.create_endpoint(
                parent=PARENT, endpoint={"display_name": "e", "encryption_spec": {"kms_key_name": "k"}}
            )
        endpoint = (
            endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "e"}).result(timeout=LAST_LIMIT).name
        )
        model = {"model": MODEL, "dedicated_resources": RESOURCES, "private_endpoints": {"service_attachment": "s"}}
        with pytest.raises(exceptions.MethodNotImplemented, match=r"deployed_model\.privateEndpoints"):
            endpoints.deploy_model(endpoint=endpoint, deployed_model=model, traffic_split={"0": 100})

    def test_an_endpoint_has_the_id_that_its_caller_chooses(
        self, world: World, endpoints: api.EndpointServiceClient
    ) -> None:
        wanted = {"parent": PARENT, "endpoint": {"display_name": "e"}, "endpoint_id": "titles"}
        created = endpoints.create_endpoint(request=wanted).result(timeout=LAST_LIMIT)
        assert created.name == f"{PARENT}/endpoints/titles"
        with pytest.raises(exceptions.Conflict):
            endpoints.create_endpoint(request=wanted)
        with pytest.raises(exceptions.BadRequest):
            endpoints.create_endpoint(request={**wanted, "endpoint_id": "No Name"})

    def test_endpoints_are_listed_by_filter(self, endpoints: api.EndpointServiceClient) -> None:
        names = [
            endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": name}).result(timeout=LAST_LIMIT).name
            for name in ("one", "two")
        ]
        assert [found.name for found in endpoints.list_endpoints(parent=PARENT)] == names[::-1]
        listed = endpoints.list_endpoints(request={"parent": PARENT, "filter": 'display_name="one"'})
        assert [found.name for found in listed] == names[:1]


class TestOperations:
    def test_an_operation_is_done_after_its_duration(self, tmp_path: Path) -> None:
        clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        with vertex_world(tmp_path, clock=clock, pace=Pace(operation_seconds=60)) as world:
            url = f"{world.url}/v1/{PARENT}/endpoints"
            begun = requests.post(url, json={"displayName": "e"}, timeout=LAST_LIMIT).json()
            assert "done" not in begun
            clock.advance(59)
            assert requests.get(url, timeout=LAST_LIMIT).json() == {"endpoints": []}
            assert "done" not in requests.get(f"{world.url}/v1/{begun['name']}", timeout=LAST_LIMIT).json()
            clock.advance(1)
            (endpoint,) = requests.get(url, timeout=LAST_LIMIT).json()["endpoints"]
            done = requests.get(f"{world.url}/v1beta1/{begun['name']}", timeout=LAST_LIMIT).json()
            assert done["done"] is True
            assert done["response"]["name"] == endpoint["name"]
            assert done["response"]["@type"].endswith("google.cloud.aiplatform.v1beta1.Endpoint")
            listed = requests.get(f"{world.url}/v1/{endpoint['name']}/operations", timeout=LAST_LIMIT).json()
            assert [operation["name"] for operation in listed["operations"]] == [begun["name"]]

    def test_what_changes_during_an_operation_is_honoured_or_ends_it(self, tmp_path: Path) -> None:
        clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        with vertex_world(tmp_path, clock=clock, pace=Pace(operation_seconds=60)) as world:
            register(world)

            def call(path: str, body: dict[str, Any] | None = None, method: str = "POST") -> dict[str, Any]:
                answer: dict[str, Any] = requests.request(
                    method, f"{world.url}/v1/{path}", json=body, timeout=LAST_LIMIT
                ).json()
                return answer

            def ended(operation: dict[str, Any]) -> dict[str, Any]:
                clock.advance(61)
                return call(operation["name"], method="GET")

            def deploying(endpoint: str, identity: str, split: dict[str, int]) -> dict[str, Any]:
                resources = {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1}
                model = {"id": identity, "model": MODEL, "dedicatedResources": resources}
                return call(f"{endpoint}:deployModel", {"deployedModel": model, "trafficSplit": split})

            endpoint = ended(call(f"{PARENT}/endpoints", {"displayName": "e"}))["response"]["name"]
            first = deploying(endpoint, "1", {"0": 100})
            assert call(endpoint, method="DELETE")["error"]["status"] == "FAILED_PRECONDITION"
            assert "response" in ended(first)

            # The second model is undeployed while a third one is deployed, whose split names it.
            ended(deploying(endpoint, "2", {}))
            undeploying = [call(f"{endpoint}:undeployModel", {"deployedModelId": "2"}) for _ in range(2)]
            third = deploying(endpoint, "3", {"0": 60, "2": 40})
            assert ended(third)["error"]["code"] == 3
            assert [ended(each).get("error", {}).get("code") for each in undeploying] == [None, 5]
            found = call(endpoint, method="GET")
            assert ([each["id"] for each in found["deployedModels"]], found["trafficSplit"]) == (["1"], {"1": 100})

            # A deployed model gets all traffic while the other one, which had it, is undeployed.
            ended(deploying(endpoint, "4", {"1": 100, "0": 0}))
            leaving = call(f"{endpoint}:undeployModel", {"deployedModelId": "4"})
            call(f"{endpoint}?updateMask=traffic_split", {"trafficSplit": {"1": 50, "4": 50}}, method="PATCH")
            assert ended(leaving)["error"]["code"] == 9
            assert call(endpoint, method="GET")["trafficSplit"] == {"1": 50, "4": 50}

    @pytest.mark.parametrize(
        ("method", "path", "body", "said"),
        [
            ("PATCH", "models/m", {"description": "d"}, "update_mask; Message: Required"),
            ("PATCH", "models/m@1?updateMask=description", {}, "leave the version out of the name"),
            ("PATCH", "models/m?updateMask=versionDescription", {}, "add the version to the name"),
            ("PATCH", "endpoints/e", {"description": "d"}, "update_mask; Message: Required"),
            ("POST", "models/m:mergeVersionAliases", {"versionAliases": ["champion"]}, "must include a version"),
            ("PATCH", "models/m?updateMask=labels", {"labels": {"Team": "films"}}, "'Team' is not a label key"),
            ("PATCH", "models/m?updateMask=displayName", {}, "model.display_name; Message: Required"),
            ("POST", "models/m@1:mergeVersionAliases", {}, "version_aliases; Message: Required"),
            ("POST", "models:copy", {}, "source_model; Message: Required"),
            ("POST", "endpoints/e:deployModel", {}, "deployed_model.model; Message: Required"),
            ("POST", "endpoints/e:undeployModel", {}, "deployed_model_id; Message: Required"),
            ("DELETE", "models/m:deleteVersion", None, "must include a version"),
            ("DELETE", "models/m@1", None, "must not include a version"),
        ],
    )
    def test_a_call_that_does_not_say_what_it_changes_is_rejected(
        self, world: World, method: str, path: str, body: dict[str, Any] | None, said: str
    ) -> None:
        register(world, f"{PARENT}/models/m")
        before = world.vertex.registry.get(f"{PARENT}/models/m")
        answer = requests.request(method, f"{world.url}/v1/{PARENT}/{path}", json=body, timeout=LAST_LIMIT)
        assert (answer.status_code, said in answer.json()["error"]["message"]) == (400, True)
        assert world.vertex.registry.get(f"{PARENT}/models/m") == before

    def test_an_unknown_operation_is_not_found(self, world: World) -> None:
        assert requests.get(f"{world.url}/v1/{PARENT}/operations/1", timeout=LAST_LIMIT).status_code == 404
