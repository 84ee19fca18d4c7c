"""The work of manage messages: models are deleted, unpinned, described, registered, deployed and undeployed."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared import trace
from shared.checks.access import check_writable
from shared.checks.identifiers import ModelName
from shared.checks.registry_rules import check_can_register
from shared.checks.suggestions import closest
from shared.cloud.endpoint_calls import EndpointCall
from shared.cloud.query_jobs import OldJob, Query
from shared.drops.imports.importing import TURN_SECONDS
from shared.drops.imports.turns import ModelRecords
from shared.endpoints.entries import entry_of, required_entry, version_of
from shared.endpoints.stand_ins import remove_idle_stand_ins
from shared.engine.claims import check_claim, seconds_left
from shared.engine.handler import Handler, WaitFor
from shared.engine.services import Services
from shared.errors import Rejected
from shared.events.incoming import Message
from shared.keys import hash_of, hash_of_json
from shared.models import deploying, statements
from shared.models.describing import describe
from shared.models.request import (
    DELETE,
    DEPLOY,
    DESCRIBE,
    REGISTER,
    SET_ALIASES,
    UNDEPLOY,
    UNPIN,
    ManageRequest,
)
from shared.work import Item, Kind, Outcome, Step, System, WaitReason
from shared.work_facts import ManageFacts, ManageMessage

# The steps of each action that are known before it is prepared, and the outcome of one that was carried out.
_STEPS: Mapping[str, tuple[Step, ...]] = {
    DELETE: (Step("drop", System.BIGQUERY),),
    UNPIN: (),
    DESCRIBE: (),
    REGISTER: (Step("register", System.BIGQUERY),),
    SET_ALIASES: (),
    DEPLOY: (Step(deploying.ENDPOINT_STEP, System.OPERATION), Step(deploying.DEPLOY_STEP, System.OPERATION)),
    UNDEPLOY: (),
}
_OUTCOMES: Mapping[str, Outcome] = {
    DELETE: Outcome.DELETED,
    UNPIN: Outcome.UNPINNED,
    DESCRIBE: Outcome.DESCRIBED,
    REGISTER: Outcome.REGISTERED,
    SET_ALIASES: Outcome.REGISTERED,
    DEPLOY: Outcome.DEPLOYED,
    UNDEPLOY: Outcome.UNDEPLOYED,
}
# The actions during which no import of the model may be under way. An import undeploys the version that it replaces, so
# `undeploy` is not one of them.
_CHANGING = (DELETE, REGISTER, DEPLOY)


def origin_of(request: ManageRequest, message: Message) -> tuple[str, str]:
    """Return the kind and the id of what a message is known by: its request_id, or its own id."""
    return ("request", request.request_id) if request.request_id is not None else ("message", message.id)


def plan(request: ManageRequest, payload: Mapping[str, Any], message: Message, now: datetime) -> Item:
    """Return the work of a message about a model."""
    return Item(
        kind=Kind.MANAGE,
        key=hash_of("manage", *origin_of(request, message)),
        payload=hash_of_json(payload),
        request=ManageMessage(dict(payload), message.published, request.action, str(request.model)),
        facts=ManageFacts(),
        created=now,
        request_id=request.request_id,
        message_id=message.publishers_id,
        sources=(message.id,),
        steps=_STEPS[request.action],
        traceparent=trace.current_traceparent(),
    )


class Manages(Handler):
    """The handler of manage messages."""

    refused = Outcome.REJECTED

    def prepare(self, item: Item, services: Services) -> Item:
        """Find the model; to delete, register or deploy it, wait until no import of it is under way.

        Raises:
            Rejected: There is no such model, it may not be written, or a rule of the registry forbids it.
            WaitFor: An import of it is under way.
        """
        message, model = _message(item), _model(item, services)
        if message.action != DESCRIBE:
            check_writable(model.project, model.dataset, services.settings, "model")
        location = services.bigquery.location_of(model.dataset_name, "model")
        exists = services.bigquery.model_created(str(model)) is not None
        if not exists and not _was_submitted(item, location, services):
            similar = closest(model.model, services.bigquery.model_names(model.dataset_name))
            meant = f"; did you mean {model.dataset}.{similar}?" if similar else ""
            raise Rejected(f"there is no model {model}{meant}", field="model", code="model_not_found")
        if message.action in {REGISTER, SET_ALIASES}:
            item = _checked_registration(item, location, services)
        if message.action in _CHANGING:
            record = ModelRecords(services).take_turn(model, "", item.key, is_rollback=True)
            if record.in_flight is None or record.in_flight.key != item.key:
                raise WaitFor(WaitReason.TURN, TURN_SECONDS)
        if exists:
            item = _with_endpoints(item, model, location, services)
        return replace(item, location=location)

    def job(self, item: Item, step: Step, services: Services) -> Query | EndpointCall | None:
        """Return the statement that deletes or registers the model, or the call that changes an endpoint."""
        if step.system is System.OPERATION:
            return deploying.endpoint_call(item, step, services)
        model, registry_id = _model(item, services), _request(item, services).registry_id
        sql = statements.drop_model(model) if registry_id is None else statements.register_model(model, registry_id)
        return Query(sql=sql, labels=dict(item.labels))

    def failure_of(self, item: Item) -> Outcome:
        """Return that the message is rejected: BigQuery or Vertex AI refuses it."""
        return Outcome.REJECTED

    def deadline_seconds(self, item: Item, services: Services) -> float:
        """Return how long the statement may take, or the operation on an endpoint."""
        if item.current is not None and item.current.system is System.OPERATION:
            return services.settings.deploy_deadline_seconds
        return services.settings.query_deadline_seconds

    def conclude(self, item: Item, services: Services) -> Item:
        """Lift the pin, describe the model, give it aliases or traffic, and succeed."""
        message, model = _message(item), _model(item, services)
        if message.action == UNPIN:
            check_claim(item, services)
            ModelRecords(services).unpin(model)
        if message.action == DESCRIBE:
            item = replace(item, facts=ManageFacts(describe(model, str(item.location), services)))
        if message.action in {REGISTER, SET_ALIASES}:
            item = replace(item, facts=ManageFacts(registry=_entry(item, services)))
        if message.action == DEPLOY:
            item = deploying.conclude_deployment(item, services)
        return replace(item, outcome=_OUTCOMES[message.action])

    def close(self, item: Item, services: Services) -> None:
        """Leave the model's turn, and remove its stand-ins; the record of a model that was deleted is forgotten."""
        if _message(item).action not in _CHANGING or item.location is None:
            return
        records, model = ModelRecords(services), _model(item, services)
        if item.outcome in {Outcome.DELETED, Outcome.DEPLOYED}:
            remove_idle_stand_ins(item, model, services)
        check_claim(item, services)
        if item.outcome is Outcome.DELETED:
            records.forget(model, item.key)
        else:
            records.leave_turn(model, item.key, None)


