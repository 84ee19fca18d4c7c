"""BigQuery's models in the model registry: versions, regions, what a deployment forbids, and restarts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localcloud.base.clock import ManualClock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import Model, ModelCatalog, milliseconds
from localcloud.bigquery.ml.models.signature import Signature
from localcloud.bigquery.ml.models.statements import ModelReference
from localcloud.storage.objects.store import ObjectStore
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.moments import UniqueMoments
from localcloud.vertex.base.operations import Operations
from localcloud.vertex.base.records import RecordJournal
from localcloud.vertex.models.bigquery_models import BigQueryModels
from localcloud.vertex.models.endpoints import Endpoints
from localcloud.vertex.models.registry import Registry
from localcloud.vertex.models.transfers import ModelTransfers

ONE, TWO = ModelReference("p", "d", "one"), ModelReference("p", "d", "two")
US, EU = "projects/p/locations/us-central1", "projects/p/locations/europe-west4"
DEPLOYED = "code=FAILED_PRECONDITION, message=The Model is deployed or being deployed at the following Endpoint"
CONTAINER = {"displayName": "Sums", "containerSpec": {"imageUri": "docker/sums"}}
RESOURCES = {"machineSpec": {"machineType": "n1-standard-2"}, "minReplicaCount": 1}


def echo(model: ModelReference, instances: list[Any]) -> list[Any]:
    return [[model.model, instance] for instance in instances]


@dataclass
class Services:
    """BigQuery's models, joined with the registry and the endpoints of Vertex AI."""

    catalog: ModelCatalog
    registry: Registry
    endpoints: Endpoints
    clock: ManualClock
    journal: RecordJournal
    transfers: ModelTransfers
    store: ObjectStore

    @classmethod
    def start(cls, directory: Path, *, kept: bool = True) -> Services:
        """Start the services on the data in a directory, or with new data that is not kept."""
        clock = ManualClock()
        moments = UniqueMoments(clock)
        store = ObjectStore(directory / "storage", clock=clock)
        catalog = ModelCatalog(directory / "models" if kept else None, clock)
        journal = RecordJournal(directory / "vertex" if kept else None)
        operations = Operations(journal, clock=clock, moments=moments)
        registry = Registry(moments=moments, journal=journal)
        models = BigQueryModels(registry, echo)
        catalog.connect(models)
        transfers = ModelTransfers(registry, operations, catalog, store, models, moments=moments)
        endpoints = Endpoints(registry, operations, journal, moments=moments, operation_seconds=0)
        return cls(catalog, registry, endpoints, clock, journal, transfers, store)

    def create(self, model: ModelReference, vertex_id: str | None = "titles", **options: Any) -> None:
        """Create or replace a model, registered with an id unless that is None."""
        version, files = self.catalog.begin()
        (files / "saved_model.pb").write_text("model")
        run: dict[str, Any] = {"trainingOptions": {"modelUri": "gs://b/m"}}
        if vertex_id is not None:
            run["vertexAiModelId"] = vertex_id
            run["trainingOptions"]["vertexAiModelVersionAliases"] = options.get("aliases", [])
        kind = options.get("type", "ONNX")
        resource = {
            "modelReference": model.resource(),
            "modelType": kind,
            "creationTime": "1",
            "lastModifiedTime": "1",
            "location": options.get("location", "US"),
            "trainingRuns": [run],
        }
        self.catalog.commit(Model(model, version, kind, resource, files, Signature((), ())), replacing=True)

    def drop(self, model: ModelReference) -> None:
        self.catalog.delete(model.project, model.dataset, model.model)

    def versions(self, name: str = f"{US}/models/titles") -> dict[str, list[str]]:
        """Return the aliases of each version of a registered model."""
        listed = self.registry.versions(name)["models"]
        return {version["versionId"]: version["versionAliases"] for version in reversed(listed)}

    def number(self, model: ModelReference) -> str | None:
        """Return the number that BigQuery shows for a model."""
        run: dict[str, str] = self.catalog.require(model).resource["trainingRuns"][-1]
        return run.get("vertexAiModelVersion")

    def deploy(self, model: str = f"{US}/models/titles") -> str:
        """Deploy a registered model on a new endpoint of its own, and return the endpoint's name."""
        parent = model.partition("/models/")[0]
        endpoint = str(self.endpoints.create(parent, {"displayName": "e"})["response"]["name"])
        deployed = {"model": model, "id": "1", "dedicatedResources": RESOURCES}
        answer = self.endpoints.deploy(endpoint, {"deployedModel": deployed, "trafficSplit": {"0": 100}})
        assert answer["response"]["deployedModel"]["id"] == "1"
        return endpoint


