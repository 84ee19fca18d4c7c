"""The part of an event's data that depends on the kind of work. ``outgoing.py`` adds the fields of all events."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from shared.batch_work import BatchFacts, BatchMessage
from shared.work import Item, Outcome, StepState
from shared.work_facts import (
    DropFacts,
    DropRequest,
    ImportFacts,
    ImportRequest,
    ManageFacts,
    ManageMessage,
    ModelColumn,
    ModelSignature,
    PredictionFacts,
    PredictionMessage,
)

# An event has at most so many files of an input.
MOST_FILES_SHOWN = 100


def data_of_kind(item: Item) -> dict[str, Any]:
    """Return the fields that events publish for an item of this kind. Values that are not known yet are left out.

    Their JSON Schemas are in `shared/schemas/event_data.json`.
    """
    # Until an item is prepared, the names in its request are not checked against any service.
    prepared = item.location is not None
    match item.request, item.facts:
        case ImportRequest() as request, ImportFacts() as facts:
            return _import(request, facts)
        case DropRequest() as request, DropFacts() as facts:
            return _drop(request, facts)
        case PredictionMessage() as message, PredictionFacts() as facts:
            return _prediction(message, facts) if prepared else {}
        case BatchMessage() as message, BatchFacts() as facts:
            return _batch(item, message, facts) if prepared else {}
        case ManageMessage() as message, ManageFacts() as facts:
            return {"model": message.model, **_manage(facts)} if _is_done(item) else {"model": message.model}
        case _:
            return {}


def _is_done(item: Item) -> bool:
    return item.outcome is not None and item.outcome.is_success


def _manage(facts: ManageFacts) -> dict[str, Any]:
    about = {"description": facts.description, "registry": facts.registry}
    data: dict[str, Any] = {name: dict(each) for name, each in about.items() if each is not None}
    if facts.deployments:
        data["deployments"] = [asdict(each) for each in facts.deployments]
    return data


def _drop(request: DropRequest, facts: DropFacts) -> dict[str, Any]:
    return {
        "model": request.model,
        "path": request.path,
        "since": facts.since.isoformat(),
        "missing": list(facts.missing),
        "found": [asdict(file) for file in facts.found],
        "files": facts.files,
    }


def _import(request: ImportRequest, facts: ImportFacts) -> dict[str, Any]:
    if not request.fingerprint:
        # The drop of a rollback was not found.
        return {"model": request.model}
    data: dict[str, Any] = {
        "model": request.model,
        "path": request.path,
        "version": request.version,
        "fingerprint": request.fingerprint,
        "model_type": request.model_type,
    }
    if request.rollback is not None:
        data["replaced_version"] = request.rollback.replaced
    if request.found:
        data["found"] = [asdict(file) for file in request.found]
    if facts.check is not None:
        data["check"] = asdict(facts.check)
    match facts.signature:
        case ModelSignature(model_type, inputs, outputs):
            data["model_type"] = model_type
            data["input_columns"] = [column_data(column) for column in inputs]
            data["output_columns"] = [column_data(column) for column in outputs]
    return data


def column_data(column: ModelColumn) -> dict[str, Any]:
    """Return an input or output of a model as events publish it."""
    shape = None if column.shape is None else list(column.shape)
    return {"name": column.name, "type": column.type, "element": column.element, "shape": shape}


def _prediction(message: PredictionMessage, facts: PredictionFacts) -> dict[str, Any]:
    version = facts.model_version
    data: dict[str, Any] = {
        "model": message.model,
        "model_version": version.version if version else None,
        "model_fingerprint": version.fingerprint if version else None,
        "output_table": message.output_table,
    }
    if facts.output_columns is not None:
        data["output_columns"] = [dict(column) for column in facts.output_columns]
    if (result := facts.result) is not None:
        data["rows_written"] = result.rows_written
        data["bytes_processed"] = result.bytes_processed
        data["slot_ms"] = result.slot_ms
        data["failed_rows"] = result.failed_rows
    return data


def answers_place(item: Item) -> str | None:
    """Return where the answers of a batch are now: in its output once they were moved there; None if there are none."""
    if not isinstance(item.facts, BatchFacts):
        return None
    facts = item.facts
    if item.outcome in {Outcome.REJECTED, Outcome.CHECKED} and facts.result is None and not facts.rounds:
        # No job has begun.
        return None
    if facts.folder is not None:
        return facts.folders[-1] if facts.folders else facts.output
    if facts.answers is None or _was_moved(item):
        return facts.output
    if facts.rounds:
        # The table of the current job need not exist.
        return unmoved[-1] if (unmoved := _unmoved_answers(facts)) else facts.output
    return facts.answers


def _was_moved(item: Item) -> bool:
    return any(step.name == "move" and step.state is StepState.SUCCEEDED for step in item.steps)


def _unmoved_answers(facts: BatchFacts) -> list[str]:
    """Return the tables of the jobs whose answers were not moved into the output before this run."""
    return [each.answers for each in facts.rounds[facts.moved :] if each.written]


def _batch(item: Item, message: BatchMessage, facts: BatchFacts) -> dict[str, Any]:
    data: dict[str, Any] = {
        "model": message.model,
        "location": facts.location,
        "input": facts.input,
        "output": facts.output,
        "answers": answers_place(item),
    }
    if len(facts.folders) > 1:
        data["output"] = facts.folder
        data["answer_folders"] = list(facts.folders)
    elif not facts.folder and not _was_moved(item) and len(unmoved := _unmoved_answers(facts)) > 1:
        data["answer_tables"] = unmoved
    if len(facts.files) > 1:
        data["input_files"] = list(facts.files[:MOST_FILES_SHOWN])
    if facts.prompt_columns is not None:
        data["prompt_columns"] = list(facts.prompt_columns)
    if facts.check is not None:
        data["check"] = asdict(facts.check)
    if facts.unchecked_bytes:
        data["unchecked_bytes"] = facts.unchecked_bytes
    if facts.results is not None:
        data["results"] = facts.results
    if (result := facts.result) is not None:
        data["state"] = result.state
        data["counts"] = {
            "succeeded": result.succeeded or 0,
            "failed": result.failed or 0,
            "incomplete": facts.incomplete or 0,
        }
        data["failures"] = [asdict(each) for each in result.failures]
        data["tokens"] = asdict(result.tokens) if result.tokens else None
    if facts.cancelled_duplicates:
        data["cancelled_duplicates"] = list(facts.cancelled_duplicates)
    return data
