"""Items as JSON: the form in which the ledger stores them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from shared.errors import Problem
from shared.work import (
    BatchFacts,
    BatchMessage,
    BatchResult,
    Claim,
    DropFacts,
    DropRequest,
    Facts,
    ImportFacts,
    ImportRequest,
    Item,
    Job,
    Kind,
    ModelColumn,
    ModelSignature,
    ModelVersion,
    Outcome,
    PredictionFacts,
    PredictionMessage,
    QueryResult,
    Request,
    Step,
    StepState,
    System,
    UnreadableRequest,
    WaitReason,
)

# The ledger's objects have these themselves.
_NOT_STORED = frozenset({"generation", "index_generation"})

Json = Mapping[str, Any]


def item_to_json(item: Item) -> dict[str, Any]:
    """Return the JSON object that the ledger stores of ``item``."""
    return {name: value for name, value in _to_json(item).items() if name not in _NOT_STORED}


def item_from_json(value: Json, generation: int) -> Item:
    """Return the item that an object of the ledger holds; ``generation`` is the object's."""
    kind = Kind(value["kind"])
    claim, waits_for, outcome = value["claim"], value["waits_for"], value["outcome"]
    return Item(
        kind=kind,
        key=value["key"],
        payload=value["payload"],
        request=_readable_request(kind, value["request"]),
        facts=_facts(kind, value["facts"]),
        created=datetime.fromisoformat(value["created"]),
        request_id=value["request_id"],
        sources=tuple(value["sources"]),
        run=value["run"],
        location=value["location"],
        steps=tuple(map(_step, value["steps"])),
        claim=Claim(claim["owner"], datetime.fromisoformat(claim["until"])) if claim else None,
        waits_for=WaitReason(waits_for) if waits_for else None,
        not_before=_moment(value["not_before"]),
        reported=tuple(value["reported"]),
        outcome=Outcome(outcome) if outcome else None,
        event_published=value["event_published"],
        problem=_problem(value["problem"]),
        finished=_moment(value["finished"]),
        generation=generation,
    )


def _to_json(value: Any) -> Any:
    match value:
        case datetime():
            return value.isoformat()
        case tuple():
            return [_to_json(each) for each in value]
        case UnreadableRequest():
            return dict(value.stored)
        case _ if is_dataclass(value):
            return {each.name: _to_json(getattr(value, each.name)) for each in fields(value)}
        case Mapping():
            return dict(value)
        case _:
            return value


def _readable_request(kind: Kind, value: Json) -> Request:
    try:
        return _request(kind, value)
    except (KeyError, TypeError, ValueError):
        return UnreadableRequest(value)


def _request(kind: Kind, value: Json) -> Request:
    match kind:
        case Kind.IMPORT:
            return ImportRequest(**{**value, "refusal": _problem(value["refusal"])})
        case Kind.PREDICT:
            return PredictionMessage(**{**value, "published": datetime.fromisoformat(value["published"])})
        case Kind.BATCH:
            return BatchMessage(**{**value, "published": datetime.fromisoformat(value["published"])})
        case Kind.DROP:
            return DropRequest(**value)
        case Kind.MANAGE:
            raise ValueError("the ledger stores no items of kind manage")


def _facts(kind: Kind, value: Json) -> Facts:
    match kind:
        case Kind.IMPORT:
            return ImportFacts(_signature(value["signature"]))
        case Kind.PREDICT:
            version, columns = value["model_version"], value["output_columns"]
            return PredictionFacts(
                model_version=ModelVersion(**version) if version else None,
                output_columns=None if columns is None else tuple(columns),
                result=_query_result(value["result"]),
            )
        case Kind.BATCH:
            columns, result = value["prompt_columns"], value["result"]
            return BatchFacts(
                input=value["input"],
                output=value["output"],
                prompt_columns=None if columns is None else tuple(columns),
                result=BatchResult(**result) if result else None,
                cancelled_duplicates=tuple(value["cancelled_duplicates"]),
            )
        case Kind.DROP:
            return DropFacts(
                since=datetime.fromisoformat(value["since"]),
                missing=tuple(value["missing"]),
                files=value["files"],
                fingerprint=value["fingerprint"],
                listed_until=_moment(value["listed_until"]),
            )
        case Kind.MANAGE:
            raise ValueError("the ledger stores no items of kind manage")


def _step(value: Json) -> Step:
    job = value["job"]
    return Step(
        name=value["name"],
        system=System(value["system"]),
        state=StepState(value["state"]),
        attempt=value["attempt"],
        tries=value["tries"],
        job=Job(System(job["system"]), job["id"], job["location"]) if job else None,
        sent=_moment(value["sent"]),
        result=_query_result(value["result"]),
    )


def _signature(value: Json | None) -> ModelSignature | None:
    if value is None:
        return None
    return ModelSignature(
        value["model_type"],
        tuple(ModelColumn(**column) for column in value["input_columns"]),
        tuple(ModelColumn(**column) for column in value["output_columns"]),
    )


def _query_result(value: Json | None) -> QueryResult | None:
    return QueryResult(**value) if value else None


def _problem(value: Json | None) -> Problem | None:
    return Problem(**value) if value else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
