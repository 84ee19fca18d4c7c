"""Imports: a settled drop becomes a model, one at a time per model, and what was meant is what was imported."""

from __future__ import annotations

from dataclasses import replace

from shared.checks.access import check_writable
from shared.checks.identifiers import ModelName
from shared.cloud.batch_jobs import Batch
from shared.cloud.bigquery import Query
from shared.drops import statements, watches
from shared.drops.drop import Drop, DropPath, Ready
from shared.drops.manifest import Manifest, read_manifest
from shared.drops.turns import ModelRecords
from shared.engine.services import Services
from shared.engine.steps import WaitFor
from shared.errors import Problem, Rejected
from shared.keys import hash_of
from shared.work import (
    Item,
    Kind,
    Step,
    StepState,
    System,
)

TURN_SECONDS = 5.0
DROP_CHANGED = "drop_changed"


def plan(drop: Drop, ready: Ready, services: Services) -> Item:
    """Return the work of importing a drop that is ready."""
    bucket = services.settings.model_bucket
    prefix = drop.path.prefix
    target = drop.target(services.settings.google_cloud_project)
    steps = ["create"]
    if services.settings.safe_import:
        steps = ["candidate", "create"]
    if statements.alter_model(target, drop.manifest, services.now()):
        steps.append("describe")
    return Item(
        kind=Kind.IMPORT,
        key=hash_of("import", prefix, ready.fingerprint),
        payload=ready.fingerprint,
        request={
            "model": str(target),
            "path": f"gs://{bucket}/{prefix}",
            "dataset": drop.path.dataset,
            "folder": drop.path.model,
            "version": drop.path.version,
            "fingerprint": ready.fingerprint,
            "model_type": ready.model_type,
            "uri": f"gs://{bucket}/{prefix}{ready.file or '*'}",
            "manifest": drop.manifest_text,
        },
        created=services.now(),
        steps=tuple(Step(name, System.BIGQUERY) for name in steps),
        facts=_facts(str(target), f"gs://{bucket}/{prefix}", drop.path.version, ready.fingerprint, ready.model_type),
    )


def refuse(path: DropPath, fingerprint: str, problem: Problem, services: Services) -> Item:
    """Return the work of a drop that can't be imported as it is: it ends at once, with the reason."""
    settings = services.settings
    target = str(ModelName(settings.google_cloud_project, path.dataset, path.model))
    uri = f"gs://{settings.model_bucket}/{path.prefix}"
    return Item(
        kind=Kind.IMPORT,
        key=hash_of("import", path.prefix, fingerprint),
        payload=fingerprint,
        request={
            "model": target,
            "path": uri,
            "dataset": path.dataset,
            "folder": path.model,
            "version": path.version,
            "fingerprint": fingerprint,
            "refusal": problem.as_json(),
        },
        created=services.now(),
        facts=_facts(target, uri, path.version, fingerprint, None),
    )


class Imports:
    """What the work on an import does of its own."""

    refused = "failed"

    def prepare(self, item: Item, services: Services) -> Item:
        if refusal := item.request.get("refusal"):
            raise Rejected(refusal["message"], field=refusal["field"], code=refusal["code"])
        target = _target(item, services)
        check_writable(target.project, target.dataset, services.settings, "the drop's model")
        location = services.bigquery.location_of(target.dataset_name)
        version = item.request["version"]
        record = ModelRecords(services.ledger).take_turn(target, version, item.key)
        if record.superseded(version):
            above = record.pinned or (record.current or {}).get("version")
            raise Rejected(f"version {version} comes after version {above}, which is higher", code="superseded")
        if record.in_flight is None or record.in_flight["key"] != item.key:
            raise WaitFor("turn", TURN_SECONDS)
        return replace(item, location=location)

    def query(self, item: Item, step: Step, services: Services) -> Query:
        target, manifest = _target(item, services), _manifest(item, services)
        candidate = _candidate(item, services)
        request = item.request
        match step.name:
            case "candidate":
                # A candidate must not appear in the registry.
                unregistered = replace(manifest, registry_id=None, registry_aliases=())
                sql = statements.create_model(candidate, request["model_type"], request["uri"], unregistered)
            case "describe":
                sql = statements.alter_model(target, manifest, item.created) or ""
            case _:
                sql = statements.create_model(target, request["model_type"], request["uri"], manifest)
        return Query(sql=sql, labels=dict(manifest.labels))

    def batch(self, item: Item, step: Step, services: Services) -> Batch:
        raise NotImplementedError("an import has no step on Vertex AI")

    def deadline_seconds(self, item: Item, services: Services) -> float:
        return services.settings.create_model_deadline_seconds

    def conclude(self, item: Item, services: Services) -> Item:
        if not self._unchanged(item, services):
            problem = Problem(
                DROP_CHANGED,
                "the drop's files changed while it was imported; it is imported again when it has settled",
            )
            return replace(item, outcome="failed", problem=problem)
        columns = services.bigquery.model_columns(item.request["model"])
        return replace(item.with_facts(**columns), outcome="succeeded")

    def close(self, item: Item, services: Services) -> Item:
        done = {step.name for step in item.steps if step.state is StepState.SUCCEEDED}
        imported = None
        if "create" in done and (item.problem is None or item.problem.code != DROP_CHANGED):
            # Even if the model could not be described: a lower version must not replace it.
            imported = {"version": item.request["version"], "fingerprint": item.request["fingerprint"]}
        if "candidate" in done:
            services.bigquery.delete_model(str(_candidate(item, services)))
        if item.location is not None:
            ModelRecords(services.ledger).leave_turn(_target(item, services), item.key, imported)
        if item.outcome == "failed":
            # A file that came meanwhile may be what was lacking, and its event found the drop watched.
            watches.begin_again(watches.path_of(item), item.request["fingerprint"], services)
        return item

    def _unchanged(self, item: Item, services: Services) -> bool:
        try:
            drop = services.drop_files.read(watches.path_of(item))
        except Rejected:
            return False
        return bool(drop.fingerprint == item.request["fingerprint"])


def _facts(model: str, path: str, version: str, fingerprint: str, model_type: str | None) -> dict[str, str | None]:
    return {"model": model, "path": path, "version": version, "fingerprint": fingerprint, "model_type": model_type}


def _target(item: Item, services: Services) -> ModelName:
    return ModelName.parse_new(item.request["model"], project=services.settings.google_cloud_project)


def _candidate(item: Item, services: Services) -> ModelName:
    target = _target(item, services)
    return replace(target, model=f"{target.model}__candidate_{item.key[:8]}")


def _manifest(item: Item, services: Services) -> Manifest:
    text: str = item.request.get("manifest") or ""
    return read_manifest(text.encode(), services.settings.google_cloud_project)
