"""Wrong messages, as a newcomer sends them: each is answered by an event with its id, and the corrected one runs."""

from __future__ import annotations

import base64
import json

import pytest

from tests.e2e.world import SHIFTED_TABLE, World, fresh


def test_each_wrong_message_is_answered_under_its_id_with_what_would_be_right(world: World, shifter: str) -> None:
    right = world.prediction(shifter, "unused", "unused")
    del right["request_id"]
    batch = world.batch("unused", "unused")
    text = json.dumps(right)
    wrong: dict[str, tuple[str, bytes]] = {
        "publish it to modeldrop-batch": ("PREDICT_TOPIC", json.dumps(batch).encode()),
        "publish it to modeldrop-predict": ("BATCH_TOPIC", text.encode()),
        "encoded as JSON twice": ("PREDICT_TOPIC", json.dumps(text).encode()),
        "encoded as base64 once more": ("PREDICT_TOPIC", base64.b64encode(text.encode())),
        "remove the square brackets": ("PREDICT_TOPIC", f"[{text}]".encode()),
        "did you mean model?": ("PREDICT_TOPIC", text.replace('"model"', '"Model"').encode()),
        f"did you mean {world.dataset}.{shifter}?": ("PREDICT_TOPIC", text.replace(shifter, "Seven").encode()),
        "convert it to STRING": (
            "PREDICT_TOPIC",
            json.dumps({**right, "output": {**right["output"], "write": "merge", "key": ["x"]}}).encode(),
        ),
        "create the dataset": ("PREDICT_TOPIC", text.replace(right["output"]["table"], "nowhere.t").encode()),
    }
    published = {advice: world.publish(topic, data) for advice, (topic, data) in wrong.items()}
    for advice, message_id in published.items():
        event = world.event("request.rejected", message_id=message_id)
        assert advice in event.data["error"]["message"]


def test_a_corrected_message_runs_under_the_request_id_of_the_rejected_one(world: World, shifter: str) -> None:
    name = fresh("corrected")
    wrong = world.ask(shifter, name, name, input={"query": "SELECT y FROM nothing"}, labels={"team": "a"})
    rejected = world.event("request.rejected", request_id=name)
    assert (rejected.data["message_id"], rejected.data["labels"]) == (wrong, {"team": "a"})

    query = f"SELECT x FROM {world.dataset}.numbers;"
    corrected = world.ask(shifter, name, name, input={"query": query}, labels={"team": "b"})
    succeeded = world.event("prediction.succeeded", request_id=name)
    assert (succeeded.data["message_id"], succeeded.data["labels"]) == (corrected, {"team": "b"})
    assert len(world.rows(f"{world.dataset}.{name}")) == 10


def test_a_message_on_the_topic_for_events_is_ignored(world: World, shifter: str) -> None:
    world.publish("EVENTS_TOPIC", world.prediction(shifter, "unused", fresh("lost")))
    name = fresh("after")
    world.ask(shifter, name, name)
    world.event("prediction.succeeded", request_id=name)


@pytest.mark.long
def test_only_the_chosen_columns_are_written(world: World, shifter: str) -> None:
    name = fresh("chosen")
    query = f"SELECT x, CAST(x AS STRING) AS id, REPEAT('long', 9) AS Long FROM {world.dataset}.{SHIFTED_TABLE}"
    choice = {"input": {"query": query}, "columns": {"drop": ["Long", "x"]}}
    for write in ({}, {"write": "append"}, {"write": "merge", "key": ["id"]}):
        world.ask(shifter, name if write else f"{name}_new", f"{name}-{len(write)}", output=write, **choice)
        event = world.event("prediction.succeeded", request_id=f"{name}-{len(write)}")
        assert [column["name"] for column in event.data["output_columns"]] == ["y", "id"]
    assert {frozenset(row) for row in world.rows(f"{world.dataset}.{name}")} == {frozenset({"y", "id"})}
    assert len(world.rows(f"{world.dataset}.{name}")) == 10

    wrong = [
        ({"columns": {"keep": ["ID"]}}, "columns.keep[0]", "did you mean id?"),
        ({"output": {"write": "merge", "key": ["x"]}}, "output.key[0]", "is left out by columns"),
    ]
    for index, (change, field, advice) in enumerate(wrong):
        world.ask(shifter, "unused", f"{name}-wrong-{index}", **{**choice, **change})
        error = world.event("request.rejected", request_id=f"{name}-wrong-{index}").data["error"]
        assert error["field"] == field
        assert advice in error["message"]
