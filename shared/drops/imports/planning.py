"""Plans imports: the steps of a settled drop, of a drop that cannot be imported, and of a rollback to a former version."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared import trace
from shared.checks.identifiers import ModelName
from shared.cloud.states import MAXIMUM_ATTEMPTS
from shared.drops.contents.files import drop_files
from shared.drops.drop import Drop, DropPath, Ready
from shared.drops.formats.model_facts import ModelFacts
from shared.drops.imports import statements
from shared.drops.imports.signatures import signature_of
from shared.drops.imports.turns import ModelRecords, version_order
from shared.drops.manifest import Manifest, read_manifest
from shared.drops.remote import REMOTE
from shared.engine.services import Services
from shared.errors import Problem, Rejected
from shared.keys import hash_of
from shared.work import Item, Kind, Step, System
from shared.work_facts import FoundFile, ImportFacts, ImportRequest, Rollback

# The steps of an import, and the beginning of the names of those that deploy the candidate in place of the version in use.
CANDIDATE, CHECK, REGISTER, CREATE, DESCRIBE = "candidate", "check", "register", "create", "describe"
STAND_IN = "stand-in-"
# The step that registers a model again that was registered, and whose drop has no `registry`.
STAY_REGISTERED = "stay-registered"


def plan(drop: Drop, ready: Ready, services: Services, facts: ModelFacts | None = None) -> Item:
    """Return the work of importing a drop that is ready.

    Args:
        drop: The drop.
        ready: Its decision.
        services: The services.
        facts: What its files say about the model; None if they were not read.
    """
    folder = drop.path.uri(services.settings.model_bucket)
    target = drop.target(services.settings.google_cloud_project)
    if drop.manifest.check is not None:
        # The steps that replace the model in use are added when the candidate has passed its check.
        steps = [CANDIDATE, CHECK]
    elif drop.manifest.deployment is not None:
        # They are added when it is known where the version in use is deployed.
        steps = [CANDIDATE]
    else:
        # A remote model has no files that could be wrong.
        is_safe = services.settings.safe_import and ready.model_type != REMOTE
        steps = [CANDIDATE] if is_safe else []
        steps += final_steps(target, drop.manifest, services)
    request = ImportRequest(
        model=str(target),
        path=folder,
        dataset=drop.path.dataset,
        folder=drop.path.model,
        version=drop.path.version,
        fingerprint=ready.fingerprint,
        model_type=ready.model_type,
        uri=f"{folder}{ready.file or '*'}",
        manifest=drop.manifest_text,
        signature=signature_of(facts) if facts is not None else None,
    )
    return _item(drop.path, request, services, tuple(Step(name, System.BIGQUERY) for name in steps))


def plan_refused(
    path: DropPath, fingerprint: str, problem: Problem, services: Services, found: tuple[FoundFile, ...] = ()
) -> Item:
    """Return the work of a drop that cannot be imported: it fails at once, with the reason.

    Args:
        path: The drop.
        fingerprint: The fingerprint of its files.
        problem: Why it cannot be imported.
        services: The services of this process.
        found: The files that its event lists.
    """
    settings = services.settings
    request = ImportRequest(
        model=str(ModelName(settings.google_cloud_project, path.dataset, path.model)),
        path=path.uri(settings.model_bucket),
        dataset=path.dataset,
        folder=path.model,
        version=path.version,
        fingerprint=fingerprint,
        refusal=problem,
        found=found,
    )
    return _item(path, request, services)


def final_steps(target: ModelName, manifest: Manifest, services: Services) -> list[str]:
    """Return the names of the steps that create the model under its own name."""
    return [CREATE, DESCRIBE] if statements.alter_model(target, manifest, services.now()) else [CREATE]


def import_key(path: DropPath, fingerprint: str) -> str:
    """Return the key of the import of a drop whose files have this fingerprint."""
    return hash_of("import", path.prefix, fingerprint)


def _item(path: DropPath, request: ImportRequest, services: Services, steps: tuple[Step, ...] = ()) -> Item:
    return Item(
        kind=Kind.IMPORT,
        key=import_key(path, request.fingerprint),
        payload=request.fingerprint,
        request=request,
        facts=ImportFacts(),
        created=services.now(),
        steps=steps,
        traceparent=trace.current_traceparent(),
    )


def plan_rollback(model: ModelName, version: str | None, origin: tuple[str, str], services: Services) -> Item:
    """Return the work of importing a former version of a model again.

    Args:
        model: The model.
        version: The version to bring back; None: the one below the current.
        origin: The kind and the id of what asks for it, which make its key.
        services: The services of this process.
    """
    path = DropPath(model.dataset, model.model, version or "")
    request = ImportRequest(
        model=str(model),
        path=path.uri(services.settings.model_bucket),
        dataset=path.dataset,
        folder=path.model,
        version=path.version,
        fingerprint="",
        rollback=Rollback(version),
    )
    return Item(
        kind=Kind.IMPORT,
        key=hash_of("import", "rollback", *origin),
        payload=hash_of(str(model), version or ""),
        request=request,
        facts=ImportFacts(),
        created=services.now(),
        traceparent=trace.current_traceparent(),
    )


def former_version(item: Item, services: Services) -> Item:
    """Return a rollback with the drop that it imports again, and its steps.

    Raises:
        Rejected: There is no such version, or its drop cannot be imported.
    """
    request, model = request_of(item), target_of(item, services)
    assert request.rollback is not None
    current = ModelRecords(services).read(model).current
    wanted = request.rollback.version
    paths = {path.version: path for path in drops_of(model, services)}
    if current is None and not paths:
        raise Rejected(
            f"no drop of {model} has been imported, and the model bucket holds none",
            field="model",
            code="model_not_found",
        )
    if wanted is None and current is None:
        raise Rejected(
            f"it is not known which version {model} has; give the version to go back to",
            field="version",
            code="no_version",
        )
    versions = sorted(paths, key=version_order)
    below = [each for each in versions if current is not None and version_order(each) < version_order(current.version)]
    version = wanted if wanted is not None else next(iter(reversed(below)), None)
    if version not in paths:
        has = (
            f"the model bucket has the versions {', '.join(versions)[:500]}"
            if versions
            else "the model bucket has none"
        )
        what = (
            f"no version {version}" if version is not None else f"no version below {current.version if current else ''}"
        )
        raise Rejected(f"there is {what} of {model}; {has}", field="version", code="no_version")
    drop = drop_files(services).read(paths[version])
    decision = drop.readiness(services.now(), timedelta(seconds=services.settings.settle_seconds))
    if not isinstance(decision, Ready):
        raise Rejected(
            f"version {version} of {model} is not complete in {paths[version].prefix}",
            field="version",
            code="no_version",
        )
    facts = None if decision.model_type == REMOTE else drop_files(services).read_model(drop, decision)
    planned = plan(drop, decision, services, facts)
    rollback = replace(request.rollback, replaced=current.version if current else None)
    found = replace(request_of(planned), rollback=rollback, labels=request.labels)
    # The version was checked when it was new. A candidate is needed only where it can stand in for a deployed version.
    names = [CANDIDATE] if drop.manifest.deployment is not None else final_steps(model, drop.manifest, services)
    return replace(item, request=found, steps=tuple(new_step(item, name) for name in names))


def new_step(item: Item, name: str) -> Step:
    """Return a step that is added to an import. A run after a failure does not use the ids of the jobs before."""
    system = System.OPERATION if name.startswith(STAND_IN) else System.BIGQUERY
    return Step(name, system, attempt=1 + (item.run - 1) * MAXIMUM_ATTEMPTS)


def drops_of(model: ModelName, services: Services) -> list[DropPath]:
    """Return the drops in the bucket that become ``model``.

    These are the drops in its folder or, if there are none, those in other folders whose `modeldrop.yaml` names it.
    """
    files, project = drop_files(services), services.settings.google_cloud_project
    own = files.versions(f"{model.dataset}/{model.model}/") if model.project == project else iter(())
    for drops in (own, files.described()):
        if found := [path for path, _ in drops if files.read_or_list(path)[0].target(project) == model]:
            return found
    return []


def request_of(item: Item) -> ImportRequest:
    """Return what an import asks for."""
    assert isinstance(item.request, ImportRequest)
    return item.request


def target_of(item: Item, services: Services) -> ModelName:
    """Return the model that an import creates."""
    return ModelName.parse_new(item.request.model, project=services.settings.google_cloud_project)


def facts_of(item: Item) -> ImportFacts:
    """Return what is known of an import."""
    assert isinstance(item.facts, ImportFacts)
    return item.facts


def manifest_of(item: Item, services: Services) -> Manifest:
    """Return the `modeldrop.yaml` of an import."""
    return read_manifest(request_of(item).manifest.encode(), services.settings.google_cloud_project)
