"""Stand-ins: a candidate answers the requests to an endpoint while the model that it is a candidate for is replaced.

BigQuery replaces no model that is deployed. So that its endpoints answer all the time, an import registers its candidate as a
version of its own, and deploys it beside the version in use, with the traffic of that version. Then the version in use is
undeployed and replaced. When the new version is deployed, the stand-in is removed by a message of Modeldrop to itself, which
undeploys and deletes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from shared.checks.identifiers import LONGEST_MODEL, ModelName
from shared.cloud.endpoint_calls import NEW_MODEL, DeployModel, Endpoint
from shared.endpoints.deployments import deployed_model_id, find_deployments, is_named, wait_for_changes
from shared.endpoints.entries import RegistryEntry, entry_of_model, required_entry
from shared.engine.claims import check_claim, seconds_left
from shared.engine.services import Services
from shared.keys import hash_of
from shared.messages.deployment_request import DEFAULT_MACHINE_TYPE, DeploymentRequest
from shared.work import Item
from shared.work_facts import Deployment

_SUFFIX, _HASH = "__candidate_", 8


@dataclass(frozen=True)
class StandIn:
    """A candidate that is registered."""

    model: ModelName
    entry: RegistryEntry


def candidate_of(model: ModelName, item: Item) -> ModelName:
    """Return the name of the candidate that the run of an import creates for ``model``."""
    hashed = hash_of("candidate", item.key, str(item.run))[:_HASH]
    return replace(model, model=f"{_stem(model)}{hashed}")


def stand_ins_of(model: ModelName, location: str, services: Services) -> tuple[StandIn, ...]:
    """Return the stand-ins of a model: those of an import that has just ended, or has failed half-way.

    Args:
        model: The model.
        location: The location of its dataset.
        services: The services of this process.
    """
    stem = _stem(model)
    form = re.compile(rf"{re.escape(stem)}[0-9a-f]{{{_HASH}}}")
    found: list[StandIn] = []
    for name in services.bigquery.models_beginning(model.dataset_name, stem):
        if not form.fullmatch(name):
            continue
        candidate = replace(model, model=name)
        entry = entry_of_model(candidate, location, services)
        if entry is not None and entry.version is not None:
            found.append(StandIn(candidate, entry))
    return tuple(found)


def deployments_with_stand_ins(
    model: ModelName, entry: RegistryEntry, location: str, services: Services
) -> tuple[Deployment, ...]:
    """Return where a registered model is deployed: its version, and its stand-ins."""
    entries = [entry, *(each.entry for each in stand_ins_of(model, location, services))]
    return tuple(found for each in entries for found in find_deployments(each, services))


def needing_stand_ins(replaced: Sequence[Deployment], wanted: DeploymentRequest) -> list[int]:
    """Return the numbers, from 1, of the deployments that get requests and whose endpoint keeps the model.

    Args:
        replaced: Where the version in use is deployed.
        wanted: The `deploy` of `modeldrop.yaml`. Without traffic, nothing answers at its endpoint afterwards either.
    """
    return [
        number
        for number, each in enumerate(replaced, 1)
        if each.traffic and (wanted.traffic or not is_named(each, wanted.endpoint))
    ]


def stand_in_call(
    item: Item, candidate: ModelName, deployed: Deployment, location: str, services: Services
) -> DeployModel | None:
    """Return the call that deploys a registered candidate in place of a deployed version.

    Args:
        item: The import.
        candidate: Its candidate.
        deployed: The deployed version.
        location: The location of the model's dataset.
        services: The services of this process.

    Returns:
        The call; None if the candidate is deployed there, or if the version gets no requests there any more.

    Raises:
        WaitFor: Another operation changes the endpoint.
    """
    endpoint = services.endpoints.get(deployed.endpoint)
    own_id = stand_in_id(item, deployed)
    if endpoint is None or endpoint.find(own_id) is not None:
        return None
    share = endpoint.traffic.get(deployed.deployed_model_id, 0)
    if not share:
        return None
    wait_for_changes(deployed.endpoint, services)
    entry = required_entry(candidate, services.bigquery.model_resource(str(candidate)), location)
    others = {key: each for key, each in endpoint.traffic.items() if key != deployed.deployed_model_id}
    return DeployModel(
        endpoint=deployed.endpoint,
        id=own_id,
        model=services.registry.name(entry.location, entry.id, str(entry.version)),
        display_name=f"{entry.id}-{entry.version}",
        machine_type=deployed.machine_type or DEFAULT_MACHINE_TYPE,
        traffic={**others, NEW_MODEL: share},
    )


def stand_in_id(item: Item, deployed: Deployment) -> str:
    """Return the id that the stand-in of an import gets on the endpoint of a deployed version."""
    return deployed_model_id("stand-in", item.key, str(item.run), deployed.endpoint)


def give_traffic_back(item: Item, replaced: Iterable[Deployment], services: Services) -> bool:
    """Give the versions that are still deployed the traffic of the stand-ins of an import that has failed.

    Returns:
        Whether no endpoint needs its stand-in any more. It does if its former version is gone.

    Raises:
        Rejected: Vertex AI refuses it.
        LostRace: The lease of the import's claim has ended.
    """
    is_free = True
    for deployed in replaced:
        own_id = stand_in_id(item, deployed)
        endpoint = services.endpoints.get(deployed.endpoint)
        share = endpoint.traffic.get(own_id, 0) if endpoint else 0
        if endpoint is None or not share:
            continue
        if endpoint.find(deployed.deployed_model_id) is None:
            is_free = False
            continue
        split = dict(endpoint.traffic)
        split[deployed.deployed_model_id] = split.get(deployed.deployed_model_id, 0) + split.pop(own_id)
        services.endpoints.set_traffic(endpoint.name, split, timeout=seconds_left(item, services))
    return is_free


def traffic_without(endpoint: Endpoint, stand_ins: Iterable[StandIn]) -> Mapping[str, int]:
    """Return the traffic split of an endpoint without stand-ins: it may not add up to 100."""
    versions = {(each.entry.id, each.entry.version) for each in stand_ins}
    own = {each.id for each in endpoint.deployed if (each.registry_id, each.version) in versions}
    return {key: share for key, share in endpoint.traffic.items() if key not in own}


def remove_idle_stand_ins(item: Item, model: ModelName, services: Services) -> None:
    """Publish the removal of each stand-in of a model that gets no request on any endpoint.

    Args:
        item: The work that has the model's turn, and whose claim this call holds. After its lease, the next import may have
            registered a candidate that is not deployed yet.
        model: The model.
        services: The services of this process.

    Raises:
        LostRace: The lease of the claim has ended.
    """
    for each in stand_ins_of(model, str(item.location), services):
        if not any(deployed.traffic for deployed in find_deployments(each.entry, services)):
            check_claim(item, services)
            publish_removal(each.model, services)


def publish_removal(candidate: ModelName, services: Services) -> None:
    """Publish the message that undeploys and deletes a stand-in. Published twice, it is one request."""
    message = {
        "action": "delete",
        "model": str(candidate),
        "undeploy": True,
        "request_id": f"stand-in-{hash_of('stand-in', str(candidate))}",
    }
    services.requests.publish(services.settings.models_topic, message)


def _stem(model: ModelName) -> str:
    return f"{model.model[: LONGEST_MODEL - len(_SUFFIX) - _HASH]}{_SUFFIX}"
