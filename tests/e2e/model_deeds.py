"""Manage messages that can be interrupted, as ``deeds.py`` has other actions."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import requests
from google.cloud.bigquery import QueryJob

from tests.e2e.deeds import Deed, nothing, tick, wait_for_its_job
from tests.e2e.world import SHIFTED_TABLE, World
from tests.waiting import LAST_LIMIT

FIRST, SECOND = 1, 2


def model_of(world: World, name: str) -> str:
    """Return the full name of a model of the world's dataset."""
    return f"{world.project}.{world.dataset}.{name}"


def import_version(world: World, name: str, version: int, **manifest: object) -> None:
    """Import a version of a model that adds the version's number."""
    files = {**world.shifter(version), "modeldrop.yaml": json.dumps({"files": 5, **manifest}).encode()}
    world.drop(files, name, str(version))
    world.event("model.imported", model=model_of(world, name), version=str(version))


def _import_all(world: World, name: str, *versions: int) -> None:
    """Import versions of a model, and wait until no drop is watched: a late event of a file adds calls to the next tick."""
    for version in versions:
        import_version(world, name, version)
    world.quiet()


def two_versions(world: World, name: str) -> None:
    _import_all(world, name, FIRST, SECOND)


def manage(world: World, action: str, name: str, request_id: str, **more: object) -> str:
    """Publish a manage message about a model of the world's dataset."""
    message = {"action": action, "model": f"{world.dataset}.{name}", "request_id": request_id, **more}
    return world.publish("MODELS_TOPIC", message)


def roll_back(world: World, name: str) -> None:
    manage(world, "rollback", name, name)


def rolling_back(world: World, name: str) -> None:
    """Bring a rollback to where its job has ended, before the poller sees it."""
    two_versions(world, name)
    roll_back(world, name)
    world.delivered()
    item = world.item("import", "rollback", "request", name)
    assert item is not None
    world.until(lambda: [job.state for job in world.jobs(item["key"])] == ["DONE"], ticking=False)


def check_rollback(world: World, name: str) -> None:
    assert world.shift_of(name) == FIRST
    assert len(world.ids("model.rolled_back", model=model_of(world, name))) == 1
    assert world.ids("request.rejected", request_id=name) == set()


def one_version(world: World, name: str) -> None:
    _import_all(world, name, FIRST)


def delete(world: World, name: str) -> None:
    manage(world, "delete", name, name)


def deleting(world: World, name: str) -> None:
    """Bring a deletion to where its job has ended, before the poller sees it."""
    one_version(world, name)
    delete(world, name)
    wait_for_its_job(world, "manage", name)


def check_deletion(world: World, name: str) -> None:
    assert world.shift_of(name) is None
    jobs = [job for job in world.all_jobs() if isinstance(job, QueryJob) and job.query.startswith("DROP MODEL")]
    assert len([job for job in jobs if f"{name}`" in job.query]) == 1
    assert len(world.ids("model.deleted", "request.rejected", request_id=name)) == 1
    assert world.ids("request.rejected", request_id=name) == set()


def unpin(world: World, name: str) -> None:
    manage(world, "unpin", name, f"{name}-unpin")


def pinned(world: World, name: str) -> None:
    two_versions(world, name)
    roll_back(world, name)
    world.event("model.rolled_back", request_id=name)


def check_unpinned(world: World, name: str) -> None:
    assert len(world.ids("model.unpinned", request_id=f"{name}-unpin")) == 1
    import_version(world, name, 3)


def describe(world: World, name: str) -> None:
    manage(world, "describe", "seven", name)


def check_described(world: World, name: str) -> None:
    assert len(world.ids("model.described", request_id=name)) == 1


def checked_candidate(world: World, name: str) -> None:
    """Bring a drop that fails its check to where its candidate exists, before the poller sees it."""
    one_version(world, name)
    query = f"SELECT x, x AS expected_y FROM {world.dataset}.{SHIFTED_TABLE}"
    files = {**world.shifter(SECOND), "modeldrop.yaml": json.dumps({"files": 5, "check": {"query": query}}).encode()}
    world.drop(files, name, "2")
    world.delivered()
    world.until(lambda: all(job.state == "DONE" for job in world.all_jobs()), ticking=False)


