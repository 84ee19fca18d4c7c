"""Items as JSON: the form in which the ledger stores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from shared.batch_work import BatchFacts, BatchMessage
from shared.engine.ledger.decoding import Undecodable, decode
from shared.work import Item, Kind, StepState
from shared.work_facts import (
    DropFacts,
    DropRequest,
    Facts,
    ImportFacts,
    ImportRequest,
    ManageFacts,
    ManageMessage,
    PredictionFacts,
    PredictionMessage,
    Request,
)

# The ledger's objects have these themselves.
_NOT_STORED = frozenset({"generation", "index_generation"})

# What the items of each kind ask for, and what is known of them.
_CONTENTS: Mapping[Kind, tuple[type[Request], type[Facts]]] = {
    Kind.DROP: (DropRequest, DropFacts),
    Kind.IMPORT: (ImportRequest, ImportFacts),
    Kind.PREDICT: (PredictionMessage, PredictionFacts),
    Kind.BATCH: (BatchMessage, BatchFacts),
    Kind.MANAGE: (ManageMessage, ManageFacts),
}


def item_to_json(item: Item) -> dict[str, Any]:
    """Return the JSON object that the ledger stores of ``item``."""
    return {name: value for name, value in _to_json(item).items() if name not in _NOT_STORED}


def item_from_json(value: Mapping[str, Any], generation: int) -> Item:
    """Return the item that an object of the ledger holds.

    Args:
        value: The content of the object.
        generation: Its generation.

    Raises:
        Undecodable: The object is not an item that this version can read.
    """
    stored = dict(value)
    try:
        request_type, facts_type = _CONTENTS[Kind(str(stored.get("kind")))]
    except (KeyError, ValueError):
        raise Undecodable("the ledger stores no items of its kind") from None
    item = decode(
        Item,
        {name: each for name, each in stored.items() if name not in {"request", "facts"}},
        known={
            "request": decode(request_type, stored.get("request"), "request"),
            "facts": decode(facts_type, stored.get("facts"), "facts"),
            "generation": generation,
            "index_generation": None,
        },
    )
    if any(step.state is StepState.SUBMITTED and step.job is None for step in item.steps):
        raise Undecodable("a submitted step has no job")
    return item


def _to_json(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case tuple():
            return [_to_json(each) for each in value]
        case _ if is_dataclass(value):
            return {each.name: _to_json(getattr(value, each.name)) for each in fields(value)}
        case Mapping():
            return dict(value)
        case _:
            return value
