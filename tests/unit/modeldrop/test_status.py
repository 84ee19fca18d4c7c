"""`modeldrop status` and `modeldrop events`: what they show of the ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

from shared.batch_work import BatchFacts, BatchResult
from shared.checks.identifiers import ModelName
from shared.drops.contents.ignored import report_ignored
from shared.drops.contents.layout import misplaced
from shared.drops.imports.turns import ModelRecords
from shared.errors import Problem
from shared.events.incoming import StoredObject
from shared.events.outgoing import completion_event
from shared.work import Outcome, WaitReason
from shared.work_facts import DropFacts, ModelVersion
from tests.example_requests import NOW, batch_item, import_item, prediction_item, watch_item
from tests.unit.modeldrop.conftest import Run, printed_json
from tests.unit.modeldrop.test_why import in_ledger, refuse
from tests.unit.shared.conftest import World

MODEL = ModelName("local-project", "films", "genres")


def test_an_empty_project_has_nothing(run: Run) -> None:
    done = run("status")

    assert done.exit_code == 0
    assert "Project local-project (local cloud)" in done.output
    assert "Models: none" in done.output


def test_status_has_models_open_work_batches_and_last_ends(world: World, run: Run) -> None:
    records = ModelRecords(world.services)
    records.take_turn(MODEL, "2", "e" * 32)
    records.leave_turn(MODEL, "e" * 32, ModelVersion("2", "f" * 32))
    in_ledger(world, import_item("b" * 32).end(Outcome.FAILED, NOW, Problem("invalid_model", "IR version 10")))
    in_ledger(world, prediction_item("c" * 32, waits_for=WaitReason.MODEL))
    facts = BatchFacts(result=BatchResult("JOB_STATE_SUCCEEDED", 7, 2, 0))
    in_ledger(world, batch_item("d" * 32, request_id="posters", facts=facts).end(Outcome.PARTIALLY_SUCCEEDED, NOW))
    refuse(world, "message-7")

    shown = printed_json(run("status", "--json"))

    assert shown["models"] == [
        {"model": "local-project.films.genres", "version": "2", "importing": None, "pinned": None}
    ]
    [opened] = shown["open"]
    assert (opened["key"], opened["waits"]) == ("c" * 32, "It waits for its model, whose drop is being imported.")
    [batch] = shown["batches"]
    assert (batch["batch"], batch["succeeded"], batch["failed"]) == ("posters", 7, 2)
    assert {(each["outcome"], each["why"]) for each in shown["ended"]} == {
        ("failed", "IR version 10"),
        ("partially_succeeded", ""),
        ("rejected", "model is missing"),
    }
    assert "local-project.films.genres" in run("status").output


def test_status_shows_the_import_of_a_drop_unless_it_is_watched_again(world: World, run: Run) -> None:
    in_ledger(world, import_item("b" * 32).end(Outcome.FAILED, NOW, Problem("drop_changed", "it changed")))
    watch = watch_item("c" * 32, created=NOW - timedelta(hours=1))
    watch = in_ledger(world, replace(watch.end(Outcome.SETTLED, NOW), event_published=True))
    [drop] = printed_json(run("status", "--json"))["drops"]
    assert drop["state"] == "failed"

    facts = DropFacts(NOW, missing=("saved_model.pb",))
    world.services.ledger.reopen(watch_item("c" * 32, facts=facts, generation=watch.generation), claimed=False)
    [drop] = printed_json(run("status", "--json"))["drops"]
    assert (drop["state"], drop["what"]) == ("open", "The drop is incomplete. Missing: saved_model.pb.")


def test_a_row_of_status_is_one_line_with_the_beginning_of_a_long_reason(world: World, run: Run) -> None:
    failed = import_item("b" * 32).end(Outcome.FAILED, NOW, Problem("invalid_model", "IR version 10, " * 50))
    in_ledger(world, replace(failed, event_published=True))

    [drop] = [line for line in run("status").output.splitlines() if line.startswith("gs://")]

    assert "failed" in drop
    assert "IR version 10, IR version 10" in drop
    assert drop.endswith("...")


def test_status_shows_the_folders_that_were_ignored(world: World, run: Run) -> None:
    name = "ml/genres.onnx"
    found = misplaced(name)
    assert found is not None
    bucket = world.services.settings.model_bucket
    report_ignored(StoredObject(bucket, name, 1, NOW), found, world.services)

    [ignored] = printed_json(run("status", "--json"))["ignored"]

    assert (ignored["folder"], ignored["reported"]) == (f"gs://{bucket}/ml/", world.services.now().isoformat())


def test_past_events_are_those_that_were_published(world: World, run: Run) -> None:
    item = in_ledger(world, replace(import_item().end(Outcome.SUCCEEDED, NOW), event_published=True))
    refuse(world, "message-7")

    first, second = (json.loads(line) for line in run("events", "--json").stdout.splitlines())

    assert {first["type"], second["type"]} == {"modeldrop.model.imported.v1", "modeldrop.request.rejected.v1"}
    [imported] = [each["data"] for each in (first, second) if each["type"].endswith("imported.v1")]
    assert imported == json.loads(json.dumps(dict(completion_event(item).data)))
    assert "missing_field: model is missing" in run("events").output
