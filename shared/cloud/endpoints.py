"""Calls about endpoints of Vertex AI, and about the long-running operations that change them.

A call that begins an operation is sent once, without the client's retry, as the creation of a batch job is. Ids of endpoints
and of deployed models are chosen by the caller, and the endpoint shows whether the call took effect.
https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from google.api_core import exceptions
from google.cloud import aiplatform_v1 as vertex
from google.longrunning import operations_pb2

from shared.cloud.calls import CALL_SECONDS, Service
from shared.cloud.endpoint_calls import (
    CreateEndpoint,
    DeployedModel,
    DeployModel,
    Endpoint,
    EndpointCall,
    OperationReport,
    UndeployModel,
)
from shared.cloud.locations import GLOBAL, location_in
from shared.cloud.vertex import VERTEX, VERTEX_CREATE
from shared.errors import OutcomeUnknown, Problem

ENDPOINTS = Service("Vertex AI", retry=VERTEX.retry, rejects=True)
_PAGE_SIZE = 100
# BigQuery ML models of the registry run on one machine, if nothing else is said.
_REPLICAS = 1


class Endpoints:
    """The endpoints of one project."""

    def __init__(self, client_of: Callable[[str], vertex.EndpointServiceClient], project: str) -> None:
        """Create the endpoints of a project; ``client_of`` returns the client of a location."""
        self._client_of = client_of
        self._project = project

    def parent(self, location: str) -> str:
        """Return the resource name of a location."""
        return f"projects/{self._project}/locations/{location}"

    def get(self, name: str) -> Endpoint | None:
        """Return an endpoint by its resource name; None if there is none.

        Raises:
            Rejected: The functions may not read it.
            TryLater: Vertex AI does not answer.
        """
        try:
            with ENDPOINTS.call("return an endpoint", passes=(exceptions.NotFound,)) as options:
                return _endpoint(self._client_at(name).get_endpoint(name=name, **options))
        except exceptions.NotFound:
            return None

    def named(self, display_name: str, location: str) -> list[Endpoint]:
        """Return the endpoints of a location that have a display name, which holds no quotes; see ``get``."""
        with ENDPOINTS.call("list endpoints") as options:
            request = {"parent": self.parent(location), "filter": f'display_name="{display_name}"'}
            return [_endpoint(each) for each in self._client_of(location).list_endpoints(request, **options)]

    def is_changing(self, name: str) -> bool:
        """Return whether an operation on an endpoint is under way; see ``get``."""
        return any(not each.done for each in self._operations(name))

    def send(self, call: EndpointCall, *, timeout: float) -> str:
        """Send one call that begins an operation, and return the operation's resource name.

        Args:
            call: The call.
            timeout: The time limit of the call in seconds.

        Raises:
            Rejected: Vertex AI refuses it for good.
            TryLater: No quota is left; the same call may be sent again.
            OutcomeUnknown: The call failed or was not answered, or what it creates exists.
        """
        client = self._client_at(call.endpoint)
        try:
            with VERTEX_CREATE.call(timeout=timeout, passes=(exceptions.Conflict,)) as options:
                match call:
                    case CreateEndpoint():
                        parent, _, endpoint_id = call.name.partition("/endpoints/")
                        endpoint = vertex.Endpoint(display_name=call.display_name, labels=dict(call.labels))
                        begun = client.create_endpoint(
                            {"parent": parent, "endpoint": endpoint, "endpoint_id": endpoint_id}, **options
                        )
                    case DeployModel():
                        begun = client.deploy_model(
                            endpoint=call.endpoint,
                            deployed_model=_deployed_model(call),
                            traffic_split=dict(call.traffic),
                            **options,
                        )
                    case UndeployModel():
                        begun = client.undeploy_model(
                            endpoint=call.endpoint,
                            deployed_model_id=call.id,
                            traffic_split=dict(call.traffic),
                            **options,
                        )
        except exceptions.Conflict as error:
            # It exists, or another call changes the endpoint. The endpoint is read again before anything is sent.
            raise OutcomeUnknown(f"Vertex AI: {error.message}") from error
        return str(begun.operation.name)

    def operation(self, name: str) -> OperationReport | None:
        """Return the state of an operation by its resource name; None if there is none.

        Raises:
            Rejected: The functions may not read it.
            TryLater: Vertex AI does not answer.
        """
        request = operations_pb2.GetOperationRequest(name=name)
        try:
            with ENDPOINTS.call("return an operation", passes=(exceptions.NotFound,)) as options:
                found = self._client_at(name).get_operation(request, **options)
        except exceptions.NotFound:
            return None
        if not found.done or not found.error.code:
            return OperationReport(is_done=found.done)
        problem = Problem(f"vertex_{found.error.code}", f"Vertex AI: {found.error.message}")
        return OperationReport(is_done=True, problem=problem, status=found.error.code)

    def set_traffic(self, name: str, traffic: Mapping[str, int], *, timeout: float = CALL_SECONDS) -> None:
        """Replace the traffic split of an endpoint.

        Args:
            name: The resource name of the endpoint.
            traffic: The share of each deployed model, by its id, in percent.
            timeout: The time limit in seconds. Of two splits, the last call decides.

        Raises:
            Rejected: Vertex AI refuses the split, or there is no such endpoint.
            TryLater: Vertex AI does not answer.
        """
        endpoint = vertex.Endpoint(name=name, traffic_split=dict(traffic))
        with ENDPOINTS.call("change an endpoint", field="traffic", timeout=min(timeout, CALL_SECONDS)) as options:
            self._client_at(name).update_endpoint(
                endpoint=endpoint, update_mask={"paths": ["traffic_split"]}, **options
            )

    def _operations(self, name: str) -> Iterator[operations_pb2.Operation]:
        """Yield the operations on an endpoint. An endpoint has a few, one for each change."""
        token = ""
        while True:
            request = operations_pb2.ListOperationsRequest(name=name, page_size=_PAGE_SIZE, page_token=token)
            with ENDPOINTS.call("list operations") as options:
                found = self._client_at(name).list_operations(request, **options)
            yield from found.operations
            token = found.next_page_token
            if not token:
                return

    def _client_at(self, name: str) -> vertex.EndpointServiceClient:
        """Return the client of the location in the resource name of an endpoint or an operation."""
        return self._client_of(location_in(name) or GLOBAL)


def _deployed_model(call: DeployModel) -> vertex.DeployedModel:
    return vertex.DeployedModel(
        id=call.id,
        model=call.model,
        display_name=call.display_name,
        dedicated_resources={
            "machine_spec": {"machine_type": call.machine_type},
            "min_replica_count": _REPLICAS,
            "max_replica_count": _REPLICAS,
        },
    )


def _endpoint(found: vertex.Endpoint) -> Endpoint:
    return Endpoint(
        name=found.name,
        display_name=found.display_name,
        deployed=tuple(
            DeployedModel(
                id=each.id,
                registry_id=each.model.rpartition("/")[2].partition("@")[0],
                version=each.model_version_id,
                machine_type=each.dedicated_resources.machine_spec.machine_type or None,
            )
            for each in found.deployed_models
        ),
        traffic=dict(found.traffic_split),
    )
