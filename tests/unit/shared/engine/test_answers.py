"""Answers: which errors acknowledge an event, and what its sender learns."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.engine.answers import left_to_the_poller, rejections
from shared.engine.ledger.refused import listed_rejections, read_rejection
from shared.errors import LostRace, Rejected, TryLater
from shared.events.incoming import Message
from shared.keys import hash_of
from shared.work import Kind
from tests.example_requests import BATCH_REQUEST, MANAGE_MESSAGE, NOW, PREDICT_MESSAGE, prediction_item
from tests.unit.shared.conftest import World

ITEM = prediction_item()


def message(data: object = None, *, message_id: str = "message-1") -> Message:
    """Return a message of NOW with ``data`` as JSON, or as it is if it is bytes."""
    return Message(message_id, data if isinstance(data, bytes) else json.dumps(data).encode(), {}, NOW)


def reject(world: World, sent: Message, *, text: str = "model is missing") -> None:
    """Handle a message as a function does that finds it wrong."""
    with rejections(Kind.PREDICT, sent, world.services):
        raise Rejected(text, field="model", code="missing_field")


def test_a_rejected_message_is_acknowledged_after_its_event_is_published(world: World) -> None:
    reject(world, message({"request_id": "nightly"}))
    [event] = world.published()
    assert event["type"] == "modeldrop.request.rejected.v1"
    assert event["error"] == {"code": "missing_field", "message": "model is missing", "field": "model"}
    assert (event["kind"], event["request_id"]) == ("predict", "nightly")


def test_a_rejection_has_the_key_that_the_request_would_have(world: World) -> None:
    reject(world, message({"request_id": "nightly-{date}"}))
    [event] = world.published()
    assert event["key"] == hash_of("predict", "request", "nightly-2026-11-20")


def test_a_rejection_has_the_id_of_the_message_and_its_right_labels(world: World) -> None:
    reject(world, message({"labels": {"team": "news", "Team": "x", "size": 7, "floor": "UP"}}, message_id="message-7"))
    [event] = world.published()
    assert (event["message_id"], event["labels"]) == ("message-7", {"team": "news"})


@pytest.mark.parametrize(
    "data",
    [b"not JSON", b"[" * 100_000, ["request_id"], {"request_id": 7}, {"request_id": "a\nb"}, {}],
    ids=["no JSON", "too deep", "a list", "a number", "not printable", "missing"],
)
def test_a_message_without_a_readable_request_id_is_known_by_its_own_id(world: World, data: object) -> None:
    reject(world, message(data, message_id="message-7"))
    [event] = world.published()
    assert (event["key"], event["request_id"]) == (hash_of("predict", "message", "message-7"), None)


def test_a_rejection_is_kept_in_the_ledger_once(world: World) -> None:
    for _ in range(2):
        reject(world, message({"request_id": "nightly"}, message_id="message-7"))
    published = world.published()
    objects = world.services.ledger.objects
    [kept] = listed_rejections(objects)
    assert (kept.metadata["request_id"], kept.metadata["message_id"]) == ("nightly", "message-7")
    found = read_rejection(kept.name, objects)
    assert found is not None
    assert [{**found.data, "type": found.type}] * 2 == published


@pytest.mark.parametrize(
    ("kind", "sent", "problem"),
    [
        (Kind.PREDICT, BATCH_REQUEST, "this looks like a batch request, not a predict message; publish it to b"),
        (Kind.PREDICT, MANAGE_MESSAGE, "this looks like a manage message, not a predict message; publish it to m"),
        (Kind.BATCH, PREDICT_MESSAGE, "this looks like a predict message, not a batch request; publish it to p"),
        (Kind.MANAGE, PREDICT_MESSAGE, "this looks like a predict message, not a manage message; publish it to p"),
        (Kind.BATCH, MANAGE_MESSAGE, "this looks like a manage message, not a batch request; publish it to m"),
        (Kind.BATCH, {"action": "CANCEL", "request_id": "nightly"}, "model is missing"),
        (Kind.BATCH, {"action": None, "key": "x"}, "model is missing"),
        (Kind.BATCH, {"action": "cancel", "key": "x", "model": "gemini-3.8-flash"}, "model is missing"),
        (
            Kind.BATCH,
            {"action": "delete", "model": "films.genres"},
            "this looks like a manage message, not a batch request; publish it to m",
        ),
        (
            Kind.MANAGE,
            {"action": "cancel", "key": "x"},
            "this looks like a batch request, not a manage message; publish it to b",
        ),
        (Kind.MANAGE, {"action": "delete", "request_id": "nightly"}, "model is missing"),
        (Kind.PREDICT, {"model": "d.m"}, "model is missing"),
        (Kind.PREDICT, PREDICT_MESSAGE, "model is missing"),
    ],
)
def test_a_message_on_the_wrong_topic_is_recognized(
    world: World, kind: Kind, sent: dict[str, Any], problem: str
) -> None:
    topics = {f"{name}_topic": f"projects/p/topics/{name[0]}" for name in ("predict", "batch", "models")}
    world.configure(**topics)
    with rejections(kind, message(sent), world.services):
        raise Rejected("model is missing", field="model", code="missing_field")
    [event] = world.published()
    assert event["error"]["message"] == problem


def test_an_event_of_modeldrop_is_not_answered_by_another(world: World) -> None:
    reject(world, replace(message({"outcome": "failed"}), attributes={"ce-type": "modeldrop.prediction.failed.v1"}))
    assert world.published() == []


def test_the_log_of_a_rejection_has_its_code_but_not_its_text(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    reject(world, message({"request_id": "nightly"}), text="Rumpelstiltskin is wrong")
    record = json.loads(capsys.readouterr().err)
    assert (record["severity"], record["message"]) == ("NOTICE", "rejected")
    assert (record["kind"], record["message_id"], record["code"]) == ("predict", "message-1", "missing_field")
    assert "Rumpelstiltskin" not in str(record)


@pytest.mark.parametrize("error", [TryLater("503"), ValueError("a bug")])
def test_any_other_error_of_a_message_is_raised(world: World, error: Exception) -> None:
    with pytest.raises(type(error)), rejections(Kind.PREDICT, message(), world.services):
        raise error
    assert world.published() == []


@pytest.mark.parametrize(
    ("error", "severity", "reason"),
    [(LostRace("changed"), "INFO", None), (TryLater("the ledger: 503"), "WARNING", "the ledger: 503")],
)
def test_an_event_whose_work_is_in_the_ledger_is_acknowledged(
    capsys: pytest.CaptureFixture[str], error: Exception, severity: str, reason: str | None
) -> None:
    with left_to_the_poller(ITEM):
        raise error
    record = json.loads(capsys.readouterr().err)
    assert (record["severity"], record.get("reason")) == (severity, reason)
    assert record["key"] == ITEM.key
    assert record["model"] == "local-project.bqml_tutorial.imported_tf_model"
    assert record["output_table"] == "local-project.bqml_tutorial.predictions"


def test_a_bug_is_raised_even_if_the_work_is_in_the_ledger() -> None:
    with pytest.raises(ValueError, match="a bug"), left_to_the_poller(ITEM):
        raise ValueError("a bug")
