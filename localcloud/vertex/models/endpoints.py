"""Endpoints, the models deployed on them, and online predictions.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcloud.gemini.json_values import as_list
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.filters import EQUALITY, Field, compile_filter
from localcloud.vertex.base.moments import UniqueMoments, rfc3339_micros, serial
from localcloud.vertex.base.operations import EMPTY, Operations, vertex_message
from localcloud.vertex.base.pages import page
from localcloud.vertex.models.registry import (
    Predictor,
    Registry,
    Version,
    last_segment,
)

SETTABLE = ("displayName", "description", "labels", "encryptionSpec", "network", "dedicatedEndpointEnabled")
PATCHABLE = ("displayName", "description", "labels", "trafficSplit")
# The key of the model that is being deployed in a traffic split.
NEW_MODEL = "0"

FILTER_FIELDS = {
    "endpoint": Field("name", EQUALITY, last_segment),
    "display_name": Field("displayName", EQUALITY),
}


@dataclass
class _Deployment:
    version: Version
    resource: dict[str, Any]


@dataclass
class _Endpoint:
    name: str
    fields: dict[str, Any]
    created: datetime
    updated: datetime
    deployments: dict[str, _Deployment] = field(default_factory=dict)
    traffic: dict[str, int] = field(default_factory=dict)

    def resource(self) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "name": self.name,
            **self.fields,
            "createTime": rfc3339_micros(self.created),
            "updateTime": rfc3339_micros(self.updated),
            "etag": f"{serial(self.updated):x}",
        }
        if self.deployments:
            answer["deployedModels"] = [deployment.resource for deployment in self.deployments.values()]
        if self.traffic:
            answer["trafficSplit"] = dict(self.traffic)
        return answer


class Endpoints:
    """The endpoints of the service. Creating, deploying and undeploying are long-running operations."""

    def __init__(
        self, registry: Registry, operations: Operations, *, moments: UniqueMoments, operation_seconds: float
    ) -> None:
        """Create the endpoints, of which there are none yet; each operation takes ``operation_seconds``."""
        self._registry = registry
        self._operations = operations
        self._moments = moments
        self._seconds = operation_seconds
        self._endpoints: dict[str, _Endpoint] = {}
        self._lock = threading.RLock()

    def create(self, parent: str, body: dict[str, Any]) -> dict[str, Any]:
        """Start to create an endpoint, and return the operation. Raises ``RequestError`` without a display name."""
        if not body.get("displayName"):
            raise RequestError(
                "INVALID_ARGUMENT",
                "List of found errors:\t1.Field: endpoint.display_name; Message: Required field is not set.\t",
            )
        name = f"{parent}/endpoints/{10**18 + secrets.randbelow(9 * 10**18)}"
        fields = {key: body[key] for key in SETTABLE if key in body}

        def finish() -> dict[str, Any]:
            with self._lock:
                created = self._moments.next()
                self._endpoints[name] = _Endpoint(name, fields, created, created)
                return vertex_message("Endpoint", self._endpoints[name].resource())

        return self._operations.begin(name, "CreateEndpointOperationMetadata", finish, seconds=self._seconds)

    def get(self, name: str) -> dict[str, Any]:
        """Return an endpoint. Raises ``RequestError`` (NOT_FOUND)."""
        self._operations.settle()
        with self._lock:
            return self._find(name).resource()

    def list(self, parent: str, text: str = "", page_size: int = 0, page_token: str = "") -> dict[str, Any]:
        """Return a page of the endpoints of a location that match a filter, newest first. Raises ``RequestError``."""
        passes = compile_filter(text, FILTER_FIELDS)
        self._operations.settle()
        with self._lock:
            found = [
                (serial(endpoint.created), endpoint.resource())
                for name, endpoint in self._endpoints.items()
                if name.startswith(f"{parent}/endpoints/")
            ]
        endpoints, token = page((item for item in found if passes(item[1])), page_size, page_token)
        return {"endpoints": endpoints, **({"nextPageToken": token} if token else {})}

    def patch(self, name: str, changes: dict[str, Any], mask: Iterable[str]) -> dict[str, Any]:
        """Update the fields of ``mask``, and return the endpoint. Raises ``RequestError``."""
        self._operations.settle()
        with self._lock:
            endpoint = self._find(name)
            for path in mask:
                if path not in PATCHABLE:
                    raise RequestError("INVALID_ARGUMENT", f"The field {path} of an endpoint cannot be updated.")
            for path in mask:
                if path == "trafficSplit":
                    endpoint.traffic = _traffic(changes.get(path), endpoint.deployments)
                else:
                    endpoint.fields[path] = changes.get(path, {} if path == "labels" else "")
            endpoint.updated = self._moments.next()
            return endpoint.resource()

    def delete(self, name: str) -> dict[str, Any]:
        """Delete an endpoint, and return the operation.

        Raises:
            RequestError: NOT_FOUND, or FAILED_PRECONDITION while models are deployed on it.
        """
        self._operations.settle()
        with self._lock:
            endpoint = self._find(name)
            if endpoint.deployments:
                raise RequestError(
                    "FAILED_PRECONDITION", f"The Endpoint {name} has deployed models. Undeploy them first."
                )
            del self._endpoints[name]
        return self._operations.begin(name, "DeleteOperationMetadata", lambda: EMPTY)

    def deploy(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Deploy a registered model on an endpoint, and return the operation.

        Raises:
            RequestError: NOT_FOUND, or INVALID_ARGUMENT for a model that cannot be deployed, unsupported resources, or
                an invalid traffic split.
        """
        self._operations.settle()
        given = _object(body.get("deployedModel"), "deployed_model")
        with self._lock:
            endpoint = self._find(name)
            version = self._registry.version(str(given.get("model", "")))
            _check_deployable(version, given)
            identity = str(given.get("id") or secrets.randbelow(9 * 10**18) + 10**18)
            split = _traffic(body.get("trafficSplit"), [*endpoint.deployments, NEW_MODEL])

        def finish() -> dict[str, Any]:
            with self._lock:
                endpoint = self._find(name)
                created = self._moments.next()
                resource = {
                    "displayName": last_segment(version.model),
                    **given,
                    "id": identity,
                    "model": version.model,
                    "modelVersionId": str(version.number),
                    "createTime": rfc3339_micros(created),
                }
                endpoint.deployments[identity] = _Deployment(version, resource)
                version.deployed.append({"endpoint": name, "deployedModelId": identity})
                if split:
                    endpoint.traffic = {
                        identity if key == NEW_MODEL else key: int(share) for key, share in split.items()
                    }
                endpoint.updated = created
                return vertex_message("DeployModelResponse", {"deployedModel": resource})

        return self._operations.begin(name, "DeployModelOperationMetadata", finish, seconds=self._seconds)

    def undeploy(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Undeploy a model from an endpoint, and return the operation.

        Raises:
            RequestError: NOT_FOUND, or FAILED_PRECONDITION if the model has traffic and other models are deployed.
        """
        self._operations.settle()
        identity = str(body.get("deployedModelId", ""))
        with self._lock:
            endpoint = self._find(name)
            if identity not in endpoint.deployments:
                raise RequestError("NOT_FOUND", f"The Endpoint {name} has no deployed model {identity!r}.")
            others = {key: one for key, one in endpoint.deployments.items() if key != identity}
            left = _traffic(body.get("trafficSplit"), endpoint.deployments) or endpoint.traffic
            if others and left.get(identity):
                raise RequestError(
                    "FAILED_PRECONDITION", f"The deployed model {identity} has traffic. Give it to another one first."
                )

        def finish() -> dict[str, Any]:
            with self._lock:
                endpoint = self._find(name)
                gone = endpoint.deployments.pop(identity, None)
                if gone is not None:
                    gone.version.deployed = [ref for ref in gone.version.deployed if ref["deployedModelId"] != identity]
                endpoint.traffic = {key: share for key, share in left.items() if key in endpoint.deployments}
                endpoint.updated = self._moments.next()
                return vertex_message("UndeployModelResponse")

        return self._operations.begin(name, "UndeployModelOperationMetadata", finish, seconds=self._seconds)

    def predict(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the predictions of the deployed model with the most traffic.

        Raises:
            RequestError: NOT_FOUND, FAILED_PRECONDITION if no model has traffic, or UNIMPLEMENTED if the model was
                registered without a predictor.
        """
        self._operations.settle()
        with self._lock:
            endpoint = self._find(name)
            if not endpoint.traffic:
                raise RequestError("FAILED_PRECONDITION", f"The Endpoint {name} has no deployed model with traffic.")
            identity = max(endpoint.traffic, key=lambda key: endpoint.traffic[key])
            deployment = endpoint.deployments[identity]
        predict: Predictor | None = deployment.version.predict
        if predict is None:
            raise RequestError("UNIMPLEMENTED", f"The Model {deployment.version.name} has no online prediction here.")
        return {
            "predictions": predict(as_list(body.get("instances"))),
            "deployedModelId": identity,
            "model": deployment.version.model,
            "modelDisplayName": deployment.resource["displayName"],
            "modelVersionId": str(deployment.version.number),
        }

    def _find(self, name: str) -> _Endpoint:
        if name not in self._endpoints:
            raise RequestError("NOT_FOUND", f"The Endpoint {name} does not exist.")
        return self._endpoints[name]


def _check_deployable(version: Version, given: dict[str, Any]) -> None:
    if not version.deployable:
        raise RequestError("INVALID_ARGUMENT", f"The Model {version.name} cannot be deployed.")
    resources = _object(given.get("dedicatedResources"), "dedicated_resources")
    machine = _object(resources.get("machineSpec"), "machine_spec")
    if not machine.get("machineType") or _integer(resources.get("minReplicaCount", 0)) < 1:
        raise RequestError(
            "INVALID_ARGUMENT",
            f"The Model {version.name} supports dedicated resources only: dedicatedResources must have a "
            "machineSpec.machineType and a minReplicaCount of at least 1.",
        )


def _traffic(split: Any, deployments: Iterable[str]) -> dict[str, int]:
    """Return a traffic split with numeric shares. Raises ``RequestError`` if it is invalid."""
    shares = {key: _integer(share) for key, share in _object(split, "traffic_split").items()}
    unknown = shares.keys() - set(deployments)
    if unknown:
        raise RequestError("INVALID_ARGUMENT", f"The traffic split names models that do not exist: {sorted(unknown)}.")
    if shares and (sum(shares.values()) != 100 or min(shares.values()) < 0):
        raise RequestError("INVALID_ARGUMENT", "The traffic split must add up to 100.")
    return shares


def _object(value: Any, where: str) -> dict[str, Any]:
    """Return an optional object, empty if it is absent. Raises ``RequestError`` for any other type."""
    if value is not None and not isinstance(value, dict):
        raise RequestError("INVALID_ARGUMENT", f"Invalid JSON payload received. Expected an object at '{where}'.")
    return value or {}


def _integer(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise RequestError("INVALID_ARGUMENT", f"Invalid value: {value!r} is not an integer.") from None