def check_refused_candidate(world: World, name: str) -> None:
    assert world.shift_of(name) == FIRST
    assert len(world.ids("model.check_failed", model=model_of(world, name))) == 1
    assert models_named(world, name) == [name]


def register(world: World, name: str) -> None:
    manage(world, "register", name, name, id=registry_id_of(name), aliases=["champion"])


def registering(world: World, name: str) -> None:
    """Bring a registration to where its job has ended, before the poller sees it."""
    one_version(world, name)
    register(world, name)
    wait_for_its_job(world, "manage", name)


def check_registration(world: World, name: str) -> None:
    [event] = world.ids("model.registered", "request.rejected", request_id=name)
    found = world.event("model.registered", request_id=name)
    assert found.id == event
    assert found.data["registry"]["version"] == "1"
    assert "champion" in found.data["registry"]["aliases"]


def registry_id_of(name: str) -> str:
    """Return the id under which a model is registered."""
    return name.replace("-", "_").lower()


def endpoints_named(world: World, display_name: str) -> list[dict[str, Any]]:
    """Return the endpoints of Vertex AI with this name."""
    url = f"{world.environment['VERTEX_ENDPOINT']}/v1/projects/{world.project}/locations/us-central1/endpoints"
    answer = requests.get(url, {"filter": f'display_name="{display_name}"'}, timeout=LAST_LIMIT)
    found: list[dict[str, Any]] = answer.json().get("endpoints", [])
    return found


def predict_online(world: World, endpoint: str, x: float) -> float:
    """Return the prediction of an endpoint, by its resource name, for one number."""
    url = f"{world.environment['VERTEX_ENDPOINT']}/v1/{endpoint}:predict"
    answer = requests.post(url, json={"instances": [{"x": x}]}, timeout=LAST_LIMIT)
    assert answer.ok, answer.text
    [prediction] = answer.json()["predictions"]
    return float(prediction["y"] if isinstance(prediction, dict) else prediction)


@contextmanager
def asked_all_the_time(world: World, endpoint: str) -> Iterator[list[float]]:
    """Ask an endpoint for the prediction of 0 again and again, and yield the answers; fail if it once does not answer."""
    answers: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(0.05):
            answers.append(predict_online(world, endpoint, 0.0))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield answers
        finally:
            done.set()
        asking.result()


def models_named(world: World, name: str) -> list[str]:
    """Return the models whose names begin with ``name``, which are the model and its candidates."""
    return [each.model_id for each in world.bigquery.list_models(world.dataset) if each.model_id.startswith(name)]


def registered(world: World, name: str) -> None:
    one_version(world, name)
    manage(world, "register", name, f"{name}-register", id=registry_id_of(name))
    world.event("model.registered", request_id=f"{name}-register")


def move_aliases(world: World, name: str) -> None:
    manage(world, "set_aliases", name, name, aliases=["champion"])


def aliases_of(world: World, registry_id: str) -> list[str]:
    """Return the aliases of the default version of a registered model."""
    url = (
        f"{world.environment['VERTEX_ENDPOINT']}/v1/projects/{world.project}/locations/us-central1/models/{registry_id}"
    )
    answer = requests.get(url, timeout=LAST_LIMIT)
    assert answer.ok, answer.text
    found: list[str] = answer.json()["versionAliases"]
    return found


def check_aliases(world: World, name: str) -> None:
    assert len(world.ids("model.registered", "request.rejected", request_id=name)) == 1
    registry = world.event("model.registered", request_id=name).data["registry"]
    assert registry["version"] == "1"
    assert sorted(aliases_of(world, registry_id_of(name))) == sorted(registry["aliases"]) == ["champion", "default"]


def deploy(world: World, name: str) -> None:
    manage(world, "deploy", name, name, endpoint=name)


def operation_ended(world: World, name: str, step: str) -> bool:
    """Return whether the work of a manage message is at a step, and its operation has ended."""
    return _job_ended(world, world.item("manage", "request", name), step)


