"""Actions that can be interrupted. Each deed makes one function do its calls and checks the outcome."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests
from google.cloud.bigquery import QueryJob

from shared.keys import hash_of
from tests.e2e.conftest import SETTINGS
from tests.e2e.world import SHIFTED_TABLE, World, fresh, shifted

SHIFT = 5
SETTLE_SECONDS = float(SETTINGS["SETTLE_SECONDS"])
LEASE_SECONDS = float(SETTINGS["LEASE_SECONDS"])
NO_MORE_EVENTS = {"service": "eventarc", "receiver": "import_model", "do": {"drop": True}}


@dataclass(frozen=True)
class Deed:
    """One action, and the check that it took effect exactly once."""

    function: str
    """The function that works because of it."""
    prepare: Callable[[World, str], None]
    """Bring the world to the moment before the action, under a fresh name."""
    do: Callable[[World, str], None]
    check: Callable[[World, str], None]
    """Assert that the request took effect exactly once."""
    by_event: bool = True
    """Whether an event triggers the function; otherwise a caller triggers it and may call again."""
    lost: Callable[[World, str], bool] = lambda world, name: False
    """Whether the deed left no trace: the function wrote nothing before it ended, and is not triggered again."""


def nothing(world: World, name: str) -> None:
    """Do nothing."""


def wait_for_its_job(world: World, kind: str, name: str) -> None:
    """Wait until the only BigQuery job of a request has ended, without calling the poller."""
    world.delivered()
    item = world.item(kind, "request", name)
    assert item is not None
    world.until(lambda: [job.state for job in world.jobs(item["key"])] == ["DONE"], ticking=False)


# Imports

FILES_COUNTED = b"files: 5\n"


def upload_all_but_one(world: World, name: str, *, counted: bool) -> None:
    files = dict(world.shifter(SHIFT))
    del files["fingerprint.pb"]
    if counted:
        files["modeldrop.yaml"] = FILES_COUNTED
    with world.faults(NO_MORE_EVENTS):
        world.drop(files, name)
        world.delivered()


def upload_the_last(world: World, name: str) -> None:
    world.drop({"fingerprint.pb": world.shifter(SHIFT)["fingerprint.pb"]}, name)


def check_import(world: World, name: str) -> None:
    model = f"{world.project}.{world.dataset}.{name}"
    assert [job.error_result for job in world.imports_of(name)] == [None]
    assert world.shift_of(name) == SHIFT
    assert len(world.ids("model.imported", "model.import_failed", model=model)) == 1
    assert world.ids("model.import_failed", model=model) == set()


def settled(world: World, name: str) -> None:
    """Bring a drop to where the poller finds it settled."""
    upload_all_but_one(world, name, counted=False)
    upload_the_last(world, name)
    world.delivered()
    prefix = f"{world.dataset}/{name}/1/"
    world.until(lambda: world.age_of_drop(prefix) > SETTLE_SECONDS, ticking=False)


def importing(world: World, name: str) -> None:
    """Bring a drop to where its CREATE MODEL has ended, before the poller sees it."""
    upload_all_but_one(world, name, counted=True)
    upload_the_last(world, name)
    world.delivered()
    world.until(lambda: all(job.state == "DONE" for job in world.imports_of(name)), ticking=False)


DESCRIBED = b"files: 5\ndescription: adds a number\n"


def created(world: World, name: str) -> None:
    """Bring a drop with a description to where its CREATE MODEL has ended, and its ALTER MODEL is next."""
    with world.faults(NO_MORE_EVENTS):
        world.drop({**world.shifter(SHIFT), "modeldrop.yaml": DESCRIBED}, name)
        world.delivered()
    ask_for_import(world, name)
    world.delivered()
    world.until(lambda: [job.state for job in world.imports_of(name)] == ["DONE"], ticking=False)


def ask_for_import(world: World, name: str) -> None:
    path = f"gs://{world.models.name}/{world.dataset}/{name}/1/"
    world.publish("MODELS_TOPIC", {"action": "import", "path": path})


def check_described(world: World, name: str) -> None:
    check_import(world, name)
    assert world.bigquery.get_model(f"{world.dataset}.{name}").description == "adds a number"


def jobs_of_import(world: World, name: str) -> list[QueryJob]:
    """Return all jobs that created a model or its candidate."""
    jobs = [job for job in world.all_jobs() if isinstance(job, QueryJob) and f".{name}" in job.query]
    return [job for job in jobs if job.query.startswith("CREATE OR REPLACE MODEL")]


def candidate_made(world: World, name: str) -> None:
    """Bring a drop to where its candidate is created, before the poller sees it."""
    upload_all_but_one(world, name, counted=True)
    upload_the_last(world, name)
    world.delivered()
    world.until(lambda: [job.state for job in jobs_of_import(world, name)] == ["DONE"], ticking=False)


def promoted(world: World, name: str) -> None:
    """Bring a drop to where its candidate is valid and the model itself is created."""
    candidate_made(world, name)
    world.until(lambda: len(jobs_of_import(world, name)) == 2)
    world.until(lambda: all(job.state == "DONE" for job in jobs_of_import(world, name)), ticking=False)


def check_safe_import(world: World, name: str) -> None:
    check_import(world, name)
    assert len(jobs_of_import(world, name)) == 2
    models = [model.model_id for model in world.bigquery.list_models(world.dataset)]
    assert [model for model in models if model.startswith(name)] == [name]


def unseen(world: World, name: str) -> None:
    """Bring a drop to where it is settled in the bucket and all its events are lost."""
    with world.faults(NO_MORE_EVENTS):
        world.drop(world.shifter(SHIFT), name)
        world.delivered()
    world.until(lambda: world.age_of_drop(f"{world.dataset}/{name}/1/") > SETTLE_SECONDS, ticking=False)


def settled_with_a_damaged_watch(world: World, name: str) -> None:
    settled(world, name)
    key = hash_of("drop", f"{world.dataset}/{name}/1/")
    world.state.blob(f"ledger/items/drop/{key}.json").upload_from_string(b"{")


def importing_with_a_damaged_index_object(world: World, name: str) -> None:
    importing(world, name)
    indexed = [key for key in world.pending() if key.startswith("import/")]
    for key in indexed:
        blob = world.state.blob(f"ledger/pending/{key}")
        blob.metadata = {"due": "tomorrow"}
        blob.upload_from_string(b"")


def importing_with_a_damaged_record(world: World, name: str) -> None:
    importing(world, name)
    key = hash_of("model", f"{world.project}.{world.dataset}.{name}")
    world.state.blob(f"ledger/models/{key}.json").upload_from_string(b"{")


# Predictions


def ask(world: World, name: str) -> None:
    # Appended: a second job would show as more rows.
    world.ask("seven", name, name, output={"write": "append"})


def asked_and_done(world: World, name: str) -> None:
    """Bring a prediction to where its job has ended, before the poller sees it."""
    ask(world, name)
    wait_for_its_job(world, "predict", name)


def hand_out(world: World, name: str) -> None:
    """Publish the part of its work that the poller would hand out, with this prediction."""
    key = hash_of("predict", "request", name)
    blob = world.state.get_blob(f"ledger/pending/predict/{key}")
    assert blob is not None
    part = {
        "kind": "predict",
        "key": key,
        "generation": blob.generation,
        "written": blob.time_created.isoformat(),
        **blob.metadata,
    }
    world.publish("WORK_TOPIC", {"work": [part]})


SEVERAL = 4


def several_asked_and_done(world: World, name: str) -> None:
    """Bring several predictions to where their jobs have ended, before the poller sees them."""
    for number in range(SEVERAL):
        ask(world, f"{name}_{number}")
    for number in range(SEVERAL):
        wait_for_its_job(world, "predict", f"{name}_{number}")


def check_several(world: World, name: str) -> None:
    for number in range(SEVERAL):
        check_prediction(world, f"{name}_{number}")


def ask_to_merge(world: World, name: str) -> None:
    # BigQuery finds no row by a FLOAT64.
    query = f"SELECT CAST(x AS INT64) AS id, x FROM {world.dataset}.{SHIFTED_TABLE}"
    world.ask("seven", name, name, input={"query": query}, output={"write": "merge", "key": ["id"]})


def merge_prepared(world: World, name: str) -> None:
    """Bring a merge to where its table is created, before the poller sees it."""
    ask_to_merge(world, name)
    wait_for_its_job(world, "predict", name)


def check_prediction(world: World, name: str, *, jobs: int = 1) -> None:
    item = world.item("predict", "request", name)
    assert item is not None
    assert item["outcome"] == "succeeded"
    rows = world.rows(f"{world.dataset}.{name}")
    assert len(rows) == 10
    assert shifted(rows) == {7}
    assert len(world.jobs(item["key"])) == jobs
    assert len(world.ids("prediction.succeeded", "prediction.failed", "request.rejected", request_id=name)) == 1


def check_merge(world: World, name: str) -> None:
    # One job creates the table, the other one fills it.
    check_prediction(world, name, jobs=2)


# Batches


def post(world: World, name: str) -> None:
    with suppress(requests.ConnectionError):
        world.post_batch(world.batch(name, name))


def publish_batch(world: World, name: str, **more: Any) -> None:
    world.publish("BATCH_TOPIC", world.batch(name, name, **more))


def publish_requests(world: World, name: str) -> None:
    world.publish("BATCH_TOPIC", world.batch_of_requests(name, name))


def post_requests(world: World, name: str) -> None:
    with suppress(requests.ConnectionError):
        world.post_batch(world.batch_of_requests(name, name))


def with_requests(world: World, name: str, **more: Any) -> None:
    """Bring a batch to where the table of its requests is created, before the poller sees it."""
    publish_batch(world, name, **more)
    wait_for_its_job(world, "batch", name)


def checked(world: World, name: str) -> None:
    """Bring a batch to where the requests in its table are checked, before the poller sees it."""
    publish_requests(world, name)
    wait_for_its_job(world, "batch", name)


def answered(world: World, name: str, **more: Any) -> None:
    """Bring a batch to where its Vertex AI job has succeeded, before the poller sees it."""
    with_requests(world, name, **more)
    item = world.item("batch", "request", name)
    assert item is not None
    key = item["key"]
    world.until(lambda: world.batches(key))
    world.until(lambda: [job["state"] for job in world.batches(key)] == ["JOB_STATE_SUCCEEDED"], ticking=False)


def moving(world: World, name: str, **more: Any) -> None:
    """Bring a batch to where its answers were moved into the output, before the poller sees it."""
    answered(world, name, **more)
    item = world.item("batch", "request", name)
    assert item is not None
    move = f"{item['key']}-move-"
    world.until(lambda: [job for job in world.jobs(item["key"]) if job.job_id.startswith(move)])
    world.until(lambda: all(job.state == "DONE" for job in world.jobs(item["key"])), ticking=False)


def reviewed_with_a_failure(world: World, name: str) -> None:
    """Bring a batch to where its answers are counted and one has failed for a passing reason, before the poller sees it."""
    world.order({"text": "What is 1?", "status": 503, "times": 1})
    answered(world, name)
    item = world.item("batch", "request", name)
    assert item is not None
    review = f"{item['key']}-review-"
    world.until(lambda: [job for job in world.jobs(item["key"]) if job.job_id.startswith(review)])
    world.until(lambda: all(job.state == "DONE" for job in world.jobs(item["key"])), ticking=False)


def check_repeated(world: World, name: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert item["outcome"] == "succeeded"
    # One job for all rows, and one for the row that failed.
    paid = [job for job in world.batches(item["key"]) if job["state"] != "JOB_STATE_CANCELLED"]
    assert [job["state"] for job in paid] == ["JOB_STATE_SUCCEEDED"] * 2
    rows = world.rows(f"{world.regional}.{name}")
    assert sorted((row["id"], bool(row["status"])) for row in rows) == [(n, False) for n in range(3)]
    assert len(world.ids("batch.succeeded", "batch.partially_succeeded", request_id=name)) == 1


def check_batch(world: World, name: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert item["outcome"] == "succeeded"
    paid = [job for job in world.batches(item["key"]) if job["state"] != "JOB_STATE_CANCELLED"]
    assert [job["state"] for job in paid] == ["JOB_STATE_SUCCEEDED"]
    assert len(world.rows(f"{world.regional}.{name}")) == 3
    types = ("batch.succeeded", "batch.failed", "batch.cancelled", "batch.expired", "request.rejected")
    assert len(world.ids(*types, request_id=name)) == 1


def moving_with_results(world: World, name: str) -> None:
    """The same of a batch whose answers are taken apart afterwards."""
    moving(world, name, results={"table": f"{world.regional}.{name}_typed", "columns": {"answer": "STRING $"}})


def check_results(world: World, name: str) -> None:
    check_batch(world, name)
    rows = world.rows(f"{world.regional}.{name}_typed")
    assert sorted(row["id"] for row in rows) == [0, 1, 2]
    assert all(row["answer"] and not row["status"] for row in rows)


# Actions on a batch

BATCH_ENDS = ("batch.succeeded", "batch.partially_succeeded", "batch.failed", "batch.cancelled", "batch.expired")


def job_running(world: World, name: str) -> None:
    """Bring a batch to where its Vertex AI job runs until it is cancelled."""
    publish_requests(world, name)
    wait_for_its_job(world, "batch", name)
    item = world.item("batch", "request", name)
    assert item is not None
    (job,) = world.until(lambda: world.batches(item["key"]))
    world.cloud.vertex.force_state(job["name"], "JOB_STATE_RUNNING")


def ended_in_part(world: World, name: str) -> None:
    """Bring a batch to its end with a request that failed for good, and let that request be answered from now on."""
    world.order({"text": "What is 1?", "status": 400})
    publish_batch(world, name, output=appended(world, name))
    world.event("batch.partially_succeeded", request_id=name)
    world.quiet()
    world.order()


def ended_well(world: World, name: str) -> None:
    """Bring a batch that adds its answers to the output to its end."""
    publish_batch(world, name, output=appended(world, name))
    world.event("batch.succeeded", request_id=name)
    world.quiet()


def appended(world: World, name: str) -> dict[str, str]:
    """Return an output to which each run adds rows: a second run would show."""
    return {"table": f"bq://{world.project}.{world.regional}.{name}", "write": "append"}


def send_action(action: str) -> Callable[[World, str], None]:
    """Return the deed that publishes an action on a batch."""

    def send(world: World, name: str) -> None:
        world.publish("BATCH_TOPIC", {"action": action, "request_id": name})

    return send


def own_tables_of(world: World, key: str) -> list[str]:
    """Return the tables that Modeldrop has in the dataset of the output for a batch."""
    return [each.table_id for each in world.bigquery.list_tables(world.regional) if key in each.table_id]


def check_cancelled(world: World, name: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert item["outcome"] == "cancelled"
    assert [job["state"] for job in world.batches(item["key"])] == ["JOB_STATE_CANCELLED"]
    assert len(world.ids(*BATCH_ENDS, request_id=name)) == 1
    assert world.rows(f"{world.regional}.{name}") == []


def check_deleted(world: World, name: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert item["claim"] is None
    assert world.batches(item["key"]) == []
    assert own_tables_of(world, item["key"]) == []
    assert len(world.ids("batch.deleted", request_id=name)) == 1
    assert len(world.rows(f"{world.regional}.{name}")) == 3


def check_retried(world: World, name: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert (item["outcome"], item["run"]) == ("succeeded", 2)
    # One job for all rows, and one for the row that had failed.
    assert [job["state"] for job in world.batches(item["key"])] == ["JOB_STATE_SUCCEEDED"] * 2
    rows = world.rows(f"{world.regional}.{name}")
    assert sorted((row["id"], bool(row["status"])) for row in rows) == [(n, False) for n in range(3)]
    assert own_tables_of(world, item["key"]) == []
    assert len(world.ids(*BATCH_ENDS, request_id=name)) == 2


def check_resubmitted(world: World, name: str) -> None:
    item = world.item("batch", "request", name)
    assert item is not None
    assert (item["outcome"], item["run"]) == ("succeeded", 2)
    assert [job["state"] for job in world.batches(item["key"])] == ["JOB_STATE_SUCCEEDED"] * 2
    assert sorted(row["id"] for row in world.rows(f"{world.regional}.{name}")) == [0, 0, 1, 1, 2, 2]
    assert own_tables_of(world, item["key"]) == []
    assert len(world.ids("batch.succeeded", request_id=name)) == 2


def tick(world: World, name: str) -> None:
    world.tick()


def look_for_drops(world: World, name: str) -> None:
    world.reconcile()


DEEDS = {
    "watching a drop": Deed(
        "import_model",
        lambda world, name: upload_all_but_one(world, name, counted=False),
        upload_the_last,
        check_import,
    ),
    "importing a counted drop": Deed(
        "import_model",
        lambda world, name: upload_all_but_one(world, name, counted=True),
        upload_the_last,
        check_import,
    ),
    "predicting": Deed(
        "predict",
        nothing,
        ask,
        check_prediction,
        lost=lambda world, name: world.item("predict", "request", name) is None,
    ),
    "predicting into a merge": Deed(
        "predict",
        nothing,
        ask_to_merge,
        check_merge,
        lost=lambda world, name: world.item("predict", "request", name) is None,
    ),
    "asking for an import": Deed("manage_model", unseen, ask_for_import, check_import),
    "submitting a batch by message": Deed(
        "submit_batch_message",
        nothing,
        publish_batch,
        check_batch,
        lost=lambda world, name: world.item("batch", "request", name) is None,
    ),
    "submitting requests by message": Deed(
        "submit_batch_message",
        nothing,
        publish_requests,
        check_batch,
        lost=lambda world, name: world.item("batch", "request", name) is None,
    ),
    "submitting a batch over HTTP": Deed(
        "submit_batch",
        nothing,
        post,
        check_batch,
        by_event=False,
        lost=lambda world, name: world.item("batch", "request", name) is None,
    ),
    "submitting requests over HTTP": Deed(
        "submit_batch",
        nothing,
        post_requests,
        check_batch,
        by_event=False,
        lost=lambda world, name: world.item("batch", "request", name) is None,
    ),
    "polling a settled drop": Deed("poll_jobs", settled, tick, check_import, by_event=False),
    "polling an ended import": Deed("poll_jobs", importing, tick, check_import, by_event=False),
    "polling a damaged watch": Deed("poll_jobs", settled_with_a_damaged_watch, tick, check_import, by_event=False),
    "polling a damaged index object": Deed(
        "poll_jobs", importing_with_a_damaged_index_object, tick, check_import, by_event=False
    ),
    "polling a damaged record": Deed("poll_jobs", importing_with_a_damaged_record, tick, check_import, by_event=False),
    "polling an ended prediction": Deed("poll_jobs", asked_and_done, tick, check_prediction, by_event=False),
    "continuing a part": Deed("poll_part", asked_and_done, hand_out, check_prediction),
    "polling a prepared merge": Deed("poll_jobs", merge_prepared, tick, check_merge, by_event=False),
    "polling a created model": Deed("poll_jobs", created, tick, check_described, by_event=False),
    "polling checked requests": Deed("poll_jobs", checked, tick, check_batch, by_event=False),
    "polling a batch with its requests": Deed("poll_jobs", with_requests, tick, check_batch, by_event=False),
    "polling an ended batch": Deed("poll_jobs", answered, tick, check_batch, by_event=False),
    "polling failed rows": Deed("poll_jobs", reviewed_with_a_failure, tick, check_repeated, by_event=False),
    "polling moved answers": Deed("poll_jobs", moving, tick, check_batch, by_event=False),
    "polling answers before they are taken apart": Deed(
        "poll_jobs", moving_with_results, tick, check_results, by_event=False
    ),
    "looking for lost drops": Deed("poll_jobs", unseen, look_for_drops, check_import, by_event=False),
}

# Nothing but the message knows of an action before it changes the ledger, so these need their delivery to be repeated.
REDELIVERED_DEEDS = {
    "cancelling a batch": Deed("submit_batch_message", job_running, send_action("cancel"), check_cancelled),
    "deleting a batch": Deed("submit_batch_message", ended_in_part, send_action("delete"), check_deleted),
    "retrying failed rows": Deed(
        "submit_batch_message", ended_in_part, send_action("retry_failed_rows"), check_retried
    ),
    "resubmitting a batch": Deed("submit_batch_message", ended_well, send_action("resubmit"), check_resubmitted),
}


# In a world in which the poller keeps one prediction and hands out the others.
HANDED_OUT_DEEDS = {
    "handing out predictions": Deed("poll_jobs", several_asked_and_done, tick, check_several, by_event=False),
}


# In a world in which a drop is imported as a candidate first, by the call that notices it.
SAFE_DEEDS = {
    "waiting for a drop": Deed(
        "import_model",
        lambda world, name: upload_all_but_one(world, name, counted=False),
        upload_the_last,
        check_safe_import,
    ),
    "importing a candidate": Deed(
        "import_model",
        lambda world, name: upload_all_but_one(world, name, counted=True),
        upload_the_last,
        check_safe_import,
    ),
    "polling a candidate": Deed("poll_jobs", candidate_made, tick, check_safe_import, by_event=False),
    "polling a promoted model": Deed("poll_jobs", promoted, tick, check_safe_import, by_event=False),
}


def name_of(deed: str) -> str:
    """Return a fresh name for one time that ``deed`` is done."""
    return fresh(deed.split()[-1])
