"""Where the registered version of a model is deployed, and what undeploys it.

A deployed model can be neither deleted nor replaced, so an import with `deploy` in its `modeldrop.yaml` undeploys the version
in use before it creates the new one. Meanwhile a stand-in answers (`stand_ins.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict

from shared.checks.identifiers import ModelName
from shared.checks.registry_rules import deployed_error
from shared.cloud.endpoint_calls import UndeployModel, with_share
from shared.endpoints.entries import RegistryEntry, entry_of_model, version_of
from shared.engine.claims import seconds_left
from shared.engine.handler import WaitFor
from shared.engine.services import Services
from shared.errors import OutcomeUnknown, Rejected
from shared.keys import hash_of
from shared.messages.deployment_request import DEFAULT_MACHINE_TYPE, DeploymentRequest
from shared.work import Item, WaitReason
from shared.work_facts import Deployment

# How often an endpoint is looked at that another operation changes.
ENDPOINT_SECONDS = 5.0


def deployments_of(deployed: Sequence[tuple[str, str]], services: Services) -> tuple[Deployment, ...]:
    """Return where a version is deployed, as its endpoints say.

    Args:
        deployed: The endpoints that the registry names, and the version's id on each.
        services: The services of this process.
    """
    found: list[Deployment] = []
    for name, deployed_model_id in deployed:
        endpoint = services.endpoints.get(name)
        model = endpoint.find(deployed_model_id) if endpoint else None
        if endpoint is not None and model is not None:
            traffic = endpoint.traffic.get(deployed_model_id, 0)
            found.append(Deployment(name, endpoint.display_name, deployed_model_id, model.machine_type, traffic))
    return tuple(found)


def find_deployments(entry: RegistryEntry, services: Services) -> tuple[Deployment, ...]:
    """Return where the version of an entry is deployed; nowhere if the registry does not have it."""
    version = version_of(entry, services)
    return deployments_of(version.deployed, services) if version else ()


def deployments_of_model(model: ModelName, location: str, services: Services) -> tuple[Deployment, ...]:
    """Return where the version of a model is deployed; nowhere if there is no such model, or it is not registered.

    Args:
        model: The model.
        location: The location of its dataset.
        services: The services of this process.
    """
    entry = entry_of_model(model, location, services)
    return find_deployments(entry, services) if entry else ()


def check_not_deployed(model: ModelName, entry: RegistryEntry, services: Services) -> None:
    """Raise ``Rejected`` if a model is deployed, so that a drop that does not deploy it cannot replace it."""
    if deployments := find_deployments(entry, services):
        advice = (
            "undeploy it first, or add deploy to modeldrop.yaml, which deploys the new version in place of this one"
        )
        raise deployed_error(str(model), (each.endpoint_name for each in deployments), advice)


def publish_deployments(
    wanted: DeploymentRequest, replaced: Iterable[Deployment], about: Mapping[str, str], services: Services
) -> None:
    """Publish the messages that deploy a new version. Each, published twice, is one request.

    Args:
        wanted: The `deploy` of `modeldrop.yaml`.
        replaced: Where the former version was deployed. At other endpoints, the new one takes its place as it was.
        about: The fields `model` and `request_id` of the first message; the others have a number after it.
        services: The services of this process.
    """
    elsewhere = (each for each in replaced if not is_named(each, wanted.endpoint))
    requests = [wanted, *map(_as_it_was, elsewhere)]
    for number, request in enumerate(requests):
        suffix = f"-{number}" if number else ""
        message = {"action": "deploy", **asdict(request), **about, "request_id": f"{about['request_id']}{suffix}"}
        services.requests.publish(services.settings.models_topic, message)


def _as_it_was(deployment: Deployment) -> DeploymentRequest:
    number = deployment.endpoint.rpartition("/")[2]
    return DeploymentRequest(
        endpoint=number if number.isdecimal() else deployment.endpoint_name,
        machine_type=deployment.machine_type or DEFAULT_MACHINE_TYPE,
        traffic=deployment.traffic,
    )


def deployed_model_id(*origin: str) -> str:
    """Return the id of a model on an endpoint, always the same for the same origin: ten digits.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints#DeployedModel
    """
    return str(10**9 + int(hash_of("deployed model", *origin), 16) % (9 * 10**9))


def is_named(deployment: Deployment, endpoint: str) -> bool:
    """Return whether ``endpoint`` is the display name or the number of the endpoint of a deployment."""
    return endpoint in {deployment.endpoint_name, deployment.endpoint.rpartition("/")[2]}


def undeploy_call(deployment: Deployment, services: Services) -> UndeployModel | None:
    """Return the call that undeploys a model; None if it is not deployed any more.

    Raises:
        Rejected: All requests to the endpoint go to this model, although others are deployed.
        WaitFor: Another operation changes the endpoint.
    """
    endpoint = services.endpoints.get(deployment.endpoint)
    if endpoint is None or endpoint.find(deployment.deployed_model_id) is None:
        return None
    wait_for_changes(deployment.endpoint, services)
    if not endpoint.traffic.get(deployment.deployed_model_id) or len(endpoint.deployed) == 1:
        return UndeployModel(deployment.endpoint, deployment.deployed_model_id, {})
    split = with_share(endpoint.traffic, deployment.deployed_model_id, 0)
    if not split:
        raise Rejected(
            f"all requests to the endpoint {endpoint.display_name} go to this model, and other models are deployed there: "
            "deploy one of them with traffic first, or undeploy them",
            field="endpoint",
            code="has_traffic",
        )
    return UndeployModel(deployment.endpoint, deployment.deployed_model_id, split)


def wait_for_changes(endpoint: str, services: Services) -> None:
    """Raise ``WaitFor`` while an operation changes an endpoint."""
    if services.endpoints.is_changing(endpoint):
        raise WaitFor(WaitReason.ENDPOINT, ENDPOINT_SECONDS)


def undeploy_for_replacement(item: Item, entry: RegistryEntry, services: Services) -> None:
    """Undeploy the version of an entry, which is replaced. The call may be repeated until it returns.

    Args:
        item: The import, whose claim this call holds. After its lease, the deployed version may be the one that it imported.
        entry: The entry.
        services: The services of this process.

    Raises:
        Rejected: All requests to an endpoint go to this version, although others are deployed.
        WaitFor: The version is being undeployed.
        LostRace: The lease of the claim has ended.
    """
    deployments = find_deployments(entry, services)
    if not deployments:
        return
    for deployment in deployments:
        call = undeploy_call(deployment, services)
        if call is None:
            continue
        left = seconds_left(item, services)
        with suppress(OutcomeUnknown):
            services.endpoints.send(call, timeout=min(left, services.settings.lease_seconds / 2))
    raise WaitFor(WaitReason.ENDPOINT, ENDPOINT_SECONDS)