def _with_endpoints(item: Item, model: ModelName, location: str, services: Services) -> Item:
    """Return ``item`` with the endpoints that it changes, and the steps for them.

    Raises:
        Rejected: A rule of the registry forbids it, or the model is not deployed.
    """
    request = _request(item, services)
    if request.action == UNDEPLOY:
        return deploying.prepare_undeployment(item, model, request.endpoint, location, services)
    if request.deployment is not None:
        return deploying.prepare_deployment(item, model, request.deployment, location, services)
    if request.action == DELETE:
        return deploying.prepare_deletion(item, model, location, services, undeploy=request.undeploy)
    return item


def _checked_registration(item: Item, location: str, services: Services) -> Item:
    """Return ``item`` without the step that registers its model, if it is registered under the id already.

    Raises:
        Rejected: A rule of the registry forbids it.
    """
    model, request = _model(item, services), _request(item, services)
    resource = services.bigquery.model_resource(str(model))
    if request.registry_id is None:
        required_entry(model, resource, location)
        return item
    entry = entry_of(resource, location)
    check_can_register(
        str(model),
        request.registry_id,
        is_remote=resource.get("remoteModelInfo") is not None,
        registered_as=entry.id if entry else None,
    )
    return replace(item, steps=()) if entry else item


def _entry(item: Item, services: Services) -> dict[str, Any]:
    """Return the entry of a registered model, after its version was given the aliases of the message.

    Raises:
        Rejected: The model is not registered any more, or Vertex AI refuses an alias.
    """
    aliases = _request(item, services).aliases
    model = _model(item, services)
    entry = required_entry(model, services.bigquery.model_resource(str(model)), str(item.location))
    version = version_of(entry, services)
    if aliases and (version is None or not version.aliases_include(aliases)):
        left = seconds_left(item, services)
        services.registry.give_aliases(entry.location, entry.id, str(entry.version), aliases, timeout=left)
        version = version_of(entry, services)
    return entry.described(version)


def _was_submitted(item: Item, location: str, services: Services) -> bool:
    """Return whether the job that deletes the model exists, because a call was killed before it could store that."""
    for step in (each for each in item.steps if each.system is System.BIGQUERY):
        with suppress(Rejected, OldJob):
            if services.bigquery.find(item.job_id(step), location, payload=item.payload, since=item.created):
                return True
    return False


def _message(item: Item) -> ManageMessage:
    assert isinstance(item.request, ManageMessage)
    return item.request


def _request(item: Item, services: Services) -> ManageRequest:
    message = _message(item)
    return ManageRequest.parse(message.message, services.settings, message.published)


def _model(item: Item, services: Services) -> ModelName:
    return ModelName.parse(item.request.model, project=services.settings.google_cloud_project)
