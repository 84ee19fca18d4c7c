"""A model from drop to prediction: dropped once, requested twice, published once. Wrong requests are rejected."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.world import World, files_of, fresh
from tests.prepared import judge_predictions, judge_rows


def test_a_drop_in_any_order_is_one_import_and_a_message_sent_twice_one_prediction(
    world: World, saved_models: Path
) -> None:
    rows, expected = judge_rows(), judge_predictions()
    files = files_of(saved_models / "judge")
    assert {"fingerprint.pb", "assets/vocabulary.txt", "saved_model.pb"} < set(files)
    model, table = fresh("judge"), fresh("verdicts")
    name = f"{world.project}.{world.dataset}.{model}"
    world.load(f"{world.dataset}.{table}_in", rows)

    world.drop(files, model, seed=3)
    imported = world.event("model.imported", model=name)
    request_id = fresh("night")
    message = {
        "model": f"{world.dataset}.{model}",
        "input": {"query": f"SELECT word, place, count, number FROM {world.dataset}.{table}_in"},
        "output": {"table": f"{world.dataset}.{table}"},
        "request_id": request_id,
    }
    world.publish("PREDICT_TOPIC", message)
    world.publish("PREDICT_TOPIC", message)
    predicted = world.event("prediction.succeeded", request_id=request_id)
    world.quiet()

    created = world.imports_of(model)
    assert [job.error_result for job in created] == [None]
    assert len([job for job in world.jobs(predicted.data["key"]) if job.destination]) == 1
    found = {row["number"]: row for row in world.rows(f"{world.dataset}.{table}")}
    assert len(found) == 500 == predicted.data["rows_written"]
    for number, row in found.items():
        assert row["bucket"] == expected["bucket"][number]
        assert row["verdict"] == expected["verdict"][number]
        assert all(
            math.isclose(ours, theirs, rel_tol=1e-5, abs_tol=1e-6)
            for ours, theirs in zip(row["scores"], expected["scores"][number], strict=True)
        )
    assert world.ids("model.imported", "model.import_failed", model=name) == {imported.id}
    assert len(world.events.all("model.imported", model=name)) == 1
    assert len(world.events.all(request_id=request_id)) == 1
    assert predicted.data["model_version"] == "1"
    assert predicted.data["model_fingerprint"] == imported.data["fingerprint"]
    assert [column["name"] for column in imported.data["input_columns"]] == ["count", "place", "word"]
    assert {column["name"]: column["type"] for column in imported.data["output_columns"]} == {
        "bucket": "INT64",
        "scores": "ARRAY<FLOAT64>",
        "verdict": "STRING",
    }


def wrong(**changes: Any) -> dict[str, Any]:
    """Return a predict message with these fields changed, or taken out where they are None."""
    message = {
        "model": "chain.seven",
        "input": {"query": "SELECT 1.0 AS x"},
        "output": {"table": "chain.never_written"},
        **changes,
    }
    return {name: value for name, value in message.items() if value is not None}


WRONG_MESSAGES: dict[str, tuple[Any, str | None]] = {
    "no JSON": (b"{nope", None),
    "no object": (b"[1, 2]", None),
    "no model": (wrong(model=None), "model"),
    "no input": (wrong(input=None), "input"),
    "no output table": (wrong(output={}), "output.table"),
    "no such model": (wrong(model="chain.nobody"), "model"),
    "no such dataset": (wrong(output={"table": "nowhere.never_written"}), "output.table"),
    "no identifier": (wrong(model="chain.a`b"), "model"),
    "two statements": (wrong(input={"query": "SELECT 1.0 AS x; DROP TABLE chain.numbers"}), "input.query"),
    "an open bracket": (wrong(input={"query": "SELECT 1.0 AS x) UNION ALL (SELECT 2.0"}), "input.query"),
    "no SELECT": (wrong(input={"query": "DELETE FROM chain.numbers WHERE TRUE"}), "input.query"),
    "no such column": (wrong(input={"query": "SELECT 1.0 AS z"}), "input"),
    "an unknown field": (wrong(inputs={}), "inputs"),
}


@pytest.mark.parametrize("name", WRONG_MESSAGES)
def test_a_wrong_message_is_rejected_once_and_runs_nothing(world: World, shifter: str, name: str) -> None:
    message, field = WRONG_MESSAGES[name]
    request_id = fresh("wrong")
    if isinstance(message, dict):
        message = {**message, "request_id": request_id}
    before = {job.job_id for job in world.all_jobs()}
    known = len(world.events.all("request.rejected"))

    world.publish("PREDICT_TOPIC", message)
    rejections = world.until(lambda: world.events.all("request.rejected")[known:])
    world.quiet()

    assert [event.data["error"]["field"] for event in rejections] == [field]
    assert rejections[0].data["error"]["message"]
    assert rejections[0].data["request_id"] == (request_id if isinstance(message, dict) else None)
    assert {job.job_id for job in world.all_jobs()} == before
    assert len(world.events.all("request.rejected")) == known + 1


def test_an_upload_that_tools_make_or_that_is_hidden_costs_no_call(world: World) -> None:
    world.count_calls()
    for name in (
        "chain/model/1/",
        "gcloud/tmp/parallel_composite_uploads/see_gcloud_storage_cp_help_for_details/x/y",
        "gsutil/tmp/parallel/1/x",
        "chain/model/1/.DS_Store",
        "chain/model/1/_SUCCESS",
        "_hidden/model/1/saved_model.pb",
    ):
        world.models.blob(name).upload_from_string(b"x")
    world.delivered()

    assert world.calls("import_model") == []


@pytest.mark.long
def test_a_saved_model_that_bigquery_refuses_is_reported_in_its_words(world: World) -> None:
    model = fresh("broken")
    files = world.shifter(1)
    # All names are there, but this is not a checkpoint.
    files["variables/variables.index"] = b"not a checkpoint"

    world.drop(files, model, seed=1)
    failed = world.event("model.import_failed", model=f"{world.project}.{world.dataset}.{model}")
    world.quiet()

    (job,) = world.imports_of(model)
    assert job.error_result is not None
    assert failed.data["error"]["message"] == job.error_result["message"]
    assert failed.data["error"]["code"] == job.error_result["reason"]
    assert world.shift_of(model) is None
    assert len(world.events.all(model=f"{world.project}.{world.dataset}.{model}")) == 1
