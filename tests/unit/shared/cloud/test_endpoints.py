"""Calls about endpoints, with the local Vertex AI, whose operations take a minute of a clock that the test moves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as vertex

from localcloud.base.clock import ManualClock
from localcloud.vertex.pace import Pace
from shared.cloud.endpoint_calls import CreateEndpoint, DeployedModel, DeployModel, OperationReport, UndeployModel
from shared.cloud.endpoints import Endpoints
from shared.errors import OutcomeUnknown, Rejected
from tests.example_requests import NOW
from tests.localcloud.vertex.world import LOCATION, PARENT, PROJECT, vertex_world

NAME = f"{PARENT}/endpoints/modeldrop-1"
CREATE = CreateEndpoint(NAME, "genres", {"modeldrop_key": "a" * 32})
DEPLOY = DeployModel(NAME, "1234567890", f"{PARENT}/models/genres@1", "genres-1", "n1-standard-2", {"0": 100})
MODEL = DeployedModel("1234567890", "genres", "1", "n1-standard-2")


@dataclass
class World:
    endpoints: Endpoints
    clock: ManualClock

    def pass_a_minute(self) -> None:
        self.clock.advance(61)

    def done(self, name: str) -> OperationReport | None:
        self.pass_a_minute()
        return self.endpoints.operation(name)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = ManualClock(NOW)
    with vertex_world(tmp_path, clock=clock, pace=Pace(operation_seconds=60)) as local:
        for number in (1, 2):
            local.vertex.registry.register(
                f"{PARENT}/models/genres", bigquery_model=f"p.d.genres_{number}", predict=lambda instances: instances
            )
        client = vertex.EndpointServiceClient(
            transport="rest", client_options={"api_endpoint": local.url}, credentials=AnonymousCredentials()
        )
        yield World(Endpoints(lambda location: client, PROJECT), clock)


def test_a_model_is_deployed_to_a_new_endpoint_and_undeployed(world: World) -> None:
    endpoints = world.endpoints
    assert (endpoints.get(NAME), endpoints.named("genres", LOCATION)) == (None, [])
    creation = endpoints.send(CREATE, timeout=10)
    assert endpoints.operation(creation) == OperationReport(is_done=False)
    assert world.done(creation) == OperationReport(is_done=True)

    deployment = endpoints.send(DEPLOY, timeout=10)
    assert endpoints.is_changing(NAME)
    assert world.done(deployment) == OperationReport(is_done=True)
    assert not endpoints.is_changing(NAME)
    [found] = endpoints.named("genres", LOCATION)
    assert (found.name, found.deployed, found.traffic) == (NAME, (MODEL,), {MODEL.id: 100})

    other = replace(DEPLOY, id="2", model=f"{PARENT}/models/genres@2", traffic={})
    assert world.done(endpoints.send(other, timeout=10)) == OperationReport(is_done=True)
    endpoints.set_traffic(NAME, {"2": 100})
    assert world.done(endpoints.send(UndeployModel(NAME, MODEL.id, {}), timeout=10)) == OperationReport(is_done=True)
    left = endpoints.get(NAME)
    assert left is not None
    assert ([each.id for each in left.deployed], left.traffic) == (["2"], {"2": 100})


def test_a_call_that_is_repeated_changes_nothing_and_its_outcome_counts_as_unknown(world: World) -> None:
    world.endpoints.send(CREATE, timeout=10)
    world.pass_a_minute()
    for call in (CREATE, DEPLOY):
        if call is DEPLOY:
            world.endpoints.send(call, timeout=10)
        with pytest.raises(OutcomeUnknown, match="already"):
            world.endpoints.send(call, timeout=10)
    world.pass_a_minute()
    found = world.endpoints.get(NAME)
    assert found is not None
    assert found.deployed == (MODEL,)


def test_a_call_that_vertex_ai_refuses_is_rejected_with_its_reason(world: World) -> None:
    with pytest.raises(Rejected, match="does not exist"):
        world.endpoints.send(DEPLOY, timeout=10)
    world.endpoints.send(CREATE, timeout=10)
    world.pass_a_minute()
    for call in (replace(DEPLOY, traffic={"0": 50}), replace(DEPLOY, id="12345678901")):
        with pytest.raises(Rejected):
            world.endpoints.send(call, timeout=10)


def test_an_operation_that_failed_has_its_problem_and_one_that_does_not_exist_is_none(world: World) -> None:
    first = world.endpoints.send(CREATE, timeout=10)
    second = world.endpoints.send(CREATE, timeout=10)
    world.pass_a_minute()
    assert world.endpoints.operation(first) == OperationReport(is_done=True)
    late = world.endpoints.operation(second)
    assert late is not None and late.problem is not None
    assert (late.is_done, late.status, late.problem.code) == (True, 6, "vertex_6")
    assert world.endpoints.operation(f"{NAME}/operations/7") is None
