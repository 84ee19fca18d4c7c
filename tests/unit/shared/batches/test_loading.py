"""Files of an input that a job cannot take as they are, and the answers in folders."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.batch_work import BatchFacts, BatchResult, BatchRound, LineColumn, LineFormat, Tokens
from shared.batches.batching import Batches, plan
from shared.batches.files import CheckedFiles, check_unchanged, checked_files, has_answers
from shared.batches.inputs.rules import InputCheck, Requests
from shared.batches.lines.formats import MOST_COLUMNS, line_format
from shared.batches.loading import with_files
from shared.batches.next_steps import after_check, after_review, with_repeat
from shared.batches.output.places import facts_of, own_tables
from shared.batches.reading import check_loadable, load_answers, may_load, must_read, with_reason
from shared.batches.request import BatchRequest
from shared.cloud.batch_jobs import Batch
from shared.errors import Rejected
from shared.events.incoming import Message
from shared.events.outgoing import completion_event
from shared.work import Item, Outcome, Step, StepState, System
from tests.example_requests import BATCH_REQUEST, NOW, SETTINGS, services_at
from tests.unit.shared.conftest import World

TABLE = "bq://my-project.gen_ai_batch_prediction.modeldrop_answers_x"
FOLDER = "gs://bucket-1/answers"
FILES = {**BATCH_REQUEST, "input": "gs://bucket-1/a.jsonl", "output": FOLDER}


def _request(**changes: Any) -> BatchRequest:
    return BatchRequest.parse({**FILES, **changes}, SETTINGS, NOW)


def _item(facts: BatchFacts | None = None, **changes: Any) -> Item:
    request = {**FILES, **changes}
    item = plan(_request(**changes), request, Message("1", b"", {}, NOW), NOW)
    known = BatchFacts(
        files=("gs://bucket-1/a.jsonl",), folder=FOLDER, answers=TABLE, line_format=LineFormat("generate")
    )
    return replace(item, location="us-central1", facts=facts or known)


def _checked(requests: int, **changes: Any) -> CheckedFiles:
    return replace(CheckedFiles(InputCheck(requests, 10, 0, ()), True, "hash", False), **changes)


def _names(item: Item) -> list[str]:
    return [step.name for step in item.steps]


# --- steps of files ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("checked", "dry_run", "steps"),
    [
        (_checked(5), False, ["submit"]),
        (_checked(5), True, []),
        (_checked(400_000), False, ["load", "divide", "part", "submit"]),
        (_checked(400_000), True, []),
        # What was not read is checked by a query.
        (_checked(5, is_whole=False, unread_bytes=7), False, ["load", "check"]),
        (_checked(5, is_whole=False, unread_bytes=7), True, ["load", "check"]),
        (_checked(0, is_whole=False, unread_bytes=7, too_large=True), False, ["load", "check"]),
    ],
)
def test_files_that_a_job_cannot_take_or_that_were_not_read_are_loaded(
    checked: CheckedFiles, dry_run: bool, steps: list[str]
) -> None:
    item = with_files(_item(dry_run=dry_run), checked, _request(dry_run=dry_run), SETTINGS, loads=True)
    assert _names(item) == steps
    assert (facts_of(item).lines is not None) is ("load" in steps)


def test_files_that_cannot_be_loaded_are_sent_as_they_are_or_refused() -> None:
    item, request = _item(), _request()
    sent = with_files(item, _checked(5, is_whole=False, unread_bytes=7), request, SETTINGS, loads=False)
    assert (_names(sent), facts_of(sent).unchecked_bytes, facts_of(sent).check) == (["submit"], 7, None)
    ended = replace(sent, outcome=Outcome.FAILED, finished=NOW)
    assert completion_event(ended).data["unchecked_bytes"] == 7
    for checked in (_checked(200_001), _checked(0, is_whole=False, too_large=True)):
        with pytest.raises(Rejected, match="cannot be divided") as refused:
            with_files(item, checked, request, SETTINGS, loads=False)
        assert refused.value.problem.code == "too_many_requests"


@pytest.mark.parametrize("failed", ["load", "check"])
def test_files_that_a_job_can_take_are_sent_unchecked_if_the_query_fails(failed: str) -> None:
    checked = _checked(5, is_whole=False, unread_bytes=7)
    item = with_files(_item(), checked, _request(), SETTINGS, loads=True)
    step = next(step for step in item.steps if step.name == failed)
    sent = Batches().continue_without(item, step, services_at())
    assert sent is not None
    assert (_names(sent), facts_of(sent).unchecked_bytes) == (["submit"], 7)
    # What was loaded is deleted in the end.
    assert (facts_of(sent).lines is None) is (failed == "load")
    for needs in (replace(checked, too_large=True), _checked(400_000)):
        item = with_files(_item(), needs, _request(), SETTINGS, loads=True)
        assert Batches().continue_without(item, step, services_at()) is None


@pytest.mark.parametrize(("too_large", "steps"), [(False, ["submit"]), (True, ["divide", "part", "submit"])])
def test_the_requests_of_a_file_that_is_too_large_are_sent_from_a_table(too_large: bool, steps: list[str]) -> None:
    checked = _checked(0, is_whole=False, too_large=too_large)
    item = with_files(_item(), checked, _request(), SETTINGS, loads=True)
    rows = [{"rule": None, "requests": 5, "characters": 1, "files": 0, "answer_tokens": 0, "limited_requests": 0}]
    after = after_check(item, rows, SETTINGS)
    assert _names(after) == ["load", "check", *steps]
    facts = facts_of(after)
    assert facts.unchecked_bytes == 0
    assert facts.source[0].startswith("bq://" if too_large else "gs://")
    assert facts.place == FOLDER
    assert any(table.table.endswith("_lines") for table in own_tables(after))


@pytest.mark.parametrize(
    ("found", "wanted", "unknown", "loads"),
    [
        ("US", "US", False, True),
        ("US", "us-central1", False, True),
        ("EU", "europe-west4", False, True),
        ("EUROPE-WEST4", "US", False, True),
        ("EU", "us-central1", True, False),
        ("US-EAST1", "us-central1", True, False),
    ],
)
def test_files_are_loaded_where_bigquery_loads_them(
    world: World, found: str, wanted: str, unknown: bool, loads: bool
) -> None:
    name = f"at-{found.lower()}-{wanted.lower()}"
    bucket = world.models.client.bucket(name)
    if not bucket.exists():
        world.models.client.create_bucket(name, location=found)
    assert may_load([f"gs://{name}/a.jsonl"], wanted, unknown=unknown) is loads


def test_answers_that_could_not_be_loaded_are_refused_before_a_job_is_paid(world: World) -> None:
    world.models.client.create_bucket("answers-in-asia", location="ASIA-EAST1")
    with pytest.raises(Rejected, match="which is in asia-east1, into datasets in us-central1") as refused:
        check_loadable("gs://answers-in-asia/answers", "us-central1", "results.table")
    assert (refused.value.problem.code, refused.value.problem.field) == ("wrong_location", "results.table")


@pytest.mark.parametrize("unknown", [False, True])
def test_without_the_location_of_a_bucket_the_need_decides(world: World, unknown: bool) -> None:
    assert may_load(["gs://nowhere-at-all/a.jsonl"], "US", unknown=unknown) is unknown


def test_files_that_changed_are_not_sent(world: World) -> None:
    blob, uri = world.models.blob("a.jsonl"), f"gs://{world.models.name}/a.jsonl"
    line = json.dumps({"id": 1, "request": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}})
    blob.upload_from_string(line)
    known = checked_files([uri], Requests.GENERATE, divides=True)
    assert known.found.columns == (("id", "INT64"), ("request", "JSON"))
    check_unchanged([uri], known.hash)
    blob.upload_from_string(line)
    with pytest.raises(Rejected) as refused:
        check_unchanged([uri], known.hash)
    assert refused.value.problem.code == "input_changed"


# --- columns of lines --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "INT64"),
        ([1, None, 1.5], "FLOAT64"),
        ([2**63], "FLOAT64"),
        ([True, False], "BOOL"),
        (["a", None], "STRING"),
        ([None], "STRING"),
        ([1, "a"], "JSON"),
        ([True, 1], "JSON"),
        ([{"a": 1}], "JSON"),
        ([[1], None], "JSON"),
    ],
)
def test_a_field_of_lines_has_the_type_of_all_its_values(world: World, values: list[Any], kind: str) -> None:
    request = {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}
    lines = "\n".join(json.dumps({"field": value, "request": request}) for value in values)
    world.models.blob("types.jsonl").upload_from_string(lines)
    checked = checked_files([f"gs://{world.models.name}/types.jsonl"], Requests.GENERATE, divides=True)
    assert dict(checked.found.columns)["field"] == kind


def test_lines_are_rows_unless_a_field_cannot_be_a_column() -> None:
    columns = [{"name": "request", "type": "JSON"}, {"name": "id", "type": "INTEGER"}]
    assert line_format(Requests.GENERATE, columns) == LineFormat("generate", (LineColumn("id", "INT64"),))
    assert line_format(Requests.EMBED, columns) is None
    assert line_format(Requests.GENERATE, [*columns, {"name": "a.b", "type": "STRING"}]) is None
    many = [{"name": f"c{n}", "type": "STRING"} for n in range(MOST_COLUMNS + 1)]
    assert line_format(Requests.GENERATE, many) is None


# --- answers in folders ------------------------------------------------------------------------------------------------

ONE = BatchRound(None, TABLE, folder=f"{FOLDER}/1")
DONE = BatchResult("JOB_STATE_SUCCEEDED", 5, 0, 0)
PARTLY = BatchResult("JOB_STATE_SUCCEEDED", 3, 2, 0)


def _folder_facts(**changes: Any) -> BatchFacts:
    return replace(facts_of(_item()), **changes)


@pytest.mark.parametrize(
    ("facts", "request_", "reads"),
    [
        (_folder_facts(result=DONE), {}, False),
        (_folder_facts(result=PARTLY), {}, True),
        (_folder_facts(result=BatchResult("JOB_STATE_SUCCEEDED", 3, 0, 2)), {}, True),
        (_folder_facts(result=PARTLY), {"retries": 0}, False),
        (_folder_facts(result=PARTLY, cancelling=True), {}, False),
        (_folder_facts(result=DONE, parts=2), {}, True),
        (_folder_facts(result=DONE, rounds=(ONE,)), {}, True),
        (_folder_facts(result=DONE), {"results": {"table": "films.t", "columns": {"a": "STRING $"}}}, True),
    ],
)
def test_answers_are_read_only_if_something_depends_on_them(
    facts: BatchFacts, request_: dict[str, Any], reads: bool
) -> None:
    assert must_read(facts, _request(**request_)) is reads


def test_a_folder_without_files_of_answers_has_none(world: World) -> None:
    folder = f"gs://{world.models.name}/out"
    for name, content in (("out/errors.jsonl", "x"), ("out/predictions.jsonl", ""), ("out-2/predictions.jsonl", "x")):
        world.models.blob(name).upload_from_string(content)
    assert not has_answers(folder)
    assert not has_answers("gs://nowhere-at-all/out")
    world.models.blob("out/predictions_1.jsonl").upload_from_string("{}")
    assert has_answers(folder)


def test_each_job_is_read_from_its_folder_into_its_table() -> None:
    facts = _folder_facts(rounds=(replace(ONE, answers=f"{TABLE}_1"),), job_folder=f"{FOLDER}/2/")
    for step, folder, table in (("read", f"{FOLDER}/1/", f"{TABLE}_1"), ("read-2", f"{FOLDER}/2/", TABLE)):
        sql = load_answers(facts, Step(step, System.BIGQUERY)).sql
        assert f"uris = ['{folder}predictions*']" in sql
        assert f"`{table.removeprefix('bq://')}`" in sql


@pytest.mark.parametrize(("step", "outcome"), [("read", "partially_succeeded"), ("divide", "failed")])
def test_answers_that_cannot_be_read_again_are_not_lost(step: str, outcome: str) -> None:
    item = replace(_item(_folder_facts(result=PARTLY)), steps=(Step(step, System.BIGQUERY),))
    assert Batches().failure_of(item) is Outcome(outcome)
    # A batch with results has failed without them.
    needed = replace(item, facts=_folder_facts(result=PARTLY, results="bq://p.d.films"))
    assert Batches().failure_of(needed) is Outcome.FAILED


def test_requests_without_an_answer_are_found_in_the_lines_of_the_files() -> None:
    absent = BatchResult("JOB_STATE_SUCCEEDED", 3, 0, 2)
    facts = _folder_facts(result=absent, rounds=(ONE,))
    item = replace(_item(facts), steps=(Step("review", System.BIGQUERY, StepState.SUCCEEDED),))
    after = after_review(item, SETTINGS)
    assert _names(after) == ["review", "load-2", "repeat-2", "submit-2"]
    assert facts_of(after).lines is not None
    # Rows that failed are in the answers.
    failed = replace(absent, failed=2, incomplete=0, failures=(), tokens=Tokens(1, 1, 0, 0))
    item = replace(item, facts=replace(facts, result=failed, wanted="failed"))
    assert _names(after_review(item, SETTINGS)) == ["review", "repeat-2", "submit-2"]


# --- files whose answers are in a table --------------------------------------------------------------------------------

ABSENT = BatchResult("JOB_STATE_SUCCEEDED", 3, 0, 2, tokens=Tokens(1, 1, 0, 0))
WRITTEN = BatchRound(None, TABLE)


def _table_item(**changes: Any) -> Item:
    """Return a batch of files whose answers in a table were counted."""
    table = "bq://my-project.my_dataset.answers"
    facts = _folder_facts(folder=None, output=table, result=ABSENT, rounds=(WRITTEN,), **changes)
    review = Step("review", System.BIGQUERY, StepState.SUCCEEDED)
    return replace(_item(facts, output=table), steps=(review,))


@pytest.mark.parametrize(
    ("changes", "loads"),
    [
        ({}, True),
        # Without a review it is not known whether requests are missing.
        ({"result": replace(ABSENT, incomplete=None, tokens=None)}, True),
        ({"result": replace(ABSENT, incomplete=0)}, False),
        ({"lines": TABLE}, False),
        ({"unfound": "they have changed"}, False),
        ({"line_format": None}, False),
        ({"files": ()}, False),
    ],
)
def test_lines_are_loaded_if_requests_are_in_no_answer(changes: dict[str, Any], loads: bool) -> None:
    item = _table_item()
    item = replace(item, facts=replace(facts_of(item), **changes))
    names = _names(with_repeat(item, "failed"))
    assert names == ["review", *(["load-2"] if loads else []), "repeat-2", "submit-2"]


def test_rows_are_sent_again_and_answers_are_moved_if_lines_cannot_be_loaded() -> None:
    item = after_review(_table_item(), SETTINGS)
    assert _names(item) == ["review", "load-2", "repeat-2", "submit-2"]
    step = item.current
    assert step is not None
    after = Batches().continue_without(item, step, services_at())
    assert after is not None
    assert (_names(after), facts_of(after).lines) == (["review", "repeat-2", "submit-2"], None)
    moved = replace(after, steps=(Step("move", System.BIGQUERY, StepState.SUCCEEDED),))
    ended = Batches().conclude(moved, services_at())
    assert ended.outcome is Outcome.PARTIALLY_SUCCEEDED
    assert ended.problem is not None and ended.problem.code == "requests_not_found"
    assert "2 requests have neither an answer nor a failure" in ended.problem.message
    assert "BigQuery did not load the files" in ended.problem.message
    complete = replace(moved, facts=replace(facts_of(moved), result=replace(ABSENT, incomplete=0)))
    assert Batches().conclude(complete, services_at()).problem is None


def test_lines_of_files_that_have_changed_are_not_loaded(world: World) -> None:
    blob, uri = world.models.blob("a.jsonl"), f"gs://{world.models.name}/a.jsonl"
    line = json.dumps({"id": 1, "request": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]}})
    blob.upload_from_string(line)
    known = checked_files([uri], Requests.GENERATE, divides=True)
    item = _table_item(files=(uri,), files_hash=known.hash)
    assert facts_of(with_reason(item, world.services)).unfound is None
    blob.upload_from_string(line)
    assert "were changed or deleted" in str(facts_of(with_reason(item, world.services)).unfound)


def test_a_job_that_is_tried_again_writes_below_the_same_folder(world: World) -> None:
    step = Step("submit", System.VERTEX, tries=2)
    job = Batches().job(replace(_item(), steps=(step,)), step, world.services)
    assert isinstance(job, Batch)
    assert job.output == FOLDER


def test_the_event_names_the_folders_of_several_jobs() -> None:
    two = replace(ONE, folder=f"{FOLDER}/2")
    lost = replace(ONE, folder=f"{FOLDER}/3", written=False)
    facts = _folder_facts(result=DONE, rounds=(ONE, two, lost), output=f"{FOLDER}/1", job_folder=f"{FOLDER}/2")
    item = replace(_item(facts), outcome=Outcome.SUCCEEDED, finished=NOW)
    data = completion_event(item).data
    assert data["answer_folders"] == [f"{FOLDER}/1", f"{FOLDER}/2"]
    assert (data["output"], data["answers"]) == (FOLDER, f"{FOLDER}/2")
    single = replace(item, facts=_folder_facts(result=DONE, output=f"{FOLDER}/1", job_folder=f"{FOLDER}/1"))
    data = completion_event(single).data
    assert (data["output"], data["answers"], "answer_folders" in data) == (f"{FOLDER}/1", f"{FOLDER}/1", False)


def test_a_later_job_that_wrote_nothing_ends_the_batch_with_what_it_has() -> None:
    facts = _folder_facts(result=PARTLY, rounds=(ONE,), job_folder=None, repeats="retryable")
    item = replace(_item(facts), steps=(Step("submit-2", System.VERTEX, StepState.SUCCEEDED),))
    after = Batches().conclude(item, services_at())
    assert after.outcome is Outcome.PARTIALLY_SUCCEEDED
    assert [each.written for each in facts_of(after).rounds] == [True, False]