def _job_ended(world: World, item: dict[str, Any] | None, step: str) -> bool:
    current = next((each for each in item["steps"] if each["state"] != "succeeded"), None) if item else None
    if current is None or current["name"] != step or not current["job"]:
        return False
    if current["job"]["system"] == "bigquery":
        return bool(world.bigquery.get_job(current["job"]["id"], location="US").state == "DONE")
    url = f"{world.environment['VERTEX_ENDPOINT']}/v1/{current['job']['id']}"
    return bool(requests.get(url, timeout=LAST_LIMIT).json().get("done"))


def deploying(world: World, name: str) -> None:
    """Bring a deployment to where its operation has ended, before the poller sees it."""
    registered(world, name)
    deploy(world, name)
    world.until(lambda: bool(endpoints_named(world, name)) and operation_ended(world, name, "endpoint"), ticking=False)
    world.tick()
    world.until(lambda: operation_ended(world, name, "deploy"), ticking=False)


def creating_an_endpoint(world: World, name: str) -> None:
    """Bring a deployment to where its endpoint exists, before the poller sees it."""
    registered(world, name)
    deploy(world, name)
    world.until(lambda: operation_ended(world, name, "endpoint"), ticking=False)


def check_deployment(world: World, name: str) -> None:
    assert world.ids("request.rejected", request_id=name) == set()
    [event] = world.ids("model.deployed", request_id=name)
    found = world.event("model.deployed", request_id=name)
    assert found.id == event
    [endpoint] = endpoints_named(world, name)
    [model] = endpoint["deployedModels"]
    [deployment] = found.data["deployments"]
    assert (deployment["endpoint"], deployment["deployed_model_id"]) == (endpoint["name"], model["id"])
    assert endpoint["trafficSplit"] == {model["id"]: 100}
    assert predict_online(world, endpoint["name"], 1.0) == 1.0 + FIRST


def deployed(world: World, name: str) -> None:
    registered(world, name)
    manage(world, "deploy", name, f"{name}-deploy", endpoint=name)
    world.event("model.deployed", request_id=f"{name}-deploy")


def undeploy(world: World, name: str) -> None:
    manage(world, "undeploy", name, name)


def undeploying(world: World, name: str) -> None:
    """Bring an undeployment to where its operation has ended, before the poller sees it."""
    deployed(world, name)
    undeploy(world, name)
    world.until(lambda: operation_ended(world, name, "undeploy-1"), ticking=False)


def check_undeployment(world: World, name: str) -> None:
    assert len(world.ids("model.undeployed", "request.rejected", request_id=name)) == 1
    assert world.ids("request.rejected", request_id=name) == set()
    [endpoint] = endpoints_named(world, name)
    assert "deployedModels" not in endpoint
    assert world.shift_of(name) == FIRST


def delete_deployed(world: World, name: str) -> None:
    manage(world, "delete", name, name, undeploy=True)


def deleting_deployed(world: World, name: str) -> None:
    """Bring the deletion of a deployed model to where it is undeployed, before the poller sees it."""
    deployed(world, name)
    delete_deployed(world, name)
    world.until(lambda: operation_ended(world, name, "undeploy-1"), ticking=False)


def check_deletion_of_deployed(world: World, name: str) -> None:
    check_deletion(world, name)
    [endpoint] = endpoints_named(world, name)
    assert "deployedModels" not in endpoint


def replacing_deployed(world: World, name: str) -> None:
    """Bring the drop of a second version, while the first is deployed, to where its candidate exists."""
    manifest = {"registry": {"id": registry_id_of(name)}, "deploy": {"endpoint": name}}
    import_version(world, name, FIRST, **manifest)
    world.event("model.deployed", model=model_of(world, name))
    world.quiet()
    files = {**world.shifter(SECOND), "modeldrop.yaml": json.dumps({"files": 5, **manifest}).encode()}
    world.drop(files, name, str(SECOND))
    world.delivered()
    world.until(lambda: all(job.state == "DONE" for job in world.all_jobs()), ticking=False)


