"""Something happens between two calls of a function: nothing is lost, and no outcome changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from tests.e2e.deeds import (
    LEASE_SECONDS,
    SHIFT,
    ask,
    check_batch,
    check_prediction,
    importing,
    publish_requests,
    settled,
    upload_all_but_one,
    wait_for_its_job,
)
from tests.e2e.world import (
    World,
    fresh,
    shifted,
    together,
)
from tests.waiting import in_time, wait_until

KILLED_AFTER_PUBLISHING = {
    "method": "pubsub.projects.topics.publish",
    "nth": 1,
    "when": "after",
    "do": {"kill": True},
}
LATE_REMOVAL = {"caller": "poll_jobs", "method": "storage.objects.delete", "nth": 1, "do": {"delay_seconds": 4}}


def model_of(world: World, name: str) -> str:
    return f"{world.project}.{world.dataset}.{name}"


@pytest.mark.long
def test_an_outcome_published_before_a_crash_does_not_change(world: World) -> None:
    name = fresh("published")
    importing(world, name)
    with world.faults({"caller": "poll_jobs", **KILLED_AFTER_PUBLISHING}):
        world.tick()
        assert world.faults_met() == [1]
    world.ready()
    # The drop no longer has the files that were imported.
    world.drop({"assets/shift.txt": b"shift\t41\n"}, name)
    world.until(lambda: world.shift_of(name) == 41)
    world.quiet()
    assert world.ids("model.import_failed", model=model_of(world, name)) == set()
    assert len(world.ids("model.imported", model=model_of(world, name))) == 2


@pytest.mark.matrix
def test_a_rejection_published_before_a_crash_holds_even_if_the_model_appears(world: World) -> None:
    name = fresh("refused")
    with world.faults(
        {"caller": "predict", **KILLED_AFTER_PUBLISHING},
        {"service": "eventarc", "receiver": "predict", "nth": [*range(2, 50)], "do": {"drop": True}},
    ):
        world.ask(name, name, name)
        world.delivered()
        assert world.faults_met()[0] == 1
    world.ready()
    world.drop(world.shifter(SHIFT), name)
    world.event("model.imported", model=model_of(world, name))
    world.quiet()
    assert world.ids("prediction.succeeded", request_id=name) == set()
    assert len(world.ids("request.rejected", request_id=name)) == 1
    assert world.rows(f"{world.dataset}.{name}") == []


@pytest.mark.matrix
def test_a_drop_overwritten_while_its_watch_ends_is_imported_again(world: World) -> None:
    name = fresh("put_away")
    settled(world, name)
    with world.faults(LATE_REMOVAL):
        together(
            world.tick,
            lambda: (
                world.until(lambda: world.faults_met() == [1], ticking=False),
                world.drop({"assets/shift.txt": b"shift\t42\n"}, name),
                world.delivered(),
            ),
        )
    world.until(lambda: world.shift_of(name) == 42)
    world.quiet()


@pytest.mark.long
def test_a_failed_request_sent_again_while_its_index_object_is_deleted_is_done(world: World, shifter: str) -> None:
    name = fresh("sent_again")
    fails = {"method": "bigquery.jobs.run", "times": 1, "do": {"status": 400, "reason": "invalidQuery"}}
    with world.faults(fails, LATE_REMOVAL):
        ask(world, name)
        world.delivered()

        def send_again() -> None:
            world.until(lambda: world.faults_met() == [1, 1], ticking=False)
            ask(world, name)
            world.delivered()

        together(lambda: world.until(lambda: world.ids("prediction.failed", request_id=name)), send_again)
    world.event("prediction.succeeded", request_id=name)
    world.quiet()
    assert len(world.rows(f"{world.dataset}.{name}")) == 10


@pytest.mark.matrix
def test_a_new_index_object_of_ended_work_is_kept_for_a_lease(world: World, shifter: str) -> None:
    name = fresh("index")
    ask(world, name)
    world.quiet()
    check_prediction(world, name)
    item = world.item("predict", "request", name)
    assert item is not None
    key = item["key"]

    def pending_after_a_tick() -> set[str]:
        world.state.blob(f"ledger/pending/predict/{key}").upload_from_string(b"")
        world.tick()
        return world.pending()

    assert in_time(LEASE_SECONDS, pending_after_a_tick) == {f"predict/{key}"}
    world.quiet()


@pytest.mark.long
def test_open_work_without_its_index_object_is_found(world: World, shifter: str) -> None:
    name = fresh("index")
    ask(world, name)
    world.delivered()
    item = world.item("predict", "request", name)
    assert item is not None
    world.state.blob(f"ledger/pending/predict/{item['key']}").delete()
    world.tick()
    assert world.events.all(request_id=name) == []

    def is_found() -> bool:
        world.reconcile()
        return bool(world.events.all(request_id=name))

    # The poller leaves alone items that were written less than a lease ago.
    world.until(is_found)
    world.quiet()
    check_prediction(world, name)


@pytest.mark.matrix
def test_a_prediction_waits_for_a_target_named_by_a_manifest_that_comes_last(world: World) -> None:
    name, target, request_id = fresh("path"), fresh("target"), fresh("asked")
    upload_all_but_one(world, name, counted=False)
    world.drop({"modeldrop.yaml": f"target: {world.dataset}.{target}\n".encode()}, name)
    world.delivered()
    world.ask(target, request_id, request_id)
    world.event("prediction.succeeded", request_id=request_id)
    world.quiet()
    assert len(world.rows(f"{world.dataset}.{request_id}")) == 10


@pytest.mark.long
def test_a_prediction_waits_for_a_target_whose_drop_is_not_watched_yet(world: World) -> None:
    name, target, request_id = fresh("path"), fresh("target"), fresh("asked")
    files = {**world.shifter(SHIFT), "modeldrop.yaml": f"files: 5\ntarget: {world.dataset}.{target}\n".encode()}
    with world.faults({"service": "eventarc", "receiver": "import_model", "do": {"drop": True}}):
        world.drop(files, name)
        world.ask(target, request_id, request_id)
        world.delivered()
    item = world.item("predict", "request", request_id)
    assert item is not None
    assert item["waits_for"] == "model"
    world.reconcile()
    world.event("prediction.succeeded", request_id=request_id)
    world.quiet()
    assert len(world.rows(f"{world.dataset}.{request_id}")) == 10


@pytest.mark.matrix
def test_a_prediction_whose_input_is_deleted_after_a_crash_is_reported_as_it_ended(world: World, shifter: str) -> None:
    name = fresh("gone")
    world.bigquery.query(f"CREATE TABLE {world.dataset}.{name}_input AS SELECT 1.0 AS x").result()
    with world.faults(
        {"caller": "predict", "method": "bigquery.jobs.insert", "nth": 2, "when": "after", "do": {"kill": True}},
        {"service": "eventarc", "receiver": "predict", "nth": [*range(2, 50)], "do": {"drop": True}},
    ):
        world.ask("seven", name, name, input={"table": f"{world.dataset}.{name}_input"})
        world.delivered()
        assert world.faults_met()[0] == 1
    world.until(lambda: len(world.rows(f"{world.dataset}.{name}")) == 1, ticking=False)
    world.bigquery.delete_table(f"{world.dataset}.{name}_input")
    world.ready()
    world.event("prediction.succeeded", request_id=name)
    world.quiet()
    assert world.ids("request.rejected", request_id=name) == set()
    assert len(world.rows(f"{world.dataset}.{name}")) == 1


@pytest.mark.long
def test_a_prediction_event_names_the_version_that_made_its_rows(world: World) -> None:
    name, first, second = fresh("versions"), fresh("by_1"), fresh("by_2")
    world.drop(world.shifter(1), name, "1")
    world.event("model.imported", model=model_of(world, name))
    world.quiet()
    world.ask(name, first, first)
    wait_for_its_job(world, "predict", first)
    world.drop({**world.shifter(2), "modeldrop.yaml": b"files: 5\n"}, name, "2")
    world.delivered()
    world.until(lambda: len(world.imports_of(name)) == 2)
    world.until(lambda: world.shift_of(name) == 2, ticking=False)
    # The poller has not seen yet that its import has ended.
    world.ask(name, second, second)
    world.delivered()
    versions = [world.event("prediction.succeeded", request_id=each).data["model_version"] for each in (first, second)]
    world.quiet()

    assert [shifted(world.rows(f"{world.dataset}.{each}")) for each in (first, second)] == [{1}, {2}]
    assert versions == ["1", "2"]


@pytest.mark.matrix
def test_a_prediction_event_names_the_version_imported_just_before_its_job(world: World) -> None:
    def import_before_the_job_begins() -> str:
        name, request_id = fresh("versions"), fresh("asked")
        world.drop(world.shifter(1), name, "1")
        world.event("model.imported", model=model_of(world, name))
        world.quiet()
        # The first is the dry run.
        late = {"caller": "predict", "method": "bigquery.jobs.insert", "nth": 2, "do": {"delay_seconds": 10}}
        with world.faults(late):
            world.ask(name, request_id, request_id)
            world.until(lambda: world.faults_met() == [1], ticking=False)
            world.drop({**world.shifter(2), "modeldrop.yaml": b"files: 5\n"}, name, "2")
            world.until(lambda: world.shift_of(name) == 2, ticking=False)
            has_not_begun = world.rows(f"{world.dataset}.{request_id}") == []
            world.delivered()
        return request_id if has_not_begun else ""

    # On a busy machine the job may begin first; then the attempt shows nothing.
    request_id = wait_until(import_before_the_job_begins)
    succeeded = world.event("prediction.succeeded", request_id=request_id)
    world.quiet()

    assert shifted(world.rows(f"{world.dataset}.{request_id}")) == {2}
    assert succeeded.data["model_version"] == "2"


@pytest.mark.matrix
def test_a_prediction_waits_for_the_replacement_of_a_failed_drop(world: World) -> None:
    name, request_id = fresh("mended"), fresh("mended")
    world.drop({**world.shifter(SHIFT), "modeldrop.yaml": b"files: 5\nlabels: 7\n"}, name)
    world.event("model.import_failed", model=model_of(world, name))
    world.quiet()
    with world.faults({"service": "eventarc", "receiver": "import_model", "do": {"delay_seconds": 4}}):
        world.drop({"modeldrop.yaml": b"files: 5\n"}, name)
        world.ask(name, request_id, request_id)
        world.until(lambda: world.item("predict", "request", request_id), ticking=False)
    world.event("prediction.succeeded", request_id=request_id)
    world.quiet()
    assert len(world.rows(f"{world.dataset}.{request_id}")) == 10


@pytest.mark.long
def test_a_quota_error_after_the_batch_was_created_leads_to_one_batch(world: World) -> None:
    name = fresh("quota")
    create = "aiplatform.projects.locations.batchPredictionJobs.create"
    with world.faults({"method": create, "nth": 1, "when": "after", "do": {"status": 429}}):
        publish_requests(world, name)
        world.delivered()
        world.event("batch.succeeded", request_id=name)
    world.quiet()
    check_batch(world, name)


@pytest.fixture(scope="module")
def cautious(start_world: Callable[..., AbstractContextManager[World]]) -> Iterator[World]:
    """A world that imports a drop as a candidate first, and whose ledger keeps nothing that has ended.

    It looks for drops again soon if it could not.
    """
    settings = {"SAFE_IMPORT": "1", "LEDGER_RETENTION_DAYS": "0.00001", "POLL_BUDGET_SECONDS": "4"}
    with start_world("cautious", settings=settings) as world:
        yield world


def drop_described(world: World, name: str, version: str, shift: int) -> None:
    files = {**world.shifter(shift), "modeldrop.yaml": b"files: 5\ndescription: adds\n"}
    world.drop(files, name, version)


@pytest.mark.matrix
@pytest.mark.parametrize(("step", "nth", "remaining"), [("candidate", 1, 3), ("create", 2, 3), ("describe", 3, 9)])
def test_an_import_that_fails_half_way_leaves_no_candidate_and_no_lower_version(
    cautious: World, step: str, nth: int, remaining: int
) -> None:
    world, name = cautious, fresh("half_way")
    with world.faults({"method": "bigquery.jobs.run", "nth": nth, "do": {"status": 403, "reason": "accessDenied"}}):
        drop_described(world, name, "9", 9)
        failed = world.event("model.import_failed", model=model_of(world, name))
    drop_described(world, name, "3", 3)
    world.until(lambda: world.ids("model.imported", "model.import_failed", model=model_of(world, name), version="3"))
    world.quiet()

    assert failed.data["error"]["code"] == "accessDenied"
    # Version 3 came later: it replaces version 9 only if that was not created.
    assert world.shift_of(name) == remaining
    models = [model.model_id for model in world.bigquery.list_models(world.dataset)]
    assert [model for model in models if model.startswith(name)] == [name]


@pytest.mark.matrix
@pytest.mark.parametrize(
    "fault",
    [
        {"method": "storage.objects.insert", "nth": 1, "do": {"lose_answer": True}},
        {"method": "storage.objects.list", "nth": 1, "do": {"status": 403}},
        {"method": "storage.objects.list", "nth": 2, "do": {"kill": True}},
    ],
)
def test_a_failed_search_for_drops_is_repeated_soon(cautious: World, fault: dict[str, object]) -> None:
    world, name = cautious, fresh("unseen")
    with world.faults({"service": "eventarc", "receiver": "import_model", "do": {"drop": True}}):
        world.drop(world.shifter(SHIFT), name)
        world.delivered()
    with world.faults({"caller": "poll_jobs", **fault}):
        world.reconcile()
        assert world.faults_met() == [1]
    world.ready()
    world.event("model.imported", model=model_of(world, name))
    world.quiet()


@pytest.mark.matrix
def test_a_deletion_whose_answer_is_lost_does_not_stop_the_poller(cautious: World) -> None:
    world, name = cautious, fresh("forgotten")
    world.drop(world.shifter(7), name, seed=2)
    world.event("model.imported", model=model_of(world, name))
    world.ask(name, name, name)
    world.event("prediction.succeeded", request_id=name)
    world.quiet()
    with world.faults(
        {"caller": "poll_jobs", "method": "storage.objects.delete", "times": 1, "do": {"lose_answer": True}}
    ):
        world.until(lambda: "pending" in world.reconcile() and world.item("predict", "request", name) is None)
        assert world.faults_met() == [1]
