"""The reconciliation: what it finds, and how often it runs. BigQuery and Vertex AI are not there."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from shared.drops.drop import DropPath
from shared.engine.index import INDEX
from shared.engine.refused import keep_rejection, listed_rejections
from shared.errors import Problem
from shared.events.outgoing import RefusedRequest, rejection_event
from shared.poller.reconciliation import RECONCILED, reconcile
from shared.poller.ticks import tick
from shared.work import Kind
from tests.example_requests import NOW
from tests.unit.shared.conftest import World
from tests.unit.shared.poller.open_work import ended_unpublished, prediction

PATH = DropPath("films", "genres", "2")
SETTLED = 30.0
TWO_MODELS = ("a.onnx", "b.onnx")


def test_a_drop_whose_events_were_lost_is_examined(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    assert reconcile(world.services) == 1
    tick(world.services)
    assert len(world.imports()) == 1


def test_the_reconciliation_runs_once_in_its_interval(world: World) -> None:
    reconcile(world.services)
    world.upload(PATH, *TWO_MODELS)
    assert reconcile(world.services) is None
    world.pass_time(world.services.settings.reconcile_seconds)
    assert reconcile(world.services) == 1


def test_a_drop_that_has_not_changed_is_not_examined_again(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.pass_time(SETTLED)
    reconcile(world.services)
    world.pass_time(world.services.settings.reconcile_seconds)
    assert reconcile(world.services) == 0


def test_a_reconciliation_that_another_call_has_begun_is_left_to_it(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    begun = {"done": None, "begun": world.services.now().isoformat()}
    world.services.ledger.objects.write(RECONCILED, begun, generation=0)
    assert reconcile(world.services) is None
    world.pass_time(world.services.settings.poll_budget_seconds)
    assert reconcile(world.services) == 1


def test_a_reconciliation_that_ran_out_of_time_is_repeated(world: World) -> None:
    world.upload(PATH, *TWO_MODELS)
    world.configure(poll_budget_seconds=0.0)
    assert reconcile(world.services) == 0
    world.configure(poll_budget_seconds=240.0)
    assert reconcile(world.services) == 1


def test_open_work_that_lacks_its_index_object_gets_it_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    ended_unpublished(world)
    world.state.blob(f"{INDEX}predict/{'a' * 32}").delete()
    world.pass_time(world.services.settings.lease_seconds + 1)
    reconcile(world.services)
    assert world.indexed() == {"a" * 32}
    assert json.loads(capsys.readouterr().err)["message"] == "open work had no index object"


def test_a_kept_rejection_is_forgotten_after_its_retention(world: World) -> None:
    refused = RefusedRequest(Kind.PREDICT, "a" * 32, NOW)
    objects = world.services.ledger.objects
    keep_rejection(rejection_event(refused, NOW, Problem("invalid_field", "model is wrong")), objects)
    reconcile(world.services)
    assert len(list(listed_rejections(objects))) == 1
    world.pass_time(timedelta(days=world.services.settings.ledger_retention_days, seconds=1).total_seconds())
    reconcile(world.services)
    assert list(listed_rejections(objects)) == []


def test_finished_work_is_forgotten_after_its_retention(world: World) -> None:
    ended_unpublished(world)
    tick(world.services)
    world.pass_time(timedelta(days=world.services.settings.ledger_retention_days).total_seconds())
    reconcile(world.services)
    assert prediction(world).final
    world.pass_time(world.services.settings.reconcile_seconds)
    reconcile(world.services)
    assert world.services.ledger.read(Kind.PREDICT, "a" * 32) is None