def replacing_until(world: World, name: str, step: str) -> None:
    """Bring the drop of a second version, while the first is deployed, to where the job of ``step`` has ended."""
    replacing_deployed(world, name)
    [key] = [each.removeprefix("import/") for each in world.pending() if each.startswith("import/")]

    def item() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(world.state.blob(f"ledger/items/import/{key}.json").download_as_bytes())
        return found

    world.until(lambda: any(each["name"] == step and each["job"] for each in item()["steps"]))
    # A slow tick may have seen the end of the job already.
    world.until(
        lambda: (
            any(each["name"] == step and each["state"] == "succeeded" for each in item()["steps"])
            or _job_ended(world, item(), step)
        ),
        ticking=False,
    )


def check_replacement(world: World, name: str) -> None:
    assert len(world.ids("model.imported", model=model_of(world, name))) == 2
    assert len(world.ids("model.deployed", model=model_of(world, name))) == 2
    [endpoint] = endpoints_named(world, name)
    assert len(endpoint["deployedModels"]) == 1
    assert predict_online(world, endpoint["name"], 1.0) == 1.0 + SECOND
    assert models_named(world, name) == [name]


def _is_unknown(world: World, name: str) -> bool:
    return world.item("manage", "request", name) is None


MODEL_DEEDS = {
    "deploying a model": Deed("manage_model", registered, deploy, check_deployment, lost=_is_unknown),
    "polling a new endpoint": Deed("poll_jobs", creating_an_endpoint, tick, check_deployment, by_event=False),
    "polling a deployment": Deed("poll_jobs", deploying, tick, check_deployment, by_event=False),
    "undeploying a model": Deed("manage_model", deployed, undeploy, check_undeployment, lost=_is_unknown),
    "polling an undeployment": Deed("poll_jobs", undeploying, tick, check_undeployment, by_event=False),
    "deleting a deployed model": Deed(
        "manage_model", deployed, delete_deployed, check_deletion_of_deployed, lost=_is_unknown
    ),
    "polling a drop that replaces a deployed version": Deed(
        "poll_jobs", replacing_deployed, tick, check_replacement, by_event=False
    ),
    "polling a candidate that is registered": Deed(
        "poll_jobs",
        lambda world, name: replacing_until(world, name, "register"),
        tick,
        check_replacement,
        by_event=False,
    ),
    "polling a candidate that is deployed": Deed(
        "poll_jobs",
        lambda world, name: replacing_until(world, name, "stand-in-1"),
        tick,
        check_replacement,
        by_event=False,
    ),
    "polling the deletion of a deployed model": Deed(
        "poll_jobs", deleting_deployed, tick, check_deletion_of_deployed, by_event=False
    ),
    "registering a model": Deed(
        "manage_model",
        one_version,
        register,
        check_registration,
        lost=_is_unknown,
    ),
    "moving aliases": Deed("manage_model", registered, move_aliases, check_aliases, lost=_is_unknown),
    "polling a registration": Deed("poll_jobs", registering, tick, check_registration, by_event=False),
    "rolling back": Deed(
        "manage_model",
        two_versions,
        roll_back,
        check_rollback,
        lost=lambda world, name: world.item("import", "rollback", "request", name) is None,
    ),
    "polling a rollback": Deed("poll_jobs", rolling_back, tick, check_rollback, by_event=False),
    "deleting a model": Deed(
        "manage_model",
        one_version,
        delete,
        check_deletion,
        lost=_is_unknown,
    ),
    "polling a deletion": Deed("poll_jobs", deleting, tick, check_deletion, by_event=False),
    "unpinning": Deed(
        "manage_model",
        pinned,
        unpin,
        check_unpinned,
        lost=lambda world, name: world.item("manage", "request", f"{name}-unpin") is None,
    ),
    "describing": Deed(
        "manage_model",
        nothing,
        describe,
        check_described,
        lost=_is_unknown,
    ),
    "polling a candidate that fails its check": Deed(
        "poll_jobs", checked_candidate, tick, check_refused_candidate, by_event=False
    ),
}
