"""Stand-ins: their names, which deployments need one, and the traffic without them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from shared.checks.identifiers import ModelName
from shared.cloud.endpoint_calls import DeployedModel, Endpoint
from shared.endpoints.entries import RegistryEntry
from shared.endpoints.stand_ins import StandIn, candidate_of, needing_stand_ins, traffic_without
from shared.messages.deployment_request import DeploymentRequest
from shared.work_facts import Deployment
from tests.example_requests import prediction_item

MODEL = ModelName("p-12", "films", "genres")
PARENT = "projects/p-12/locations/us-central1/endpoints"
DEPLOYMENTS = (
    Deployment(f"{PARENT}/1", "genres", "11", traffic=100),
    Deployment(f"{PARENT}/2", "other", "22", traffic=30),
    Deployment(f"{PARENT}/3", "idle", "33", traffic=0),
)


def test_each_run_of_an_import_has_a_candidate_of_its_own() -> None:
    item = prediction_item()
    first, second = candidate_of(MODEL, item), candidate_of(MODEL, replace(item, run=2))
    assert first != second
    assert first.model.startswith("genres__candidate_")
    assert len(candidate_of(replace(MODEL, model="g" * 1024), item).model) == 1024


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (DeploymentRequest("genres"), [1, 2]),
        (DeploymentRequest("genres", traffic=0), [2]),
        (DeploymentRequest("2", traffic=0), [1]),
    ],
)
def test_deployments_that_get_requests_now_and_afterwards_need_a_stand_in(
    wanted: DeploymentRequest, numbers: list[int]
) -> None:
    assert needing_stand_ins(DEPLOYMENTS, wanted) == numbers


def test_the_traffic_of_a_stand_in_is_free_for_its_model() -> None:
    deployed = (DeployedModel("1", "genres", "4", None), DeployedModel("2", "titles", "4", None))
    endpoint = Endpoint(f"{PARENT}/1", "genres", deployed, {"1": 70, "2": 30})
    stand_in = StandIn(candidate_of(MODEL, prediction_item()), RegistryEntry("genres", "4", "us-central1"))
    assert traffic_without(endpoint, [stand_in]) == {"2": 30}
    assert traffic_without(endpoint, []) == {"1": 70, "2": 30}
