"""`modeldrop wait`: its exit codes."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import Problem
from shared.work import Outcome
from tests.example_requests import NOW, import_item, prediction_item
from tests.unit.modeldrop.conftest import Run, printed_json
from tests.unit.modeldrop.test_why import PATH, in_ledger, of_this_bucket, refuse
from tests.unit.shared.conftest import World

KEY = "a" * 32


@pytest.mark.parametrize(("outcome", "code"), [(Outcome.SUCCEEDED, 0), (Outcome.FAILED, 1)])
def test_the_exit_code_says_how_the_work_ended(world: World, run: Run, outcome: Outcome, code: int) -> None:
    in_ledger(world, prediction_item().end(outcome, NOW, Problem("invalidQuery", "Division by zero")))

    done = run("wait", KEY, "--json")

    assert (done.exit_code, printed_json(done)["outcome"]) == (code, outcome.value)


def test_a_rejected_request_fails_at_once(world: World, run: Run) -> None:
    refuse(world, "message-7")

    assert run("wait", "message-7").exit_code == 1


def test_an_object_outside_the_layout_fails_at_once(world: World, run: Run) -> None:
    world.models.blob("x.onnx").upload_from_string(b"x")
    bucket = world.services.settings.model_bucket

    assert run("wait", f"gs://{bucket}/x.onnx").exit_code == 1


@pytest.mark.parametrize("known", [True, False])
def test_work_that_does_not_end_in_time_has_an_exit_code_of_its_own(world: World, run: Run, known: bool) -> None:
    if known:
        in_ledger(world, prediction_item())

    done = run("wait", KEY, "--timeout", "0")

    assert done.exit_code == 3
    assert ("it is still open" if known else "nothing was found") in done.output


def test_an_import_that_ended_before_the_last_upload_does_not_count(world: World, run: Run) -> None:
    in_ledger(world, of_this_bucket(world, import_item()).end(Outcome.FAILED, world.services.now()))
    assert run("wait", "films/genres/2/").exit_code == 1
    world.pass_time(1)
    world.upload(PATH, "genres.onnx")

    assert run("wait", "films/genres/2/", "--timeout", "0").exit_code == 3


def test_a_rejected_prediction_does_not_count_for_its_model(world: World, run: Run) -> None:
    imported = in_ledger(world, import_item("b" * 32).end(Outcome.SUCCEEDED, NOW))
    later = prediction_item("c" * 32, created=NOW + timedelta(seconds=9))
    later = replace(later, request=replace(later.request, model=imported.request.model))
    in_ledger(world, later.end(Outcome.REJECTED, NOW + timedelta(seconds=9), Problem("invalidQuery", "no column x")))

    done = run("wait", imported.request.model.removeprefix("local-project."), "--json")

    assert (done.exit_code, printed_json(done)["outcome"]) == (0, "succeeded")


def test_it_waits_until_the_work_ends(world: World, run: Run) -> None:
    item = in_ledger(world, import_item())
    ended = replace(item.end(Outcome.SUCCEEDED, NOW), event_published=True)
    ending = threading.Timer(0.1, world.services.ledger.write, [ended])
    ending.start()

    assert run("wait", KEY, "--timeout", "60").exit_code == 0
    ending.join()
