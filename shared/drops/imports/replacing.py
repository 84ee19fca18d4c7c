"""What an import does about the version in use: it stays registered, and its endpoints answer while it is replaced.

The rules are BigQuery's: https://docs.cloud.google.com/bigquery/docs/managing-models-vertex
"""

from __future__ import annotations

from dataclasses import replace

from shared.checks.identifiers import ModelName
from shared.checks.registry_rules import check_can_register
from shared.cloud.endpoint_calls import EndpointCall
from shared.cloud.states import ACCESS_DENIED
from shared.drops.imports.planning import (
    CREATE,
    REGISTER,
    STAND_IN,
    STAY_REGISTERED,
    facts_of,
    final_steps,
    manifest_of,
    new_step,
    target_of,
)
from shared.endpoints.deployments import check_not_deployed, deployments_of_model, undeploy_for_replacement
from shared.endpoints.entries import RegistryEntry, entry_of_model
from shared.endpoints.stand_ins import (
    candidate_of,
    give_traffic_back,
    needing_stand_ins,
    publish_removal,
    stand_in_call,
)
from shared.engine.services import Services
from shared.errors import Rejected, short_reason
from shared.log import log
from shared.work import Item, Step

REGISTRY_FIELD = "modeldrop.yaml.registry.id"


def candidate(item: Item, services: Services) -> ModelName:
    """Return the name of the candidate of an import."""
    return candidate_of(target_of(item, services), item)


def still_registered(item: Item, location: str, services: Services) -> Item:
    """Return ``item`` so that a registered model stays registered, also if `modeldrop.yaml` does not say so.

    Raises:
        Rejected: The model has another id in the registry, or is deployed and stays so.
    """
    manifest, target = manifest_of(item, services), target_of(item, services)
    entry = None if manifest.remote is not None else entry_of_model(target, location, services)
    if entry is None:
        return item
    if manifest.registry_id is not None:
        check_can_register(
            str(target), manifest.registry_id, is_remote=False, registered_as=entry.id, field=REGISTRY_FIELD
        )
    _check_stays(item, target, entry, services)
    if manifest.registry_id is not None:
        return item
    item = replace(item, facts=replace(facts_of(item), registry_id=entry.id))
    is_planned = any(step.name == CREATE for step in item.steps)
    return replace(item, steps=(*item.steps, new_step(item, STAY_REGISTERED))) if is_planned else item


def with_final_steps(item: Item, services: Services) -> Item:
    """Return ``item`` with the steps that replace the model in use by its candidate, which is right.

    If the version in use is deployed, the candidate is registered, and deployed wherever that version gets requests.
    """
    manifest, target = manifest_of(item, services), target_of(item, services)
    names: list[str] = []
    if manifest.deployment is not None:
        replaced = deployments_of_model(target, str(item.location), services)
        item = replace(item, facts=replace(facts_of(item), replaced=replaced))
        if numbers := needing_stand_ins(replaced, manifest.deployment):
            names = [REGISTER, *(f"{STAND_IN}{number}" for number in numbers)]
    names += final_steps(target, manifest, services)
    if facts_of(item).registry_id is not None:
        names.append(STAY_REGISTERED)
    return replace(item, steps=(*item.steps, *(new_step(item, name) for name in names)))


def stand_in(item: Item, step: Step, services: Services) -> EndpointCall | None:
    """Return the call that deploys the candidate in place of the version in use; None if that has been done.

    Raises:
        WaitFor: Another operation changes the endpoint.
    """
    deployed = facts_of(item).replaced[int(step.name.removeprefix(STAND_IN)) - 1]
    return stand_in_call(item, candidate(item, services), deployed, str(item.location), services)


def undeploy_replaced(item: Item, services: Services) -> None:
    """Undeploy the version in use, if it is deployed. The call may be repeated until it returns.

    Raises:
        Rejected: The version in use is deployed and stays so, because the drop has no `deploy`.
        WaitFor: It is being undeployed.
    """
    manifest, target = manifest_of(item, services), target_of(item, services)
    is_registered = (manifest.registry_id or facts_of(item).registry_id) is not None
    entry = entry_of_model(target, str(item.location), services) if is_registered else None
    if entry is not None and manifest.deployment is not None:
        undeploy_for_replacement(item, entry, services)
    elif entry is not None:
        _check_stays(item, target, entry, services)


def _check_stays(item: Item, target: ModelName, entry: RegistryEntry, services: Services) -> None:
    """Raise ``Rejected`` if the version in use is deployed, and the drop does not deploy the new one."""
    manifest = manifest_of(item, services)
    if manifest.deployment is not None:
        return
    try:
        check_not_deployed(target, entry, services)
    except Rejected as error:
        # Functions that register no models may not read the registry. BigQuery does not replace a deployed model either.
        if error.problem.code != ACCESS_DENIED or manifest.registry_id is not None:
            raise


def close_stand_in(item: Item, services: Services) -> None:
    """After a failure, give the version in use its requests back and remove the stand-in.

    After an import, the message that deploys the new version removes it. Where the version in use is undeployed already, the
    stand-in stays, because nothing else would answer; the next import or deployment removes it.
    """
    if item.outcome is not None and item.outcome.is_success:
        return
    try:
        is_free = give_traffic_back(item, facts_of(item).replaced, services)
    except Rejected as error:
        log(
            "WARNING",
            "the requests to an endpoint were not given back",
            **item.log_fields(),
            reason=short_reason(error),
        )
        is_free = False
    if is_free:
        publish_removal(candidate(item, services), services)
    else:
        log("WARNING", "a failed import leaves its candidate deployed", **item.log_fields())
