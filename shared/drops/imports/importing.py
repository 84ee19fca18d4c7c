"""Imports: a settled drop becomes a model, one import at a time for each model.

The drop's fingerprint is compared after the import, so that the model is made of the files that were meant.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from shared.checks.access import check_writable
from shared.checks.identifiers import ModelName
from shared.checks.registry_rules import check_can_deploy
from shared.cloud.endpoint_calls import EndpointCall
from shared.cloud.query_jobs import Query
from shared.drops.checks import checking, verdict
from shared.drops.checks.prediction import check_prediction
from shared.drops.contents.files import drop_files
from shared.drops.drop import DropPath
from shared.drops.imports import planning, replacing, statements
from shared.drops.imports.planning import facts_of, former_version, manifest_of, request_of, target_of
from shared.drops.imports.signatures import completed
from shared.drops.imports.turns import ModelRecord, ModelRecords
from shared.drops.manifest import Manifest, error_with_line, problem_with_line
from shared.drops.watches import watch_again_if_changed
from shared.endpoints.deployments import publish_deployments
from shared.engine.claims import check_claim
from shared.engine.handler import Handler, WaitFor
from shared.engine.services import Services
from shared.errors import Problem, Rejected
from shared.log import log
from shared.settings import Settings
from shared.work import Item, Outcome, Step, StepState, System, WaitReason
from shared.work_facts import ImportRequest, ModelVersion

TURN_SECONDS = 5.0
DROP_CHANGED = "drop_changed"
PREDICTION_FIELD = "modeldrop.yaml.predict"
DEPLOYMENT_FIELD = "modeldrop.yaml.deploy"
CHANGED = "the drop's files changed while it was imported; it is imported again when it has settled"
# BigQuery's reason if there is no such dataset.
NO_DATASET = "notFound"


class Imports(Handler):
    """The handler of imports."""

    refused = Outcome.FAILED

    def prepare(self, item: Item, services: Services) -> Item:
        """Take the model's turn, unless the drop cannot be imported or a higher version was."""
        if request_of(item).rollback is not None:
            item = former_version(item, services)
        with _lines(item):
            return _prepared(item, services)

    def job(self, item: Item, step: Step, services: Services) -> Query | EndpointCall | None:
        """Return the statement of a step, or the call that deploys the candidate in place of the version in use.

        Raises:
            Rejected: The check does not fit the candidate, the drop has changed since its candidate was created, or the version
                in use is deployed and stays so.
            WaitFor: The version in use is being undeployed, or another operation changes an endpoint.
        """
        if step.name.startswith(planning.STAND_IN):
            return replacing.stand_in(item, step, services)
        with _lines(item):
            return Query(sql=_statement(item, step, services), labels=dict(manifest_of(item, services).labels))

    def deadline_seconds(self, item: Item, services: Services) -> float:
        """Return how long CREATE MODEL may take, or the deployment of a stand-in."""
        if item.current is not None and item.current.system is System.OPERATION:
            return services.settings.deploy_deadline_seconds
        return services.settings.create_model_deadline_seconds

    def conclude(self, item: Item, services: Services) -> Item:
        """Fail if the drop changed during the import, or if the candidate does not pass its check.

        Otherwise add the steps that create the model, or, when it is created, its columns.
        """
        if item.steps[-1].name == planning.CHECK:
            return _after_check(item, services)
        if item.steps[-1].name == planning.CANDIDATE:
            return replacing.with_final_steps(item, services)
        if not _is_unchanged(request_of(item), services):
            return replace(item, outcome=Outcome.FAILED, problem=Problem(DROP_CHANGED, CHANGED))
        described = services.bigquery.model_signature(item.request.model)
        signature = completed(described, request_of(item).signature)
        facts = replace(facts_of(item), signature=signature)
        outcome = Outcome.ROLLED_BACK if request_of(item).rollback is not None else Outcome.SUCCEEDED
        return replace(item, facts=facts, outcome=outcome)

    def refusal_of(self, item: Item) -> Outcome:
        """Return that the import, or the check of its candidate, has failed; a rollback to no version is rejected."""
        return Outcome.REJECTED if request_of(item).rollback and item.location is None else self.failure_of(item)

    def failure_of(self, item: Item) -> Outcome:
        """Return that the import, or the check of its candidate, has failed."""
        is_check = item.current is not None and item.current.name == planning.CHECK
        return Outcome.CHECK_FAILED if is_check else Outcome.FAILED

    def continue_without(self, item: Item, step: Step, services: Services) -> Item | None:
        """Return an import as it continues if BigQuery does not register the model again: the new version is in use."""
        if step.name != planning.STAY_REGISTERED:
            return None
        log("WARNING", "the model was registered and is not any more", **item.log_fields())
        return replace(item, steps=tuple(each for each in item.steps if each.name != step.name))

    def close(self, item: Item, services: Services) -> None:
        """Leave the model's turn, and delete the candidate, unless it answers in place of the model.

        After an import, publish the prediction and the deployment of `modeldrop.yaml`. After a failure, watch the drop again
        if its files have changed.
        """
        request = request_of(item)
        done = {step.name for step in item.steps if step.state is StepState.SUCCEEDED}
        imported = None
        if planning.CREATE in done and (item.problem is None or item.problem.code != DROP_CHANGED):
            # Even if the model could not be described: a lower version must not replace it.
            imported = ModelVersion(request.version, request.fingerprint)
        # A later run may have given requests to its own candidate.
        check_claim(item, services)
        if planning.REGISTER in done:
            replacing.close_stand_in(item, services)
        elif planning.CANDIDATE in done:
            services.bigquery.delete_model(str(replacing.candidate(item, services)))
        if item.location is not None:
            check_claim(item, services)
            is_rollback = request.rollback is not None
            ModelRecords(services).leave_turn(target_of(item, services), item.key, imported, is_rollback=is_rollback)
        if item.outcome is not None and item.outcome.is_success:
            _publish_requests(item, services)
        if item.outcome is not None and not item.outcome.is_success and request.rollback is None:
            # A file that was uploaded meanwhile may solve the problem; its event was skipped, because the drop was watched.
            watch_again_if_changed(DropPath.of_request(request), request.fingerprint, services)


