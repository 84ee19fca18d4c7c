"""Endpoints of Vertex AI as plain data, for modules that should not import Vertex AI's heavy client.

The calls are in ``shared/cloud/endpoints.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.errors import Problem

# The key, in a traffic split, of the model that a call deploys.
# https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/deployModel
NEW_MODEL = "0"


@dataclass(frozen=True)
class DeployedModel:
    """A model on an endpoint."""

    id: str
    registry_id: str
    """The id of the registered model. Its whole name may hold the project's number in place of its id."""
    version: str
    machine_type: str | None


@dataclass(frozen=True)
class Endpoint:
    """An endpoint and its models."""

    name: str
    """Its resource name."""
    display_name: str
    deployed: tuple[DeployedModel, ...] = ()
    traffic: Mapping[str, int] = field(default_factory=dict)
    """How many of 100 requests each deployed model gets, by its id."""

    def find(self, deployed_model_id: str) -> DeployedModel | None:
        """Return the deployed model with this id; None if there is none."""
        return next((each for each in self.deployed if each.id == deployed_model_id), None)


# Calls that begin an operation


@dataclass(frozen=True)
class CreateEndpoint:
    """Creates an endpoint."""

    name: str
    """Its resource name. The id in it is chosen by the caller, so that a repeated call creates no second endpoint."""
    display_name: str
    labels: Mapping[str, str]

    @property
    def endpoint(self) -> str:
        """The resource name of the endpoint."""
        return self.name


@dataclass(frozen=True)
class DeployModel:
    """Deploys a version of a registered model to an endpoint."""

    endpoint: str
    id: str
    """The id of the deployed model, chosen by the caller: up to 10 digits."""
    model: str
    """The resource name of the registered model, with the version: ``.../models/genres@2``."""
    display_name: str
    machine_type: str
    traffic: Mapping[str, int]
    """The new traffic split; ``NEW_MODEL`` stands for the model. Empty: it stays."""


@dataclass(frozen=True)
class UndeployModel:
    """Takes a deployed model from an endpoint."""

    endpoint: str
    id: str
    traffic: Mapping[str, int]
    """The new traffic split. Empty: it stays."""


EndpointCall = CreateEndpoint | DeployModel | UndeployModel


@dataclass(frozen=True)
class OperationReport:
    """The state of a long-running operation."""

    is_done: bool
    problem: Problem | None = None
    """Why the operation failed; its code is ``vertex_`` and the number of `google.rpc.Code`."""
    status: int = 0
    """The `google.rpc.Code` of an operation that failed; 0 for others."""


def with_share(traffic: Mapping[str, int], key: str, share: int) -> dict[str, int] | None:
    """Return a traffic split in which ``key`` has ``share`` of 100 requests, and the others have theirs of the rest.

    Returns:
        The split, which adds up to 100; empty if no model gets a request; None if no other model can get the rest.
    """
    others = {each: count for each, count in traffic.items() if each != key and count > 0}
    rest = 100 - share
    if not others and rest:
        return None if share else {}
    split = divide(others, rest)
    return {**split, key: share} if share else split


def divide(shares: Mapping[str, int], total: int) -> dict[str, int]:
    """Return ``shares`` scaled to whole numbers that add up to ``total``; shares of 0 are left out."""
    whole = sum(shares.values())
    parts = {key: divmod(share * total, whole) for key, share in shares.items()}
    missing = total - sum(part for part, _ in parts.values())
    largest_remainders = sorted(parts, key=lambda key: (-parts[key][1], key))[:missing]
    scaled = {key: part + (key in largest_remainders) for key, (part, _) in parts.items()}
    return {key: share for key, share in scaled.items() if share}