@pytest.fixture
def services(tmp_path: Path) -> Services:
    return Services.start(tmp_path, kept=False)


def test_a_replaced_model_leaves_a_gap_and_gets_the_next_number(services: Services) -> None:
    services.create(ONE)
    services.create(TWO)
    services.create(TWO)

    assert services.versions() == {"1": ["default"], "3": []}
    assert (services.number(ONE), services.number(TWO)) == ("1", "3")


def test_a_model_replaced_without_an_id_leaves_the_registry(services: Services) -> None:
    services.create(ONE)
    services.create(TWO, aliases=["best"])
    services.create(ONE, None)

    assert services.versions() == {"2": ["best", "default"]}


def test_each_region_counts_its_own_versions(services: Services) -> None:
    services.create(ONE)
    services.create(TWO, location="EU")
    services.create(ModelReference("p", "d", "three"), location="us-east1")

    assert services.number(TWO) == "1"
    listed = [services.registry.list(f"projects/p/locations/{region}")["models"] for region in ("us-east1", "us")]
    assert [len(models) for models in listed] == [1, 0]
    (model,) = services.registry.list(EU)["models"]
    assert (model["name"], model["modelSourceInfo"]) == (f"{EU}/models/titles", {"sourceType": "BQML"})


def test_a_dropped_model_removes_its_version_and_its_number_is_not_used_again(services: Services) -> None:
    services.create(ONE)
    services.drop(ONE)
    assert services.registry.list(US)["models"] == []

    services.create(TWO)
    assert services.versions() == {"2": ["default"]}


def test_a_model_keeps_its_id_for_life(services: Services) -> None:
    services.create(ONE)
    with pytest.raises(QueryError, match="registered with the Vertex AI model ID 'titles', which can't be changed"):
        services.create(ONE, "other")

    services.drop(ONE)
    services.create(ONE, "other")
    assert services.number(ONE) == "1"


def test_a_patch_registers_a_model_once(services: Services) -> None:
    services.create(ONE, None)
    for _ in range(2):
        services.catalog.patch("p", "d", "one", {"trainingRuns": [{"vertexAiModelId": "titles"}]})
    assert services.versions() == {"1": ["default"]}
    with pytest.raises(QueryError, match="can't be changed"):
        services.catalog.patch("p", "d", "one", {"trainingRuns": [{"vertexAiModelId": "other"}]})


def test_a_deployed_model_is_neither_dropped_nor_replaced(services: Services) -> None:
    services.create(ONE)
    endpoint = services.deploy()

    with pytest.raises(QueryError, match=DEPLOYED) as dropped:
        services.drop(ONE)
    assert endpoint in dropped.value.message
    for refused in (
        lambda: services.create(ONE),
        lambda: services.create(ONE, None),
        lambda: services.catalog.check_not_deployed("p", "d"),
    ):
        with pytest.raises(QueryError, match=DEPLOYED):
            refused()
    assert services.versions() == {"1": ["default"]}

    services.endpoints.undeploy(endpoint, {"deployedModelId": "1"})
    services.drop(ONE)
    assert services.registry.list(US)["models"] == []


def test_a_deployed_model_remains_when_it_expires(services: Services) -> None:
    services.create(ONE)
    soon = str(milliseconds(services.clock.now()) + 1000)
    services.catalog.patch("p", "d", "one", {"expirationTime": soon})
    endpoint = services.deploy()
    services.clock.advance(2)
    assert services.catalog.find(ONE) is not None

    services.endpoints.undeploy(endpoint, {"deployedModelId": "1"})
    assert services.catalog.find(ONE) is None
    assert services.registry.list(US)["models"] == []


def test_an_xgboost_model_is_registered_but_cannot_be_deployed(services: Services) -> None:
    services.create(ONE, type="XGBOOST")
    with pytest.raises(Exception, match="is not exportable from BigQueryML"):
        services.deploy()