def _prepared(item: Item, services: Services) -> Item:
    request = request_of(item)
    if (refusal := request.refusal) is not None:
        raise Rejected(refusal.message, field=refusal.field, code=refusal.code)
    target = target_of(item, services)
    check_writable(target.project, target.dataset, services.settings, "the drop's model")
    manifest = manifest_of(item, services)
    _check_manifest(manifest, request, services.settings)
    location = _location(target, request.path, services)
    item = replacing.still_registered(item, location, services)
    is_rollback = request.rollback is not None
    record = ModelRecords(services).take_turn(target, request.version, item.key, is_rollback=is_rollback)
    if not is_rollback and record.superseded(request.version):
        raise Rejected(_late(request.version, record), code="superseded")
    if record.in_flight is None or record.in_flight.key != item.key:
        raise WaitFor(WaitReason.TURN, TURN_SECONDS)
    return replace(item, location=location)


@contextmanager
def _lines(item: Item) -> Iterator[None]:
    """Add the line of `modeldrop.yaml` to an error about a field of it."""
    try:
        yield
    except Rejected as error:
        raise error_with_line(error, request_of(item).manifest) from error


def _statement(item: Item, step: Step, services: Services) -> str:
    request, target, manifest = request_of(item), target_of(item, services), manifest_of(item, services)
    candidate, model_type = replacing.candidate(item, services), request.model_type or ""
    match step.name:
        case planning.CANDIDATE:
            # A candidate must not appear in the registry, unless it stands in for a deployed version.
            unregistered = replace(manifest, registry_id=None, registry_aliases=())
            return statements.create_model(candidate, model_type, request.uri, unregistered)
        case planning.CHECK:
            assert manifest.check is not None and item.location is not None
            return checking.statement(manifest.check, candidate, request.signature, item.location, services)
        case planning.REGISTER:
            return statements.alter_model(candidate, Manifest(registry_id=manifest.registry_id), item.created) or ""
        case planning.STAY_REGISTERED:
            return statements.alter_model(target, Manifest(registry_id=facts_of(item).registry_id), item.created) or ""
        case planning.DESCRIBE:
            return statements.alter_model(target, manifest, item.created) or ""
        case _:
            if any(each.name == planning.CANDIDATE for each in item.steps) and not _is_unchanged(request, services):
                # The files that were checked are gone: others must not become the model.
                raise Rejected(CHANGED, code=DROP_CHANGED)
            replacing.undeploy_replaced(item, services)
            return statements.create_model(target, model_type, request.uri, manifest)


