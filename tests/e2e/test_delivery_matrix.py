"""Events come twice, late or in another order, answers are lost, requests meet: the outcome is the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from shared.keys import hash_of
from tests.e2e.deeds import (
    SHIFT,
    answered,
    ask,
    asked_and_done,
    check_batch,
    check_import,
    check_prediction,
    importing,
    publish_batch,
    settled,
    upload_all_but_one,
    upload_the_last,
    with_requests,
)
from tests.e2e.world import (
    World,
    fresh,
    shifted,
    together,
)
from tests.waiting import wait_until


def drop_all(world: World, name: str) -> None:
    world.drop(world.shifter(SHIFT), name, seed=5)


# For each function: an action that triggers it by an event, and the check that it took effect once.
WORKS: dict[str, tuple[Callable[[World, str], None], Callable[[World, str], None]]] = {
    "import_model": (drop_all, check_import),
    "predict": (ask, check_prediction),
    "submit_batch_message": (publish_batch, check_batch),
}
EVERY_FUNCTION = pytest.mark.parametrize(
    "function", ["predict", *(pytest.param(name, marks=pytest.mark.long) for name in WORKS if name != "predict")]
)


def done(world: World, function: str, name: str) -> None:
    """Let the poller finish, look for drops once more, and check the outcome."""
    world.delivered()
    world.quiet()
    world.reconcile()
    world.quiet()
    WORKS[function][1](world, name)


@EVERY_FUNCTION
@pytest.mark.parametrize("disturbance", ["duplicate", pytest.param("lose_acknowledgement", marks=pytest.mark.matrix)])
def test_an_event_that_comes_twice_is_processed_once(
    world: World, shifter: str, function: str, disturbance: str
) -> None:
    name = fresh("twice")
    with world.faults({"service": "eventarc", "receiver": function, "times": 5, "do": {disturbance: True}}):
        WORKS[function][0](world, name)
        world.delivered()
        assert world.faults_met() != [0]
    done(world, function, name)


@pytest.mark.parametrize("function", ["predict", pytest.param("submit_batch_message", marks=pytest.mark.matrix)])
@pytest.mark.long
def test_a_request_sent_several_times_at_once_is_processed_once(world: World, shifter: str, function: str) -> None:
    name = fresh("crowd")
    together(*[partial(WORKS[function][0], world, name)] * 4)
    done(world, function, name)


@pytest.mark.matrix
def test_an_event_that_comes_after_the_import_has_ended_changes_nothing(world: World) -> None:
    name = fresh("late")
    # One file's event is held up for longer than the whole import takes.
    with world.faults({"service": "eventarc", "receiver": "import_model", "nth": 2, "do": {"delay_seconds": 6}}):
        drop_all(world, name)
        world.event("model.imported", model=f"{world.project}.{world.dataset}.{name}")
        assert world.faults_met() == [1]
        world.delivered()
    done(world, "import_model", name)
    assert len(world.events.all("model.imported", model=f"{world.project}.{world.dataset}.{name}")) == 1


@pytest.mark.parametrize("function", ["predict", pytest.param("submit_batch_message", marks=pytest.mark.matrix)])
@pytest.mark.long
def test_a_message_that_comes_after_the_job_ended_repeats_the_event_with_its_id(
    world: World, shifter: str, function: str
) -> None:
    name = fresh("again")
    WORKS[function][0](world, name)
    world.delivered()
    world.quiet()
    (first,) = world.until(lambda: world.events.all(request_id=name), ticking=False)

    WORKS[function][0](world, name)
    world.until(lambda: len(world.events.all(request_id=name)) == 2, ticking=False)

    done(world, function, name)
    assert world.ids(first.type, request_id=name) == {first.id}


@pytest.mark.matrix
def test_a_slow_message_does_not_delay_others(world: World, shifter: str) -> None:
    first_write = {"caller": "predict", "method": "storage.objects.insert", "nth": 1}

    def ask_others_while_one_waits() -> list[str]:
        slow, others = fresh("slow"), [fresh("quick") for _ in range(6)]
        with world.faults({**first_write, "do": {"delay_seconds": 15}}):
            ask(world, slow)
            world.until(lambda: world.faults_met() == [1], ticking=False)
            for name in others:
                ask(world, name)
            world.until(lambda: all(world.ids("prediction.succeeded", request_id=name) for name in others))
            still_waits = world.item("predict", "request", slow) is None
            world.delivered()
        return [slow, *others] if still_waits else []

    # On a busy machine the others may take longer than the delay; then the attempt shows nothing.
    for name in wait_until(ask_others_while_one_waits):
        done(world, "predict", name)


@pytest.mark.matrix
def test_messages_in_reverse_order_are_all_processed(world: World, shifter: str) -> None:
    names = [fresh("reverse") for _ in range(4)]
    with world.faults(
        {"service": "eventarc", "receiver": "predict", "nth": 1, "do": {"reorder": 3}},
        {"service": "eventarc", "receiver": "predict", "nth": 2, "do": {"reorder": 2}},
        {"service": "eventarc", "receiver": "predict", "nth": 3, "do": {"reorder": 1}},
    ):
        for name in names:
            ask(world, name)
        world.delivered()
    for name in names:
        done(world, "predict", name)


@pytest.mark.long
def test_a_drops_events_in_reverse_order_are_one_import(world: World) -> None:
    name = fresh("backwards")
    count = len(world.shifter(SHIFT))
    with world.faults(
        *[
            {"service": "eventarc", "receiver": "import_model", "nth": n, "do": {"reorder": count - n}}
            for n in range(1, count)
        ]
    ):
        drop_all(world, name)
        world.delivered()
    done(world, "import_model", name)


@pytest.mark.parametrize(
    ("prepare", "check"),
    [
        (settled, check_import),
        pytest.param(importing, check_import, marks=pytest.mark.matrix),
        (asked_and_done, check_prediction),
        pytest.param(with_requests, check_batch, marks=pytest.mark.matrix),
        (answered, check_batch),
    ],
)
@pytest.mark.long
def test_two_ticks_at_once_do_everything_once(
    world: World, shifter: str, prepare: Callable[[World, str], None], check: Callable[[World, str], None]
) -> None:
    name = fresh("ticks")
    prepare(world, name)
    together(world.tick, world.tick, world.tick)
    world.quiet()
    check(world, name)


@pytest.mark.parametrize("function", ["predict", pytest.param("submit_batch_message", marks=pytest.mark.matrix)])
def test_the_same_request_id_with_another_payload_is_rejected_and_the_first_unaffected(
    world: World, shifter: str, function: str
) -> None:
    name = fresh("reused")
    WORKS[function][0](world, name)
    world.delivered()
    if function == "predict":
        world.ask("seven", name, name, output={"write": "truncate"})
    else:
        world.publish("BATCH_TOPIC", world.batch(name, name, model="gemini-2.5-pro"))
    rejected = world.until(lambda: world.events.all("request.rejected", request_id=name))
    world.delivered()
    world.quiet()

    assert [event.data["error"]["field"] for event in rejected] == ["request_id"]
    types = ("prediction.succeeded", "batch.succeeded")
    assert len(world.ids(*types, request_id=name)) == 1
    assert len(world.events.all("request.rejected", request_id=name)) == 1
    table = f"{world.dataset if function == 'predict' else world.regional}.{name}"
    assert len(world.rows(table)) == (10 if function == "predict" else 3)


@pytest.mark.parametrize(
    "versions",
    [("10", "9"), *[pytest.param(each, marks=pytest.mark.matrix) for each in (("1", "2"), ("b", "a"), ("7", "z"))]],
)
@pytest.mark.long
def test_of_two_versions_at_once_the_higher_one_remains(world: World, versions: tuple[str, str]) -> None:
    name = fresh("versions")
    model = f"{world.project}.{world.dataset}.{name}"
    higher = {"1": "2", "10": "10", "b": "b", "7": "7"}[versions[0]]
    shifts = {version: 20 + number for number, version in enumerate(versions)}

    together(*[partial(world.drop, world.shifter(shifts[each]), name, each, seed=2) for each in versions])
    world.event("model.imported", model=model, version=higher)
    world.delivered()
    world.quiet()

    assert world.shift_of(name) == shifts[higher]
    (lower,) = set(versions) - {higher}
    assert len(world.ids("model.imported", "model.import_failed", model=model, version=lower)) == 1


@pytest.mark.parametrize(
    "running", [True, pytest.param(False, marks=pytest.mark.matrix)], ids=["running", "ended and not yet polled"]
)
@pytest.mark.long
def test_a_drop_that_is_overwritten_while_it_is_imported_is_imported_again(world: World, running: bool) -> None:
    name = fresh("overwritten")
    model = f"{world.project}.{world.dataset}.{name}"
    if running:
        upload_all_but_one(world, name, counted=True)
        with world.faults({"method": "bigquery.jobs.run", "do": {"delay_seconds": 60}}):
            upload_the_last(world, name)
            world.delivered()
            world.drop({"assets/shift.txt": b"shift\t77\n"}, name)
            world.delivered()
            world.tick()
            assert [job.state for job in world.imports_of(name)] == ["RUNNING"]
    else:
        importing(world, name)
        world.drop({"assets/shift.txt": b"shift\t77\n"}, name)
    failed = world.event("model.import_failed", model=model)
    imported = world.event("model.imported", model=model)
    world.delivered()
    world.quiet()

    assert failed.data["error"]["code"] == "drop_changed"
    assert failed.data["fingerprint"] != imported.data["fingerprint"]
    assert world.shift_of(name) == 77
    assert len(world.imports_of(name)) == 2
    assert len(world.events.all(model=model)) == 2


@pytest.mark.matrix
def test_a_drop_that_is_overwritten_after_its_import_is_imported_again(world: World) -> None:
    name = fresh("overwritten")
    model = f"{world.project}.{world.dataset}.{name}"
    drop_all(world, name)
    done(world, "import_model", name)
    world.drop({"assets/shift.txt": b"shift\t79\n"}, name)
    world.until(lambda: len(world.ids("model.imported", model=model)) == 2)
    world.quiet()
    assert world.shift_of(name) == 79
    assert len(world.imports_of(name)) == 2


@pytest.mark.matrix
def test_a_drop_that_is_overwritten_and_whose_event_is_lost_is_imported_again(world: World) -> None:
    name = fresh("overwritten")
    model = f"{world.project}.{world.dataset}.{name}"
    importing(world, name)
    with world.faults({"service": "eventarc", "receiver": "import_model", "do": {"drop": True}}):
        world.drop({"assets/shift.txt": b"shift\t78\n"}, name)
        world.delivered()
    world.event("model.imported", model=model)
    world.quiet()
    assert world.shift_of(name) == 78


@pytest.mark.long
def test_a_prediction_waits_for_a_model_whose_drop_is_being_uploaded(world: World) -> None:
    name = fresh("early")
    upload_all_but_one(world, name, counted=False)
    request_id = fresh("early")
    world.ask(name, request_id, request_id)
    world.delivered()
    item = world.item("predict", "request", request_id)
    assert item is not None
    assert item["waits_for"] == "model"

    upload_the_last(world, name)
    world.event("prediction.succeeded", request_id=request_id)
    world.quiet()

    assert shifted(world.rows(f"{world.dataset}.{request_id}")) == {SHIFT}
    assert len(world.events.all(request_id=request_id)) == 1


# Which writes of the ledger, jobs and so on; `make test` has those of one function each.
LOST_ANSWERS = (
    ("storage.objects.insert", (1, 3)),
    ("storage.objects.insert", (1, 2, 3, 4, 5)),
    ("storage.objects.delete", (1,)),
    ("bigquery.jobs.insert", (1, 2)),
    ("aiplatform.projects.locations.batchPredictionJobs.create", (1,)),
    ("pubsub.projects.topics.publish", (1,)),
)
LOST_IN_SHORT = {
    ("predict", LOST_ANSWERS[-1]),
    ("import_model", LOST_ANSWERS[3]),
    ("submit_batch_message", LOST_ANSWERS[4]),
}


@pytest.mark.parametrize(
    ("function", "method", "nth"),
    [
        pytest.param(function, *lost, marks=() if (function, lost) in LOST_IN_SHORT else pytest.mark.matrix)
        for function in WORKS
        for lost in LOST_ANSWERS
    ],
)
@pytest.mark.long
def test_a_call_whose_answer_is_lost_takes_effect_once(
    world: World, shifter: str, function: str, method: str, nth: tuple[int, ...]
) -> None:
    name = fresh("unanswered")
    with world.faults(
        *[
            {"caller": caller, "method": method, "nth": list(nth), "do": {"lose_answer": True}}
            for caller in (function, "poll_jobs")
        ]
    ):
        WORKS[function][0](world, name)
        world.delivered()
        world.quiet()
    done(world, function, name)


def test_a_claim_whose_answer_is_lost_is_recognized_as_the_calls_own(world: World, shifter: str) -> None:
    name = fresh("owner")
    # The index object is the first thing that is written, the item with the claim the second.
    with world.faults({"caller": "predict", "method": "storage.objects.insert", "nth": 2, "do": {"lose_answer": True}}):
        ask(world, name)
        world.delivered()
        assert world.faults_met() == [1]
    item = world.item("predict", "request", name)

    # The call that made the claim continues; nothing waits until the claim expires.
    assert item is not None
    assert item["steps"][0]["state"] == "submitted"
    done(world, "predict", name)


def test_a_job_id_that_is_taken_by_another_request_is_not_adopted(world: World, shifter: str) -> None:
    name = fresh("taken")
    job_id = f"{hash_of('predict', 'request', name)}-predict-1"
    world.bigquery.query("SELECT 1", job_id=job_id, location="US", job_retry=None).result()
    ask(world, name)
    rejected = world.event("request.rejected", request_id=name)
    world.quiet()
    assert rejected.data["error"]["code"] == "job_id_taken"
    assert world.rows(f"{world.dataset}.{name}") == []


@pytest.mark.parametrize(
    "function", ["predict", *(pytest.param(name, marks=pytest.mark.matrix) for name in WORKS if name != "predict")]
)
def test_an_event_that_pubsub_refuses_is_published_later(world: World, shifter: str, function: str) -> None:
    name = fresh("unpublished")
    with world.faults(
        {"caller": "poll_jobs", "method": "pubsub.projects.topics.publish", "times": 1, "do": {"status": 403}}
    ):
        WORKS[function][0](world, name)
        world.until(lambda: world.faults_met() == [1])
    done(world, function, name)


@pytest.mark.long
def test_a_rejection_that_pubsub_refuses_is_published_with_the_next_delivery(world: World) -> None:
    name = fresh("unpublished")
    with world.faults(
        {"caller": "predict", "method": "pubsub.projects.topics.publish", "times": 1, "do": {"status": 403}}
    ):
        world.publish("PREDICT_TOPIC", {"request_id": name})
        world.delivered()
        assert world.faults_met() == [1]
    world.until(lambda: world.events.all("request.rejected", request_id=name), ticking=False)


@pytest.mark.matrix
def test_the_chain_works_with_one_write_per_object_and_second(world: World, shifter: str) -> None:
    names = {function: fresh("slow") for function in WORKS}
    world.limit(storage_writes_per_second=1)
    for function, name in names.items():
        WORKS[function][0](world, name)
    world.delivered()
    world.quiet()
    world.quotas_lifted()
    for function, name in names.items():
        done(world, function, name)
