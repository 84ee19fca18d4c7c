"""`modeldrop why`: what it says about models, paths, tables, keys, messages and requests."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from modeldrop.history.stories import WAITS
from shared.drops.drop import DropPath
from shared.engine.answers import rejections
from shared.errors import Problem, Rejected
from shared.events.incoming import Message
from shared.keys import hash_of
from shared.work import Item, Job, Kind, Outcome, Step, StepState, System, WaitReason
from shared.work_facts import (
    Deployment,
    DropFacts,
    ManageFacts,
    ManageMessage,
    ModelColumn,
    ModelSignature,
    PredictionFacts,
    QueryResult,
)
from tests.example_requests import NOW, batch_item, import_item, prediction_item, watch_item
from tests.unit.modeldrop.conftest import Run, printed_json
from tests.unit.shared.conftest import World

PATH = DropPath("films", "genres", "2")
TABLE = "bqml_tutorial.predictions"


def in_ledger(world: World, item: Item) -> Item:
    created = world.services.ledger.create(item)
    assert created is not None
    return created


def of_this_bucket(world: World, item: Item) -> Item:
    path = PATH.uri(world.services.settings.model_bucket)
    return replace(item, request=replace(item.request, path=path))  # type: ignore[call-arg]


def refuse(world: World, message_id: str, **data: str) -> None:
    with rejections(Kind.PREDICT, Message(message_id, json.dumps(data).encode(), {}, NOW), world.services):
        raise Rejected("model is missing", field="model", code="missing_field")


def test_a_rejected_message_is_explained_by_its_id(world: World, run: Run) -> None:
    refuse(world, "message-7")

    done = run("why", "message-7")

    assert done.exit_code == 0
    assert "The request was rejected, and nothing was run: model is missing (field model)." in done.output
    assert "Next: Correct the request and send it again" in done.output


def test_a_rejected_request_is_explained_by_its_request_id(world: World, run: Run) -> None:
    refuse(world, "message-7", request_id="nightly")

    assert "model is missing" in run("why", "nightly").output


def test_a_path_shows_the_objects_that_belong_to_no_drop(world: World, run: Run) -> None:
    world.models.blob("ml/genres.onnx").upload_from_string(b"x")
    bucket = world.services.settings.model_bucket

    for target in (f"gs://{bucket}/ml/", f"gs://{bucket}/ml/genres.onnx", "ml/genres.onnx"):
        done = run("why", target)

        assert "The object is ignored: the folders of the model and of the version are missing." in done.output
        assert f"gcloud storage mv gs://{bucket}/ml/genres.onnx gs://{bucket}/ml/genres/1/genres.onnx" in done.output


def test_the_path_of_an_incomplete_drop_says_what_is_missing(world: World, run: Run) -> None:
    world.upload(PATH, "saved_model.pb")
    facts = DropFacts(NOW, missing=("variables/variables.index",))
    in_ledger(world, of_this_bucket(world, watch_item(PATH.key, facts=facts, waits_for=WaitReason.SETTLING)))

    done = run("why", "films/genres/2/saved_model.pb")

    assert "The drop is incomplete. Missing: variables/variables.index." in done.output
    assert "Next: Upload the missing files." in done.output


def test_a_failed_import_is_explained_by_its_path_and_its_model(world: World, run: Run) -> None:
    world.upload(PATH, "genres.onnx")
    problem = Problem("invalid_model", "IR version 10 is above 8")
    in_ledger(world, of_this_bucket(world, import_item()).end(Outcome.FAILED, NOW, problem))

    for target in ("films/genres/2/", "films.genres", "local-project.films.genres", "a" * 32):
        done = run("why", target)

        assert "It ended as failed (invalid_model): IR version 10 is above 8." in done.output, target
        assert "Put the files in" in done.output


def test_an_import_that_succeeded_shows_a_query_with_its_inputs(world: World, run: Run) -> None:
    signature = ModelSignature("ONNX", (ModelColumn("title", "STRING"),), (ModelColumn("score", "FLOAT64"),))
    item = import_item()
    in_ledger(world, replace(item, facts=replace(item.facts, signature=signature)).end(Outcome.SUCCEEDED, NOW))  # type: ignore[call-arg]

    output = run("why", "films.genres").output

    assert "Inputs: title STRING. Outputs: score FLOAT64." in output
    assert "SELECT * FROM ML.PREDICT(MODEL `local-project.films.genres`, (SELECT ... AS title))" in output


@pytest.mark.parametrize(
    "target", [TABLE, f"local-project.{TABLE}", "message-9", "nightly", hash_of("predict", "request", "nightly")]
)
def test_a_prediction_is_found_by_table_message_request_and_key(world: World, run: Run, target: str) -> None:
    key = hash_of("predict", "request", "nightly")
    facts = PredictionFacts(result=QueryResult(rows_written=1234, bytes_processed=10))
    item = prediction_item(key, request_id="nightly", message_id="message-9", sources=("message-9",), facts=facts)
    in_ledger(world, item.end(Outcome.SUCCEEDED, NOW))

    done = run("why", target)

    assert "The work began, for request nightly (message message-9)." in done.output
    assert "It wrote 1,234 rows and processed 10 bytes." in done.output


@pytest.mark.parametrize("target", ["again-1", "message-9"])
@pytest.mark.parametrize("is_watched", [False, True])
def test_an_import_that_a_message_asked_for_is_found_by_its_ids(
    world: World, run: Run, target: str, is_watched: bool
) -> None:
    item = watch_item() if is_watched else import_item()
    in_ledger(world, replace(item, request_id="again-1", message_id="message-9", sources=("message-9",)))
    done = run("why", target)
    assert done.exit_code == 0
    assert "gs://local-project-modeldrop-models/films/genres/2/" in done.output


def test_json_has_the_lines_the_outcome_and_what_to_do_next(world: World, run: Run) -> None:
    in_ledger(world, prediction_item(waits_for=WaitReason.MODEL, not_before=NOW))

    [story] = printed_json(run("why", "a" * 32, "--json"))["stories"]

    assert (story["key"], story["outcome"]) == ("a" * 32, "open")
    assert story["lines"][0]["time"] == NOW.isoformat()
    assert story["lines"][-1]["text"].startswith("It waits for its model, whose drop is being imported.")
    assert "modeldrop wait" in story["next"]


def test_every_reason_to_wait_has_its_words() -> None:
    assert set(WAITS) == set(WaitReason)


def test_a_deployment_names_its_operation_and_then_its_endpoint(world: World, run: Run) -> None:
    operation = "projects/p/locations/us-central1/endpoints/7/operations/1"
    step = Step("deploy", System.OPERATION, StepState.SUBMITTED, job=Job(System.OPERATION, operation, "us-central1"))
    deployment = Deployment("projects/p/locations/us-central1/endpoints/7", "genres", "1234567890", "n1-standard-2", 30)
    request = ManageMessage({}, NOW, "deploy", "local-project.films.genres")
    facts = ManageFacts(deployments=(deployment,))
    item = Item(Kind.MANAGE, "a" * 32, "b" * 32, request, facts, NOW, location="US", steps=(step,))
    in_ledger(world, item)
    assert f"It waits for the operation {operation} of Vertex AI." in run("why", "a" * 32).output

    in_ledger(world, replace(item, key="c" * 32).end(Outcome.DEPLOYED, NOW))
    assert "Endpoint genres (" in run("why", "c" * 32).output


@pytest.mark.parametrize(
    ("outcome", "advice"),
    [
        (Outcome.CHECKED, "send the request without dry_run"),
        (Outcome.PARTIALLY_SUCCEEDED, '{"action": "retry_failed_rows", "key": "' + "a" * 32),
        (Outcome.CANCELLED, "retry_failed_rows"),
    ],
)
def test_a_batch_says_how_it_goes_on(world: World, run: Run, outcome: Outcome, advice: str) -> None:
    in_ledger(world, replace(batch_item().end(outcome, NOW), event_published=True))

    assert advice in printed_json(run("why", "a" * 32, "--json"))["stories"][0]["next"]


def test_an_unknown_target_says_where_else_to_look(run: Run) -> None:
    done = run("why", "unheard-of")

    assert done.exit_code == 1
    assert "Nothing is known of unheard-of in the project local-project" in done.output
    assert "modeldrop deploy dead-letters list" in done.output


@pytest.mark.parametrize("target", ["imported_tf_model", "Imported_TF_Model", "bqml_tutorial"])
def test_a_model_without_its_dataset_is_suggested_with_it(world: World, run: Run, target: str) -> None:
    in_ledger(world, prediction_item())

    done = run("why", target)

    assert done.exit_code == 1
    assert "Did you mean bqml_tutorial.imported_tf_model" in done.output


def test_a_path_in_another_bucket_is_named_as_such(world: World, run: Run) -> None:
    done = run("why", "gs://other/films/genres/1/")

    assert done.exit_code == 1
    assert f"is not in the model bucket of the project local-project, which is gs://{world.models.name}" in done.output


def test_an_empty_target_is_a_wrong_command(run: Run) -> None:
    assert run("why", "").exit_code == 2


def test_a_damaged_item_is_named(world: World, run: Run) -> None:
    world.state.blob(f"ledger/items/predict/{'a' * 32}.json").upload_from_string("no JSON")

    assert "cannot be read: it is not JSON" in run("why", "a" * 32).output
