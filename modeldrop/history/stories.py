"""What happened to a piece of work, in order and in words, and what to do next. Everything here is pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modeldrop.project import Project
from shared.batch_work import BatchFacts, BatchMessage
from shared.drops.contents.layout import Misplaced
from shared.errors import Problem
from shared.events.outgoing import Event
from shared.work import Item, Kind, Outcome, Step, StepState, System, WaitReason
from shared.work_facts import (
    DropFacts,
    DropRequest,
    ImportFacts,
    ImportRequest,
    ManageFacts,
    ManageMessage,
    PredictionFacts,
    PredictionMessage,
    Rollback,
)

# Why work waits, in words.
WAITS: dict[WaitReason, str] = {
    WaitReason.MODEL: "It waits for its model, whose drop is being imported.",
    WaitReason.QUOTA: "It waits for quota, or for other batches to end.",
    WaitReason.TURN: "It waits for another import of the same model.",
    WaitReason.ANSWER: "A job may have been created; Modeldrop looks for it before it creates another one.",
    WaitReason.ENDPOINT: "It waits until an operation on its endpoint has ended.",
    WaitReason.SETTLING: "It waits until the files no longer change.",
    WaitReason.ACCESS: "It waits for rights of a new deployment, which take some minutes to be effective.",
}


@dataclass(frozen=True)
class Line:
    """One thing that happened."""

    time: datetime | None
    """None for what is true now."""
    text: str


@dataclass(frozen=True)
class Story:
    """What happened to one piece of work."""

    title: str
    lines: tuple[Line, ...]
    next: str
    """What to do next."""
    outcome: str
    """`open`, `ignored`, `rejected`, or the outcome of the work."""
    key: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the story for `--json`."""
        lines = [{"time": line.time.isoformat() if line.time else None, "text": line.text} for line in self.lines]
        return {"title": self.title, "key": self.key, "outcome": self.outcome, "lines": lines, "next": self.next}


def story_of(item: Item, project: Project) -> Story:
    """Return the story of an item of the ledger of ``project``."""
    outcome = item.outcome.value if item.outcome is not None else "open"
    return Story(title_of(item), tuple(_lines(item)), _next(item, project), outcome, item.key)


def newest_line(item: Item) -> str:
    """Return the last line of the story of an item."""
    return _lines(item)[-1].text


def _lines(item: Item) -> list[Line]:
    lines = [Line(item.created, _beginning(item))]
    if item.run > 1:
        lines.append(Line(None, f"It ran before and failed; this is run {item.run}."))
    lines += [_step_line(item, step) for step in item.steps if step.job is not None or step.sent is not None]
    lines += [Line(None, f"It was reported as stuck: {about}.") for about in item.reported]
    if item.outcome is not None:
        lines.append(Line(item.finished, _end(item)))
        lines += [Line(None, text) for text in _results(item)]
        if not item.event_published:
            lines.append(Line(None, "Its event is not published yet; the poller publishes it."))
    else:
        lines.append(Line(None, _state(item)))
    return lines


def story_of_rejection(event: Event) -> Story:
    """Return the story of a request that was rejected before there was an item."""
    data = event.data
    known = data.get("request_id") or data.get("message_id") or data.get("key")
    error = data.get("error") or {}
    field = f" (field {error['field']})" if error.get("field") else ""
    return Story(
        f"{str(data.get('kind', 'request')).capitalize()} request {known}",
        (Line(event.time, f"The request was rejected, and nothing was run: {error.get('message')}{field}."),),
        "Correct the request and send it again, with the same request_id if it had one.",
        "rejected",
        str(data["key"]) if data.get("key") else None,
    )


def story_of_ignored(uri: str, found: Misplaced, project: Project) -> Story:
    """Return the story of an object in the model bucket of ``project`` that belongs to no drop."""
    right = f"gs://{project.model_bucket}/{found.suggestion}"
    move = project.other_command(f"gcloud storage mv {shlex.quote(uri)} {shlex.quote(right)}")
    return Story(
        f"Object {uri}",
        (Line(None, f"The object is ignored: {found.reason}."),),
        f"If it belongs to a model, move it: {move}",
        "ignored",
    )


def title_of(item: Item) -> str:
    """Return what an item is, in a few words."""
    match item.request:
        case ImportRequest(model=model, rollback=Rollback(version=version)):
            return f"Rollback of {model}{f' to version {version}' if version else ''}"
        case ImportRequest(model=model, version=version):
            return f"Import of version {version} of {model}"
        case DropRequest(path=path):
            return f"Drop {path}"
        case PredictionMessage(model=model, output_table=table):
            return f"Prediction with {model} into {table}"
        case BatchMessage(model=model):
            return f"Batch with {model}"
        case ManageMessage(action=action, model=model):
            return f"{action.capitalize()} {model}"


def _beginning(item: Item) -> str:
    asked = f"request {item.request_id}" if item.request_id else "a request without a request_id"
    if item.message_id:
        asked += f" (message {item.message_id})"
    match item.request:
        case ImportRequest(rollback=Rollback()):
            return f"The rollback began, for {asked}."
        case ImportRequest(path=path, model_type=kind):
            return f"The import of {path} began{f' as a model of the type {kind}' if kind else ''}."
        case DropRequest(path=path):
            return f"A file in {path} was noticed."
        case _:
            return f"The work began, for {asked}."


def _step_line(item: Item, step: Step) -> Line:
    job = f"{step.job.id} in {step.job.location}" if step.job else item.job_id(step)
    attempt = f", attempt {step.attempt}" if step.attempt > 1 else ""
    state = {
        StepState.PENDING: "is not sent yet",
        StepState.SENDING: "was sent, and its answer is not known",
        StepState.SUBMITTED: "was submitted",
        StepState.SUCCEEDED: "succeeded",
    }[step.state]
    return Line(step.sent, f"The step {step.name} {state}: job {job}{attempt}.")


