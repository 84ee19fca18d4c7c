"""Deploys registered models to endpoints of Vertex AI, and undeploys them.

https://cloud.google.com/vertex-ai/docs/predictions/overview
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from shared.checks.identifiers import ModelName
from shared.checks.registry_rules import check_can_deploy, deployed_error
from shared.cloud.endpoint_calls import (
    NEW_MODEL,
    CreateEndpoint,
    DeployedModel,
    DeployModel,
    Endpoint,
    EndpointCall,
    with_share,
)
from shared.endpoints.deployments import deployed_model_id, is_named, undeploy_call, wait_for_changes
from shared.endpoints.entries import RegistryEntry, entry_of, required_entry, version_of
from shared.endpoints.stand_ins import deployments_with_stand_ins, stand_ins_of, traffic_without
from shared.engine.claims import seconds_left
from shared.engine.running.labels import job_labels
from shared.engine.services import Services
from shared.errors import Rejected
from shared.keys import hash_of
from shared.messages.deployment_request import DeploymentRequest
from shared.work import Item, Step, System
from shared.work_facts import Deployment, ManageFacts

ENDPOINT_STEP, DEPLOY_STEP, UNDEPLOY_STEP = "endpoint", "deploy", "undeploy"


def prepare_deployment(
    item: Item, model: ModelName, wanted: DeploymentRequest, location: str, services: Services
) -> Item:
    """Return ``item`` with the endpoint to which its model is deployed, which need not exist yet.

    Raises:
        Rejected: The model is not registered, a rule forbids the deployment, or the endpoint is not clear.
    """
    resource = services.bigquery.model_resource(str(model))
    check_can_deploy(str(model), resource.get("modelType"), field="model")
    entry = required_entry(model, resource, location)
    name, display_name = _endpoint_of(wanted.endpoint, entry.location, services)
    own_id = deployed_model_id(item.key, str(item.run))
    deployment = Deployment(name, display_name, own_id, wanted.machine_type, wanted.traffic)
    return replace(item, facts=ManageFacts(registry=entry.as_json(), deployments=(deployment,)))


def prepare_undeployment(item: Item, model: ModelName, endpoint: str | None, location: str, services: Services) -> Item:
    """Return ``item`` with a step for each endpoint from which its model is undeployed.

    Args:
        item: The work of the message.
        model: The model, which exists.
        endpoint: The display name or the number of the endpoint; None: all endpoints.
        location: The location of the model's dataset.
        services: The services of this process.

    Raises:
        Rejected: The model is not registered, or not deployed there.
    """
    entry = required_entry(model, services.bigquery.model_resource(str(model)), location)
    everywhere = deployments_with_stand_ins(model, entry, location, services)
    found = tuple(each for each in everywhere if endpoint is None or is_named(each, endpoint))
    if not found:
        where = (
            f"; it is deployed to {', '.join(sorted(each.endpoint_name for each in everywhere))}" if everywhere else ""
        )
        target = f"the endpoint {endpoint}" if endpoint else "any endpoint"
        raise Rejected(f"{model} is not deployed to {target}{where}", field="endpoint", code="not_deployed")
    return _undeploying(item, entry, found)


def prepare_deletion(item: Item, model: ModelName, location: str, services: Services, *, undeploy: bool) -> Item:
    """Return ``item`` with a step for each endpoint from which its model is undeployed before it is deleted.

    Raises:
        Rejected: The model is deployed, and the message does not say that it is to be undeployed.
    """
    entry = entry_of(services.bigquery.model_resource(str(model)), location)
    found = deployments_with_stand_ins(model, entry, location, services) if entry else ()
    if entry is None or not found:
        return item
    if not undeploy:
        advice = 'undeploy it first, or delete it with "undeploy": true'
        raise deployed_error(str(model), (each.endpoint_name for each in found), advice)
    return _undeploying(item, entry, found)


def _undeploying(item: Item, entry: RegistryEntry, found: tuple[Deployment, ...]) -> Item:
    steps = tuple(Step(f"{UNDEPLOY_STEP}-{number}", System.OPERATION) for number, _ in enumerate(found, 1))
    return replace(item, facts=ManageFacts(registry=entry.as_json(), deployments=found), steps=(*steps, *item.steps))


def endpoint_call(item: Item, step: Step, services: Services) -> EndpointCall | None:
    """Return the call of a step of the system `OPERATION`; None if the endpoint is as the step wants it.

    Raises:
        Rejected: The endpoint does not allow it.
        WaitFor: Another operation changes the endpoint.
    """
    facts = _facts(item)
    if step.name.startswith(UNDEPLOY_STEP):
        return undeploy_call(facts.deployments[int(step.name.removeprefix(f"{UNDEPLOY_STEP}-")) - 1], services)
    [deployment] = facts.deployments
    endpoint = services.endpoints.get(deployment.endpoint)
    if step.name == ENDPOINT_STEP:
        if endpoint is None:
            return CreateEndpoint(deployment.endpoint, deployment.endpoint_name, job_labels(item))
        if endpoint.display_name != deployment.endpoint_name:
            raise Rejected(
                f"the endpoint {endpoint.name} was created as {deployment.endpoint_name}, and is now named "
                f"{endpoint.display_name}: write that name",
                field="endpoint",
                code="endpoint_renamed",
            )
        return None
    endpoint = _existing(endpoint, deployment)
    if (model := _deployed(item, endpoint)) is not None:
        if model.machine_type not in {None, deployment.machine_type}:
            raise Rejected(
                f"the model is deployed to {endpoint.display_name} already, on {model.machine_type}: undeploy it there first",
                field="machine_type",
                code="deployed_otherwise",
            )
        return None
    wait_for_changes(deployment.endpoint, services)
    entry = _entry(item)
    return DeployModel(
        endpoint=deployment.endpoint,
        id=deployment.deployed_model_id,
        model=services.registry.name(entry.location, entry.id, str(entry.version)),
        display_name=f"{entry.id}-{entry.version}",
        machine_type=str(deployment.machine_type),
        traffic=_split(endpoint, NEW_MODEL, deployment.traffic, _traffic_of_others(item, endpoint, services)),
    )


def conclude_deployment(item: Item, services: Services) -> Item:
    """Return ``item`` with the deployment as the endpoint says it is, after its traffic was set.

    Raises:
        Rejected: The model was undeployed meanwhile, or no other model can get the rest of the traffic.
    """
    facts, entry = _facts(item), _entry(item)
    [deployment] = facts.deployments
    endpoint = _existing(services.endpoints.get(deployment.endpoint), deployment)
    model = _deployed(item, endpoint)
    if model is None:
        raise Rejected(
            f"the model is not deployed to {endpoint.display_name} any more", field="endpoint", code="not_deployed"
        )
    others = _traffic_of_others(item, endpoint, services)
    if endpoint.traffic.get(model.id, 0) != deployment.traffic or (deployment.traffic and others != endpoint.traffic):
        # Another message has deployed this version before, with other traffic, or a stand-in has its traffic.
        split, left = _split(endpoint, model.id, deployment.traffic, others), seconds_left(item, services)
        services.endpoints.set_traffic(endpoint.name, split, timeout=left)
    deployment = replace(
        deployment,
        endpoint=endpoint.name,
        endpoint_name=endpoint.display_name,
        deployed_model_id=model.id,
        machine_type=model.machine_type,
    )
    registry = entry.described(version_of(entry, services))
    return replace(item, facts=replace(facts, registry=registry, deployments=(deployment,)))


def _endpoint_of(text: str, location: str, services: Services) -> tuple[str, str]:
    """Return the resource name and the display name of an endpoint, which need not exist if ``text`` is not a number."""
    parent = services.endpoints.parent(location)
    if text.isdecimal():
        endpoint = services.endpoints.get(f"{parent}/endpoints/{text}")
        if endpoint is None:
            raise Rejected(f"there is no endpoint {text} in {location}", field="endpoint", code="endpoint_not_found")
        return endpoint.name, endpoint.display_name
    found = services.endpoints.named(text, location)
    if len(found) > 1:
        numbers = ", ".join(sorted(each.name.rpartition("/")[2] for each in found))
        raise Rejected(
            f"{len(found)} endpoints in {location} are named {text}: write one of their numbers, {numbers}",
            field="endpoint",
            code="ambiguous_endpoint",
        )
    if found:
        return found[0].name, found[0].display_name
    # The same name has the same id, so that two messages, or a call that is repeated, create one endpoint.
    return f"{parent}/endpoints/modeldrop-{hash_of('endpoint', parent, text)}", text


def _existing(endpoint: Endpoint | None, deployment: Deployment) -> Endpoint:
    if endpoint is None:
        raise Rejected(
            f"the endpoint {deployment.endpoint_name} was deleted", field="endpoint", code="endpoint_not_found"
        )
    return endpoint


def _deployed(item: Item, endpoint: Endpoint) -> DeployedModel | None:
    """Return the version of the item's model on an endpoint: of this work, or of another message; None if it has none."""
    entry = _entry(item)
    found = [each for each in endpoint.deployed if (each.registry_id, each.version) == (entry.id, entry.version)]
    [deployment] = _facts(item).deployments
    return next((each for each in found if each.id == deployment.deployed_model_id), found[0] if found else None)


def _traffic_of_others(item: Item, endpoint: Endpoint, services: Services) -> Mapping[str, int]:
    """Return the traffic split without the stand-ins of the item's model: it gets their share."""
    model = ModelName.parse(item.request.model, project=services.settings.google_cloud_project)
    return traffic_without(endpoint, stand_ins_of(model, str(item.location), services))


def _split(endpoint: Endpoint, key: str, share: int, traffic: Mapping[str, int]) -> dict[str, int]:
    split = with_share(traffic, key, share)
    if split is None:
        raise Rejected(
            f"no other model of the endpoint {endpoint.display_name} has traffic, so traffic must be 100 or 0",
            field="traffic",
            code="invalid_field",
        )
    return split


def _facts(item: Item) -> ManageFacts:
    assert isinstance(item.facts, ManageFacts)
    return item.facts


def _entry(item: Item) -> RegistryEntry:
    registry = _facts(item).registry
    assert registry is not None
    return RegistryEntry(registry["id"], registry["version"], registry["location"])