def _check_manifest(manifest: Manifest, request: ImportRequest, settings: Settings) -> None:
    """Raise ``Rejected`` if `modeldrop.yaml` asks for what the settings do not allow, or the type of the model."""
    if manifest.check is not None:
        manifest.check.check_access(settings, checking.CHECK_FIELD)
    if manifest.prediction is not None:
        check_prediction(manifest.prediction, settings, PREDICTION_FIELD)
        _check_topic(settings.predict_topic, "PREDICT_TOPIC", PREDICTION_FIELD)
    if manifest.deployment is not None:
        check_can_deploy(request.model, request.model_type, field=DEPLOYMENT_FIELD)
        _check_topic(settings.models_topic, "MODELS_TOPIC", DEPLOYMENT_FIELD)


def _check_topic(topic: str, setting: str, field: str) -> None:
    if not topic:
        raise Rejected(f"{field} needs the setting {setting} of the functions", field=field, code="no_topic")


def _publish_requests(item: Item, services: Services) -> None:
    """Publish the prediction and the deployment that follow an import. Each, published twice, is one request."""
    manifest, settings = manifest_of(item, services), services.settings
    about = {"model": item.request.model, "request_id": f"import-{item.key}-{item.run}"}
    if manifest.prediction is not None:
        services.requests.publish(settings.predict_topic, {**manifest.prediction, **about})
    if manifest.deployment is not None:
        publish_deployments(manifest.deployment, facts_of(item).replaced, about, services)


def _late(version: str, record: ModelRecord) -> str:
    """Return why a version is not imported."""
    if record.pinned is not None and record.withdrawn is not None:
        return (
            f"version {version} is not above version {record.withdrawn}, from which the model was rolled back to "
            f"{record.pinned}; drop a higher version, or unpin the model first"
        )
    above = record.pinned or (record.current.version if record.current else None)
    return f"version {version} comes after version {above}, which is higher"


def _after_check(item: Item, services: Services) -> Item:
    """Return ``item`` with the result of its check, and with the next steps if the candidate has passed."""
    manifest = manifest_of(item, services)
    assert manifest.check is not None
    row = checking.result_row(item.steps[-1].job, services)
    item = replace(item, facts=replace(facts_of(item), check=verdict.result_of(manifest.check, row)))
    if (problem := verdict.problem_of(manifest.check, row, checking.CHECK_FIELD)) is not None:
        located = problem_with_line(problem, request_of(item).manifest)
        return replace(item, outcome=Outcome.CHECK_FAILED, problem=located)
    return replacing.with_final_steps(item, services)


def _location(target: ModelName, path: str, services: Services) -> str:
    """Return where the model's dataset is; raise ``Rejected`` with what to do if there is no such dataset."""
    try:
        return services.bigquery.location_of(target.dataset_name)
    except Rejected as error:
        if error.problem.code != NO_DATASET:
            raise
        again = json.dumps({"action": "import", "path": path})
        topic = services.settings.models_topic.rpartition("/")[2] or "the topic of manage_model"
        minutes = max(1, round(services.settings.reconcile_seconds / 60))
        message = (
            f"{error.problem.message}. When the dataset is there, the drop is imported within about {minutes} minute"
            f"{'s' if minutes > 1 else ''}; to import it at once, publish {again} to {topic}"
        )
        raise Rejected(message, code=NO_DATASET) from error


def _is_unchanged(request: ImportRequest, services: Services) -> bool:
    try:
        drop = drop_files(services).read(DropPath.of_request(request))
    except Rejected:
        return False
    return drop.fingerprint == request.fingerprint
