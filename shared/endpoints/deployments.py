"""Where the registered version of a model is deployed, and what undeploys it.

A deployed model can be neither deleted nor replaced, so an import with `deploy` in its `modeldrop.yaml` undeploys the version
in use before it creates the new one.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from shared.checks.identifiers import ModelName
from shared.checks.registry_rules import deployed_error
from shared.cloud.endpoint_calls import UndeployModel, with_share
from shared.endpoints.entries import RegistryEntry, entry_of, version_of
from shared.engine.claims import seconds_left
from shared.engine.handler import WaitFor
from shared.engine.services import Services
from shared.errors import OutcomeUnknown, Rejected
from shared.work import Deployment, Item, WaitReason

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


def undeploy_for_replacement(
    item: Item, model: ModelName, location: str, services: Services, *, is_redeployed: bool
) -> None:
    """Undeploy the version of a model that is replaced. The call may be repeated until it returns.

    Args:
        item: The import, whose claim this call holds. After its lease, the deployed version may be the one that it imported.
        model: The model, which need not exist.
        location: The location of its dataset.
        services: The services of this process.
        is_redeployed: Whether the new version is deployed afterwards.

    Raises:
        Rejected: The version is deployed, and the new one is not to be deployed.
        WaitFor: The version is being undeployed.
        LostRace: The lease of the claim has ended.
    """
    try:
        resource = services.bigquery.model_resource(str(model))
    except Rejected as error:
        if error.problem.code == "notFound":
            return
        raise
    entry = entry_of(resource, location)
    deployments = find_deployments(entry, services) if entry else ()
    if not deployments:
        return
    if not is_redeployed:
        advice = (
            "undeploy it first, or add deploy to modeldrop.yaml, which deploys the new version in place of this one"
        )
        raise deployed_error(str(model), (each.endpoint_name for each in deployments), advice)
    for deployment in deployments:
        call = undeploy_call(deployment, services)
        if call is None:
            continue
        left = seconds_left(item, services)
        with suppress(OutcomeUnknown):
            services.endpoints.send(call, timeout=min(left, services.settings.lease_seconds / 2))
    raise WaitFor(WaitReason.ENDPOINT, ENDPOINT_SECONDS)
