"""Recognizes a message that was sent to the wrong topic, so that its rejection names the right one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.batch_work import BATCH_ACTIONS
from shared.errors import Problem, Rejected
from shared.events.incoming import Message
from shared.settings import Settings
from shared.work import Kind

# The codes of problems that a message of another kind has.
_CODES = frozenset({"missing_field", "unknown_field", "invalid_field", "invalid_name"})
_NAMES = {Kind.PREDICT: "a predict message", Kind.BATCH: "a batch request", Kind.MANAGE: "a manage message"}
# The action that both batches and models have.
_SHARED_ACTION = "delete"
_BATCH_PLACES = ("bq://", "gs://")


def wrong_topic(kind: Kind, message: Message, error: Rejected, settings: Settings) -> Problem | None:
    """Return the problem of a rejected message of another kind; None if it is of ``kind``, or of no known one.

    Args:
        kind: The kind of messages that the function takes.
        message: The message.
        error: Why it is rejected.
        settings: The settings, which name the topics.
    """
    if error.problem.code not in _CODES:
        return None
    try:
        payload = message.payload()
    except Rejected:
        return None
    kinds = kinds_of(payload)
    if kind in kinds or len(kinds) != 1:
        return None
    [found] = kinds
    topics = {
        Kind.PREDICT: settings.predict_topic,
        Kind.BATCH: settings.batch_topic,
        Kind.MANAGE: settings.models_topic,
    }
    topic = topics[found].rpartition("/")[2] or "its own topic"
    return Problem("wrong_topic", f"this looks like {_NAMES[found]}, not {_NAMES[kind]}; publish it to {topic}")


def kinds_of(payload: Mapping[str, Any]) -> set[Kind]:
    """Return the kinds of messages that have fields such as those of ``payload``."""
    model, input_, output = payload.get("model"), payload.get("input"), payload.get("output")
    found: set[Kind] = set()
    action = payload.get("action")
    if action == _SHARED_ACTION and not {"model", "key"} & set(payload):
        return {Kind.BATCH, Kind.MANAGE}
    if action in BATCH_ACTIONS and (action != _SHARED_ACTION or "model" not in payload):
        return {Kind.BATCH}
    if "action" in payload and "model" in payload:
        return {Kind.MANAGE}
    if set(payload) & {"path", "model", "input", "output"} == {"path"} or {"action", "path"} <= set(payload):
        return {Kind.MANAGE}
    if "action" in payload:
        # An unknown action: the function that takes actions lists those that it knows.
        return {Kind.BATCH, Kind.MANAGE}
    if isinstance(input_, dict) and {"query", "table"} & set(input_):
        found.add(Kind.PREDICT)
    if isinstance(output, dict) and not str(output.get("table")).startswith(_BATCH_PLACES):
        found.add(Kind.PREDICT)
    if isinstance(input_, dict) and "prompts" in input_:
        found.add(Kind.BATCH)
    if isinstance(model, str) and model.startswith(("gemini", "publishers/", "projects/")):
        found.add(Kind.BATCH)
    if any(isinstance(place, str) and place.startswith(_BATCH_PLACES) for place in (input_, output)):
        found.add(Kind.BATCH)
    return found