def test_an_endpoint_predicts_with_the_model_of_bigquery(services: Services) -> None:
    services.create(ONE)
    answer = services.endpoints.predict(services.deploy(), {"instances": [7]})
    assert answer["predictions"] == [["one", 7]]


def test_a_copy_is_not_registered_and_can_get_an_id_of_its_own(services: Services) -> None:
    services.create(ONE, aliases=["best"])
    services.catalog.copy(ONE, TWO, replacing=False, location="US")
    assert services.number(TWO) is None

    services.catalog.patch("p", "d", "two", {"trainingRuns": [{"vertexAiModelId": "titles"}]})
    assert services.versions() == {"1": ["best", "default"], "2": []}


class TestTransfers:
    def test_an_uploaded_model_has_versions_and_is_deleted(self, services: Services) -> None:
        upload = services.transfers.upload
        first = upload(US, {"model": CONTAINER, "modelId": "sums"})["response"]
        assert (first["model"], first["modelVersionId"]) == (f"{US}/models/sums", "1")
        second = {**CONTAINER, "versionAliases": ["default", "best"]}
        assert upload(US, {"model": second, "parentModel": first["model"]})["response"]["modelVersionId"] == "2"
        assert services.versions(first["model"]) == {"1": [], "2": ["best", "default"]}
        shown = services.registry.get(first["model"])
        assert (shown["displayName"], shown["modelSourceInfo"]) == ("Sums", {"sourceType": "CUSTOM"})
        assert shown["containerSpec"] == {"imageUri": "docker/sums"}

        services.transfers.delete_version(f"{US}/models/sums@1")
        with pytest.raises(RequestError, match="is the only version"):
            services.transfers.delete_version(f"{US}/models/sums@2")
        services.transfers.delete(f"{US}/models/sums")
        assert not services.registry.exists(f"{US}/models/sums")

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({"model": {}}, "INVALID_ARGUMENT"),
            ({"model": CONTAINER, "modelId": "No Name"}, "INVALID_ARGUMENT"),
            ({"model": CONTAINER, "modelId": "titles"}, "ALREADY_EXISTS"),
            ({"model": CONTAINER, "parentModel": f"{US}/models/none"}, "NOT_FOUND"),
            ({"model": CONTAINER, "parentModel": f"{US}/models/titles", "modelId": "sums"}, "INVALID_ARGUMENT"),
            ({"model": CONTAINER, "parentModel": f"{EU}/models/titles"}, "INVALID_ARGUMENT"),
            ({"model": {**CONTAINER, "displayName": "x" * 129}}, "INVALID_ARGUMENT"),
            ({"model": {**CONTAINER, "labels": {"Team": "films"}}}, "INVALID_ARGUMENT"),
            ({"model": {**CONTAINER, "explanationSpec": {"parameters": {}}}}, "UNIMPLEMENTED"),
            ({"model": {**CONTAINER, "versionAliases": ["No Alias"]}}, "INVALID_ARGUMENT"),
        ],
    )
    def test_an_upload_that_is_not_valid_is_rejected(
        self, services: Services, body: dict[str, Any], status: str
    ) -> None:
        services.create(ONE)
        services.transfers.copy(EU, {"sourceModel": f"{US}/models/titles", "modelId": "titles"})
        with pytest.raises(RequestError) as rejected:
            services.transfers.upload(US, body)
        assert rejected.value.status == status

    def test_a_container_is_registered_but_does_not_run_here(self, services: Services) -> None:
        model = services.transfers.upload(US, {"model": CONTAINER})["response"]["model"]
        with pytest.raises(RequestError, match="does not run the container") as rejected:
            services.deploy(model)
        assert rejected.value.status == "UNIMPLEMENTED"

    def test_a_copy_does_not_depend_on_the_model_in_bigquery(self, services: Services) -> None:
        services.create(ONE, aliases=["best"])
        source = {"sourceModel": f"{US}/models/titles@best", "modelId": "copied"}
        copied = services.transfers.copy(EU, source)["response"]["model"]
        services.drop(ONE)

        shown = services.registry.get(copied)
        assert (copied, shown["versionAliases"]) == (f"{EU}/models/copied", ["default"])
        endpoint = services.deploy(copied)
        [[name, instance]] = services.endpoints.predict(endpoint, {"instances": [7]})["predictions"]
        assert (name.startswith("copy_"), instance) == (True, 7)
        hidden = ModelReference("p", "_registry_copies", name)
        assert (services.catalog.require(hidden).files / "saved_model.pb").read_text() == "model"

        services.endpoints.undeploy(endpoint, {"deployedModelId": "1"})
        services.transfers.delete(copied)
        assert services.catalog.find(hidden) is None

    def test_only_a_tensorflow_model_is_exported(self, services: Services) -> None:
        services.store.ensure_bucket("exports")
        services.create(ONE, type="TENSORFLOW")
        services.create(TWO, "other")
        config = {"exportFormatId": "tf-saved-model", "artifactDestination": {"outputUriPrefix": "gs://exports/here/"}}
        done = services.transfers.export(f"{US}/models/titles", {"outputConfig": config})
        folder = done["metadata"]["outputInfo"]["artifactOutputUri"]
        assert folder.startswith("gs://exports/here/model-titles/tf-saved-model/")
        name = folder.removeprefix("gs://exports/") + "/saved_model.pb"
        assert services.store.read("exports", name) == b"model"

        for model, form in (("other", "tf-saved-model"), ("titles", "")):
            with pytest.raises(RequestError, match=f"in format `{form}` is not supported"):
                body = {"outputConfig": {**config, "exportFormatId": form}}
                services.transfers.export(f"{US}/models/{model}", body)