def _end(item: Item) -> str:
    assert item.outcome is not None
    match item.outcome:
        case Outcome.SETTLED:
            return "The drop was complete and settled, or cannot become complete; its import is separate work."
        case Outcome.GONE:
            return "The files were deleted."
    words = item.outcome.value.replace("_", " ")
    ended = f"It ended as {words}{_because(item.problem)}"
    return ended if ended.endswith("?") else f"{ended}."


def _because(problem: Problem | None) -> str:
    if problem is None:
        return ""
    field = f", field {problem.field}" if problem.field else ""
    return f" ({problem.code}{field}): {problem.message.rstrip('.')}"


def _results(item: Item) -> list[str]:
    match item.facts:
        case ImportFacts(signature=signature) if signature is not None:
            inputs = ", ".join(f"{column.name} {column.type}" for column in signature.input_columns)
            outputs = ", ".join(f"{column.name} {column.type}" for column in signature.output_columns)
            return [f"Inputs: {inputs or 'none'}. Outputs: {outputs or 'none'}."]
        case PredictionFacts(result=result) if result is not None:
            rows = "an unknown number of" if result.rows_written is None else f"{result.rows_written:,}"
            failed = f" A language model gave no answer for {result.failed_rows:,} rows." if result.failed_rows else ""
            return [f"It wrote {rows} rows and processed {result.bytes_processed:,} bytes.{failed}"]
        case BatchFacts(result=counts, output=output, incomplete=incomplete) if counts is not None:
            return [
                f"{counts.succeeded or 0:,} requests succeeded, {counts.failed or 0:,} failed and "
                f"{incomplete or 0:,} are incomplete. Output: {output}."
            ]
        case ManageFacts(deployments=deployments):
            return [
                f"Endpoint {each.endpoint_name} ({each.endpoint}): deployed model {each.deployed_model_id}, "
                f"{each.traffic} of 100 requests."
                for each in deployments
                if item.outcome is not None and item.outcome.is_success
            ]
        case _:
            return []


def _state(item: Item) -> str:
    match item.facts:
        case DropFacts(missing=missing) if missing:
            return f"The drop is incomplete. Missing: {', '.join(missing)}."
    if item.waits_for is not None:
        until = f" Modeldrop looks again at {item.not_before:%Y-%m-%d %H:%M:%S} UTC." if item.not_before else ""
        return WAITS[item.waits_for] + until
    step = item.current
    if step is not None and step.state is StepState.SUBMITTED and step.job is not None:
        if step.system is System.OPERATION:
            return f"It waits for the operation {step.job.id} of Vertex AI."
        return f"It waits for the job {step.job.id} of {step.job.system.value}."
    return "It is being worked on."


def _next(item: Item, project: Project) -> str:
    match item.kind, item.outcome:
        case Kind.DROP, None:
            facts = item.facts
            if isinstance(facts, DropFacts) and facts.missing:
                return "Upload the missing files. The drop is imported by itself when it is complete."
            return "Nothing: the drop is imported by itself when it has settled."
        case _, None:
            return f"Nothing: Modeldrop continues by itself. To wait for it: {project.command(f'wait {item.key}')}"
        case Kind.DROP, Outcome.GONE:
            return "Upload the files again to import the model."
        case Kind.DROP, _:
            return "See the import of this drop."
        case Kind.IMPORT, Outcome.ROLLED_BACK:
            unpin = project.publish_command(project.models_topic, {"action": "unpin", "model": item.request.model})
            return f"Nothing: the former version is in use, and pinned until a higher one is dropped. To lift the pin: {unpin}"
        case Kind.IMPORT, Outcome.REJECTED:
            return "Correct the request and send it again, with the same request_id if it had one."
        case Kind.IMPORT, Outcome.SUCCEEDED:
            return f"Use the model: {_query(item)}"
        case Kind.IMPORT, _:
            assert isinstance(item.request, ImportRequest)
            advice = f"Put the files in {item.request.path} right; the changed drop is imported by itself."
            if item.request.refusal is not None:
                return advice
            again = project.publish_command(project.models_topic, {"action": "import", "path": item.request.path})
            return f"{advice} To import the same files again: {again}"
        case Kind.PREDICT, Outcome.SUCCEEDED:
            assert isinstance(item.request, PredictionMessage)
            return f"Read the rows: SELECT * FROM `{item.request.output_table}`"
        case Kind.BATCH, Outcome.CHECKED:
            return "To run the batch, send the request without dry_run."
        case Kind.BATCH, Outcome.PARTIALLY_SUCCEEDED | Outcome.CANCELLED | Outcome.EXPIRED:
            retry = project.publish_command(project.batch_topic, {"action": "retry_failed_rows", "key": item.key})
            return f"To send the rows without an answer again: {retry}"
        case _, Outcome.SUCCEEDED:
            return "Nothing: it succeeded."
        case Kind.MANAGE, Outcome() as outcome if outcome.is_success:
            return "Nothing: it succeeded."
        case _:
            return "Correct the cause and send the request again, with the same request_id if it had one."


def _query(item: Item) -> str:
    columns = "..."
    if isinstance(item.facts, ImportFacts) and item.facts.signature is not None:
        columns = ", ".join(f"... AS {column.name}" for column in item.facts.signature.input_columns) or "..."
    return f"SELECT * FROM ML.PREDICT(MODEL `{item.request.model}`, (SELECT {columns}))"
