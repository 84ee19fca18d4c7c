"""Endpoints, the models deployed on them, and online predictions.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints
"""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from localcloud.vertex.base.errors import RequestError, missing_field
from localcloud.vertex.base.filters import EQUALITY, Field, compile_filter
from localcloud.vertex.base.moments import UniqueMoments, rfc3339_micros, serial
from localcloud.vertex.base.operations import EMPTY, Operations, vertex_message
from localcloud.vertex.base.pages import page
from localcloud.vertex.base.records import RecordJournal
from localcloud.vertex.base.violations import check_names_and_labels
from localcloud.vertex.models.endpoint import (
    Deployment,
    Endpoint,
    read_integer,
    read_object,
    traffic_of,
    unknown_deployments,
)
from localcloud.vertex.models.registry import Registry
from localcloud.vertex.models.versions import Version, last_segment

SETTABLE = frozenset({"name", "displayName", "description", "labels"})
PATCHABLE = ("displayName", "description", "labels", "trafficSplit")
# The fields of a deployed model. Those of the first set are kept and have no effect: a model runs in a process of this machine.
KEPT = frozenset(
    {
        "dedicatedResources",
        "automaticResources",
        "sharedResources",
        "serviceAccount",
        "enableAccessLogging",
        "disableContainerLogging",
        "disableExplanations",
    }
)
DEPLOYABLE = KEPT | {"id", "model", "displayName"}
# An id that the caller of create chooses.
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/create (endpointId)
ENDPOINT_ID = re.compile(r"[1-9][0-9]{0,9}|[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
# An id that the caller of deployModel chooses.
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints#DeployedModel
DEPLOYED_MODEL_ID = re.compile(r"[0-9]{1,10}")
# The form of the names of machine types, such as n1-standard-2 and a2-highgpu-1g.
# https://cloud.google.com/vertex-ai/docs/predictions/configure-compute#machine-types
MACHINE_TYPE = re.compile(r"[a-z]+\d+[a-z]*-[a-z]+-\d+[a-z]?")
# The kind of the records in the journal.
RECORD = "endpoint"
# The key of the model that is being deployed in a traffic split.
NEW_MODEL = "0"

FILTER_FIELDS = {
    "endpoint": Field("name", EQUALITY, last_segment),
    "display_name": Field("displayName", EQUALITY),
}


class Endpoints:
    """The endpoints of the service. Creating, deploying and undeploying are long-running operations."""

    def __init__(
        self,
        registry: Registry,
        operations: Operations,
        journal: RecordJournal,
        *,
        moments: UniqueMoments,
        operation_seconds: float,
    ) -> None:
        """Read the endpoints of the journal; each operation takes ``operation_seconds``."""
        self._registry = registry
        self._operations = operations
        self._journal = journal
        self._moments = moments
        self._seconds = operation_seconds
        self._endpoints: dict[str, Endpoint] = {}
        self._lock = threading.RLock()
        for name, record in journal.records(RECORD).items():
            self._restore(name, record)

    def create(self, parent: str, body: dict[str, Any], endpoint_id: str = "") -> dict[str, Any]:
        """Start to create an endpoint, and return the operation.

        Args:
            parent: The location.
            body: The Endpoint.
            endpoint_id: The id of the endpoint; empty for a random one.

        Raises:
            RequestError: INVALID_ARGUMENT without a display name or for an invalid id, ALREADY_EXISTS if the id is
                taken, or UNIMPLEMENTED for a field that is not supported here.
        """
        self._operations.settle()
        _check_supported(body, SETTABLE, "endpoint")
        if endpoint_id and not ENDPOINT_ID.fullmatch(endpoint_id):
            raise RequestError("INVALID_ARGUMENT", f"{endpoint_id!r} is not an endpoint ID: {ENDPOINT_ID.pattern}.")
        check_names_and_labels("endpoint", body)
        name = f"{parent}/endpoints/{endpoint_id or 10**18 + secrets.randbelow(9 * 10**18)}"
        fields = {key: body[key] for key in sorted(SETTABLE - {"name"}) if key in body}
        with self._lock:
            if name in self._endpoints:
                raise RequestError("ALREADY_EXISTS", f"The Endpoint {name} already exists.")

        def finish() -> dict[str, Any]:
            with self._lock:
                if name in self._endpoints:
                    raise RequestError("ALREADY_EXISTS", f"The Endpoint {name} already exists.")
                created = self._moments.next()
                self._endpoints[name] = Endpoint(name, fields, created, created)
                self._save(name)
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
            check_names_and_labels("endpoint", {**endpoint.fields, **{path: changes.get(path) for path in mask}})
            for path in mask:
                if path == "trafficSplit":
                    endpoint.traffic = traffic_of(changes.get(path), endpoint.deployments)
                else:
                    endpoint.fields[path] = changes.get(path, {} if path == "labels" else "")
            endpoint.updated = self._moments.next()
            self._save(name)
            return endpoint.resource()

    def delete(self, name: str) -> dict[str, Any]:
        """Delete an endpoint, and return the operation.

        Raises:
            RequestError: NOT_FOUND, or FAILED_PRECONDITION while models are deployed or being deployed on it.
        """
        self._operations.settle()
        with self._lock:
            endpoint = self._find(name)
            if endpoint.deployments or endpoint.deploying:
                raise RequestError(
                    "FAILED_PRECONDITION",
                    f"The Endpoint {name} has deployed models or models being deployed. Undeploy them first.",
                )
            del self._endpoints[name]
            self._journal.remove(RECORD, name)
        return self._operations.begin(name, "DeleteOperationMetadata", lambda: EMPTY)

    def deploy(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Deploy a registered model on an endpoint, and return the operation.

        Raises:
            RequestError: NOT_FOUND, FAILED_PRECONDITION for a model that cannot be deployed, INVALID_ARGUMENT for
                unsupported resources or an invalid traffic split, or UNIMPLEMENTED for a field that is not supported here.
        """
        self._operations.settle()
        given = read_object(body.get("deployedModel"), "deployed_model")
        if not given.get("model"):
            raise missing_field("deployed_model.model")
        with self._lock:
            endpoint = self._find(name)
            version = self._registry.version(str(given.get("model", "")))
            _check_deployable(version, given)
            identity = str(given.get("id") or secrets.randbelow(9 * 10**18) + 10**18)
            if given.get("id") and not DEPLOYED_MODEL_ID.fullmatch(identity):
                raise RequestError("INVALID_ARGUMENT", f"{identity!r} is not a deployed model ID: 1-10 of [0-9].")
            if identity in endpoint.deployments or identity in endpoint.deploying:
                raise RequestError("ALREADY_EXISTS", f"The Endpoint {name} has a deployed model {identity!r} already.")
            split = body.get("trafficSplit")
            traffic_of(split, [*endpoint.deployments, NEW_MODEL])
            version.deploying.append(name)
            endpoint.deploying.add(identity)

        def finish() -> dict[str, Any]:
            with self._lock:
                version.deploying.remove(name)
                endpoint = self._find(name)
                endpoint.deploying.discard(identity)
                # A model of the split may have been undeployed meanwhile.
                shares = traffic_of(split, [*endpoint.deployments, NEW_MODEL])
                created = self._moments.next()
                resource = {
                    "displayName": last_segment(version.model),
                    **given,
                    "id": identity,
                    "model": version.model,
                    "modelVersionId": str(version.number),
                    "createTime": rfc3339_micros(created),
                }
                endpoint.deployments[identity] = Deployment(version, resource)
                version.deployed.append({"endpoint": name, "deployedModelId": identity})
                if shares:
                    endpoint.traffic = {identity if key == NEW_MODEL else key: share for key, share in shares.items()}
                endpoint.updated = created
                self._save(name)
                return vertex_message("DeployModelResponse", {"deployedModel": resource})

        return self._operations.begin(name, "DeployModelOperationMetadata", finish, seconds=self._seconds)

    def undeploy(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Undeploy a model from an endpoint, and return the operation.

        Raises:
            RequestError: NOT_FOUND, or FAILED_PRECONDITION if the model has traffic and other models are deployed.
        """
        self._operations.settle()
        identity = str(body.get("deployedModelId") or "")
        if not identity:
            raise missing_field("deployed_model_id")
        with self._lock:
            endpoint = self._find(name)
            if identity not in endpoint.deployments:
                raise unknown_deployments([identity], "NOT_FOUND")
            endpoint.traffic_without(identity, body.get("trafficSplit"))

        def finish() -> dict[str, Any]:
            with self._lock:
                endpoint = self._find(name)
                if identity not in endpoint.deployments:
                    raise unknown_deployments([identity], "NOT_FOUND")
                # The traffic may have changed meanwhile.
                traffic = endpoint.traffic_without(identity, body.get("trafficSplit"))
                gone = endpoint.deployments.pop(identity)
                gone.version.deployed = [ref for ref in gone.version.deployed if ref["deployedModelId"] != identity]
                endpoint.traffic = traffic
                endpoint.updated = self._moments.next()
                self._save(name)
                return vertex_message("UndeployModelResponse")

        return self._operations.begin(name, "UndeployModelOperationMetadata", finish, seconds=self._seconds)

    def predict(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the predictions of one of the deployed models, chosen by the traffic split.

        Raises:
            RequestError: NOT_FOUND, FAILED_PRECONDITION if no model has traffic, INVALID_ARGUMENT for instances that the
                model does not accept, or UNIMPLEMENTED if the model cannot run here or ``parameters`` are given.
        """
        self._operations.settle()
        with self._lock:
            deployment = self._find(name).next_deployment()
        if deployment is None:
            raise RequestError("FAILED_PRECONDITION", f"The Endpoint {name} has no deployed model with traffic.")
        version = deployment.version
        if version.predict is None:
            raise RequestError("UNIMPLEMENTED", f"The local Vertex AI does not run the container of {version.name}.")
        if body.get("parameters"):
            raise RequestError("UNIMPLEMENTED", f"The Model {version.name} takes no parameters of a prediction.")
        instances = body.get("instances")
        if not isinstance(instances, list) or not instances:
            raise RequestError("INVALID_ARGUMENT", "The field instances must be a list with at least one instance.")
        return {
            "predictions": version.predict(instances),
            "deployedModelId": deployment.resource["id"],
            "model": version.model,
            "modelDisplayName": self._registry.get(version.name)["displayName"],
            "modelVersionId": str(version.number),
        }

    def raw_predict(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of the model's server itself, which has the predictions only. Raises ``RequestError``."""
        return {"predictions": self.predict(name, body)["predictions"]}

    def _restore(self, name: str, record: dict[str, Any]) -> None:
        created, updated = (datetime.fromisoformat(record[key]) for key in ("created", "updated"))
        endpoint = self._endpoints[name] = Endpoint(name, record["fields"], created, updated)
        for identity, (version_name, resource) in record["deployed"].items():
            version = self._registry.version(version_name)
            endpoint.deployments[identity] = Deployment(version, resource)
            version.deployed.append({"endpoint": name, "deployedModelId": identity})
        endpoint.traffic = record["traffic"]

    def _save(self, name: str) -> None:
        self._journal.save(RECORD, name, self._endpoints[name].to_record())

    def _find(self, name: str) -> Endpoint:
        if name not in self._endpoints:
            raise RequestError("NOT_FOUND", f"The Endpoint {name} does not exist.")
        return self._endpoints[name]


def _check_deployable(version: Version, given: dict[str, Any]) -> None:
    if not version.deployable:
        # The words are Google's: https://github.com/GoogleCloudPlatform/vertex-ai-samples/issues/1282
        raise RequestError("FAILED_PRECONDITION", f"Model {version.model} is not exportable from BigQueryML.")
    if version.predict is None:
        raise RequestError("UNIMPLEMENTED", f"The local Vertex AI does not run the container of {version.name}.")
    _check_supported(given, DEPLOYABLE, "deployed_model")
    resources = read_object(given.get("dedicatedResources"), "dedicated_resources")
    machine = read_object(resources.get("machineSpec"), "machine_spec")
    if not machine.get("machineType") or read_integer(resources.get("minReplicaCount", 0)) < 1:
        raise RequestError(
            "INVALID_ARGUMENT",
            f"The Model {version.name} supports dedicated resources only: dedicatedResources must have a "
            "machineSpec.machineType and a minReplicaCount of at least 1.",
        )
    if not MACHINE_TYPE.fullmatch(str(machine["machineType"])):
        raise RequestError("INVALID_ARGUMENT", f"Machine type {machine['machineType']!r} is not supported.")
    most = read_integer(resources.get("maxReplicaCount") or resources["minReplicaCount"])
    if most < read_integer(resources["minReplicaCount"]):
        raise RequestError("INVALID_ARGUMENT", "maxReplicaCount must not be below minReplicaCount.")


def _check_supported(given: dict[str, Any], supported: frozenset[str], where: str) -> None:
    """Raise ``RequestError`` (UNIMPLEMENTED) if a field that has a value is not among the supported ones."""
    for name, value in given.items():
        if value and name not in supported:
            raise RequestError("UNIMPLEMENTED", f"The field {where}.{name} is not supported by the local Vertex AI.")
