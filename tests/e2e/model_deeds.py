"""Manage messages that can be interrupted, as ``deeds.py`` has other actions."""

from __future__ import annotations

import json

from google.cloud.bigquery import QueryJob

from tests.e2e.deeds import Deed, nothing, tick, wait_for_its_job
from tests.e2e.world import SHIFTED_TABLE, World

FIRST, SECOND = 1, 2


def model_of(world: World, name: str) -> str:
    """Return the full name of a model of the world's dataset."""
    return f"{world.project}.{world.dataset}.{name}"


def import_version(world: World, name: str, version: int, **manifest: object) -> None:
    """Import a version of a model that adds the version's number."""
    files = {**world.shifter(version), "modeldrop.yaml": json.dumps({"files": 5, **manifest}).encode()}
    world.drop(files, name, str(version))
    world.event("model.imported", model=model_of(world, name), version=str(version))


def two_versions(world: World, name: str) -> None:
    import_version(world, name, FIRST)
    import_version(world, name, SECOND)


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
    import_version(world, name, FIRST)


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
    models = [each.model_id for each in world.bigquery.list_models(world.dataset)]
    assert [each for each in models if each.startswith(name)] == [name]


def register(world: World, name: str) -> None:
    manage(world, "register", name, name, id=name.replace("-", "_").lower(), aliases=["champion"])


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


MODEL_DEEDS = {
    "registering a model": Deed(
        "manage_model",
        one_version,
        register,
        check_registration,
        lost=lambda world, name: world.item("manage", "request", name) is None,
    ),
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
        lost=lambda world, name: world.item("manage", "request", name) is None,
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
        lost=lambda world, name: world.item("manage", "request", name) is None,
    ),
    "polling a candidate that fails its check": Deed(
        "poll_jobs", checked_candidate, tick, check_refused_candidate, by_event=False
    ),
}
