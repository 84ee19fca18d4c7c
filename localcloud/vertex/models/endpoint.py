"""One endpoint: the models deployed on it, and how its traffic is divided between them.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints#Endpoint
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.moments import rfc3339_micros, serial
from localcloud.vertex.models.versions import Version


@dataclass
class Deployment:
    """A version that is deployed on an endpoint, and its DeployedModel."""

    version: Version
    resource: dict[str, Any]


@dataclass
class Endpoint:
    """An endpoint.

    Attributes:
        name: The resource name.
        fields: The fields that callers set.
        created: The time of creation.
        updated: The time of the last change.
        deployments: The deployed models by their ids.
        deploying: The ids of the models that are being deployed.
        traffic: The share of each deployed model in percent.
        calls: The number of predictions so far.
    """

    name: str
    fields: dict[str, Any]
    created: datetime
    updated: datetime
    deployments: dict[str, Deployment] = field(default_factory=dict)
    deploying: set[str] = field(default_factory=set)
    traffic: dict[str, int] = field(default_factory=dict)
    calls: int = 0

    def next_deployment(self) -> Deployment | None:
        """Return the deployed model for the next call, or None if no model has traffic.

        Of each 100 calls in a row, a deployed model gets exactly its share.
        """
        # 61 and 100 have no common divisor, so all places below 100 are visited, and the models alternate.
        place = self.calls * 61 % 100
        self.calls += 1
        for identity, share in self.traffic.items():
            if place < share:
                return self.deployments[identity]
            place -= share
        return None

    def traffic_without(self, identity: str, split: Any) -> dict[str, int]:
        """Return the traffic after a deployed model is undeployed, with the split of the call, if it has one.

        Raises:
            RequestError: INVALID_ARGUMENT for an invalid split, or FAILED_PRECONDITION if the model has traffic and other
                models are deployed.
        """
        left = traffic_of(split, self.deployments) or self.traffic
        if left.get(identity) and len(self.deployments) > 1:
            raise RequestError(
                "FAILED_PRECONDITION", f"The deployed model {identity} has traffic. Give it to another one first."
            )
        return {key: share for key, share in left.items() if key != identity}

    def to_record(self) -> dict[str, Any]:
        """Return the endpoint as JSON, without what is in progress."""
        return {
            "fields": self.fields,
            "created": self.created.isoformat(),
            "updated": self.updated.isoformat(),
            "deployed": {key: [one.version.name, one.resource] for key, one in self.deployments.items()},
            "traffic": self.traffic,
        }

    def resource(self) -> dict[str, Any]:
        """Return the Endpoint resource."""
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


def traffic_of(split: Any, deployments: Iterable[str]) -> dict[str, int]:
    """Return a traffic split with numeric shares. Raises ``RequestError`` if it is invalid."""
    shares = {key: read_integer(share) for key, share in read_object(split, "traffic_split").items()}
    unknown = shares.keys() - set(deployments)
    if unknown:
        raise unknown_deployments(unknown)
    if shares and (sum(shares.values()) != 100 or min(shares.values()) < 0):
        raise RequestError("INVALID_ARGUMENT", "The traffic split must add up to 100.")
    return shares


def unknown_deployments(identities: Iterable[str], status: str = "INVALID_ARGUMENT") -> RequestError:
    """Return the error for deployed models that do not exist.

    The words are Google's: https://github.com/GoogleCloudPlatform/java-docs-samples/pull/8475
    """
    listed = ", ".join(sorted(identities))
    return RequestError(status, f"The following DeployedModel ID(s) [{listed}] do not exist.")


def read_object(value: Any, where: str) -> dict[str, Any]:
    """Return an optional object, empty if it is absent. Raises ``RequestError`` for any other type."""
    if value is not None and not isinstance(value, dict):
        raise RequestError("INVALID_ARGUMENT", f"Invalid JSON payload received. Expected an object at '{where}'.")
    return value or {}


def read_integer(value: Any) -> int:
    """Return a number, which may be in text. Raises ``RequestError`` for anything else."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise RequestError("INVALID_ARGUMENT", f"Invalid value: {value!r} is not an integer.") from None
