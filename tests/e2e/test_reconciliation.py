"""Drops without events are found, and work that is sent again is done again only if it failed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.deeds import SHIFT, ask, check_import, unseen, wait_for_its_job
from tests.e2e.world import World, fresh, shifted


def model_of(world: World, name: str) -> str:
    return f"{world.project}.{world.dataset}.{name}"


@pytest.mark.long
def test_a_drop_whose_events_are_lost_for_good_is_found(world: World) -> None:
    """A drop from before the deployment is the same case: it never has an event."""
    world.reconcile()
    names = [fresh("lost") for _ in range(3)]
    for name in names:
        unseen(world, name)
    world.tick()
    assert [world.imports_of(name) for name in names] == [[], [], []]

    summary = world.reconcile()
    world.quiet()

    assert summary["drops_found"] >= 3
    for name in names:
        check_import(world, name)
    assert world.reconcile()["drops_found"] == 0


@pytest.mark.matrix
def test_a_file_that_changed_and_whose_event_is_lost_is_found(world: World) -> None:
    name = fresh("changed")
    world.drop(world.shifter(SHIFT), name)
    world.event("model.imported", model=model_of(world, name))
    with world.faults({"service": "eventarc", "receiver": "import_model", "do": {"drop": True}}):
        world.drop({"assets/shift.txt": b"shift\t31\n"}, name)
        world.delivered()
    world.reconcile()
    world.until(lambda: world.shift_of(name) == 31)
    world.quiet()
    assert len(world.imports_of(name)) == 2


def failing(world: World, name: str) -> str:
    """Drop a model that cannot be imported as long as there is no dataset for it; return its path once it has failed."""
    path = world.drop(world.shifter(SHIFT), name, dataset=f"of_{name}")
    world.event("model.import_failed", path=path)
    return path


@pytest.mark.long
def test_a_message_imports_a_failed_drop_again(world: World) -> None:
    name = fresh("again")
    path = failing(world, name)
    dataset = world.make_dataset(f"of_{name}", "US")

    world.publish("MODELS_TOPIC", {"action": "import", "path": path})
    imported = world.event("model.imported", path=path)
    world.delivered()
    world.quiet()

    assert imported.data["model"] == f"{world.project}.{dataset}.{name}"
    assert len(world.imports_of(name)) == 1
    assert len(world.ids("model.import_failed", path=path)) == 1


@pytest.mark.long
def test_a_message_for_an_imported_drop_runs_nothing_and_repeats_the_event(world: World) -> None:
    name = fresh("published")
    path = world.drop(world.shifter(SHIFT), name)
    first = world.event("model.imported", path=path)
    world.publish("MODELS_TOPIC", {"action": "import", "path": path})
    world.until(lambda: len(world.events.all("model.imported", path=path)) == 2)

    assert world.ids("model.imported", path=path) == {first.id}
    assert len(world.imports_of(name)) == 1


@pytest.mark.matrix
def test_a_message_imports_a_drop_without_events(world: World) -> None:
    name = fresh("unseen")
    unseen(world, name)
    world.publish("MODELS_TOPIC", {"action": "import", "path": f"gs://{world.models.name}/{world.dataset}/{name}/1/"})
    world.event("model.imported", model=model_of(world, name))
    world.quiet()
    check_import(world, name)


def test_work_whose_item_and_index_object_were_deleted_is_reported_from_its_job(world: World, shifter: str) -> None:
    name = fresh("deleted")
    ask(world, name)
    wait_for_its_job(world, "predict", name)
    item = world.item("predict", "request", name)
    assert item is not None
    key = item["key"]
    for object_name in (f"ledger/items/predict/{key}.json", f"ledger/pending/predict/{key}"):
        world.state.blob(object_name).delete()

    for _ in range(2):
        world.reconcile()
    stuck = world.event("job.stuck", key=key)
    world.quiet()

    assert (stuck.data["error"]["code"], stuck.data["kind"]) == ("item_missing", "predict")
    assert stuck.data["job"] == {"system": "bigquery", "id": f"{key}-predict-1", "location": item["location"]}
    assert len(world.events.all("job.stuck", key=key)) == 1


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"action": "import"}, "path"),
        ({"action": "explode", "path": "x"}, "action"),
        ({"action": "import", "path": "gs://elsewhere/a/b/1/"}, "path"),
        ({"action": "import", "path": "PATH"}, "path"),
    ],
)
def test_a_message_without_a_drop_is_rejected(world: World, message: dict[str, Any], field: str) -> None:
    request_id = fresh("rejected")
    if message.get("path") == "PATH":
        message = {**message, "path": f"gs://{world.models.name}/{world.dataset}/nobody/1/"}
    world.publish("MODELS_TOPIC", {**message, "request_id": request_id})
    rejected = world.event("request.rejected", request_id=request_id)
    assert rejected.data["error"]["field"] == field


def test_a_failed_request_can_be_sent_again_and_succeed(world: World, shifter: str) -> None:
    name = fresh("failed")
    # BigQuery refuses at the end of the job: the table exists, and the request wants an empty one.
    world.load(f"{world.dataset}.{name}", [{"x": 1.0}])
    world.ask("seven", name, name)
    failed = world.event("prediction.failed", request_id=name)
    world.quiet()
    world.bigquery.delete_table(f"{world.dataset}.{name}")

    world.ask("seven", name, name)
    succeeded = world.event("prediction.succeeded", request_id=name)
    world.delivered()
    world.quiet()

    assert failed.data["key"] == succeeded.data["key"]
    assert failed.data["job"]["id"] != succeeded.data["job"]["id"]
    assert shifted(world.rows(f"{world.dataset}.{name}")) == {7}
    assert len(world.rows(f"{world.dataset}.{name}")) == 10


def test_a_rejected_request_can_be_sent_again_and_succeed(world: World, shifter: str) -> None:
    name = fresh("rejected")
    message = world.prediction("seven", name, name, input={"table": f"{world.dataset}.{name}_in"})
    world.publish("PREDICT_TOPIC", message)
    world.event("request.rejected", request_id=name)
    world.load(f"{world.dataset}.{name}_in", [{"x": 1.0}])

    world.publish("PREDICT_TOPIC", message)
    world.event("prediction.succeeded", request_id=name)
    world.quiet()

    assert shifted(world.rows(f"{world.dataset}.{name}")) == {7}


@pytest.mark.matrix
def test_a_failed_batch_can_be_sent_again_and_succeed(world: World) -> None:
    name = fresh("failed")
    world.publish("BATCH_TOPIC", world.batch(name, name))
    world.delivered()
    item = world.item("batch", "request", name)
    assert item is not None
    (job,) = world.until(lambda: world.batches(item["key"]))
    world.cloud.vertex.force_state(job["name"], "JOB_STATE_FAILED")
    world.event("batch.failed", request_id=name)
    world.quiet()

    world.publish("BATCH_TOPIC", world.batch(name, name))
    world.event("batch.succeeded", request_id=name)
    world.delivered()
    world.quiet()

    states = sorted(job["state"] for job in world.batches(item["key"]))
    assert states == ["JOB_STATE_FAILED", "JOB_STATE_SUCCEEDED"]
    assert len(world.rows(f"{world.regional}.{name}")) == 3