class TestRestart:
    def test_versions_aliases_endpoints_and_numbers_are_kept(self, tmp_path: Path) -> None:
        before = Services.start(tmp_path)
        before.create(ONE)
        before.create(TWO)
        before.create(TWO, aliases=["best"])
        before.registry.patch(f"{US}/models/titles", {"description": "Titles"}, ["description"])
        before.registry.merge_aliases(f"{US}/models/titles@1", ["old"])
        endpoint = before.deploy()
        copied = before.transfers.copy(US, {"sourceModel": f"{US}/models/titles"})["response"]["model"]
        three = ModelReference("p", "d", "three")
        before.create(three)
        before.drop(three)
        before.journal.close()

        after = Services.start(tmp_path)
        assert after.versions() == {"1": ["default", "old"], "3": ["best"]}
        assert after.registry.get(f"{US}/models/titles")["description"] == "Titles"
        assert after.endpoints.get(endpoint) == before.endpoints.get(endpoint)
        assert after.endpoints.predict(endpoint, {"instances": [7]})["predictions"] == [["one", 7]]
        assert after.endpoints.predict(after.deploy(copied), {"instances": [7]})["predictions"][0][1] == 7
        with pytest.raises(QueryError, match=DEPLOYED):
            after.drop(ONE)
        after.create(three)
        assert after.number(three) == "5"

    def test_the_registry_follows_bigquery_after_a_crash_between_the_two(self, tmp_path: Path) -> None:
        before = Services.start(tmp_path)
        before.create(ONE)
        # The registry has a new version, and the process ends before BigQuery has the model.
        before.registry.register(f"{US}/models/titles", bigquery_model="p.d.one")
        before.registry.register(f"{US}/models/other", bigquery_model="p.d.two")
        assert before.versions() == {"2": ["default"]}
        before.journal.close()

        after = Services.start(tmp_path)
        assert after.versions() == {"1": ["default"]}
        assert [model["name"] for model in after.registry.list(US)["models"]] == [f"{US}/models/titles"]

    def test_an_operation_that_had_not_ended_has_failed(self, tmp_path: Path) -> None:
        clock = ManualClock()
        journal = RecordJournal(tmp_path)
        operations = Operations(journal, clock=clock, moments=UniqueMoments(clock))
        done = operations.begin("a", "DeleteOperationMetadata", dict)
        begun = operations.begin("a", "DeleteOperationMetadata", dict, seconds=60)
        journal.close()

        again = Operations(RecordJournal(tmp_path), clock=clock, moments=UniqueMoments(clock))
        assert again.get(done["name"]) == done
        assert again.get(begun["name"])["error"]["code"] == 10
