"""The output and the typed results of a batch whose rows were sent again, while other batches write the same tables."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from shared.batch_work import FAILED, RETRYABLE, BatchFacts, BatchMessage, BatchResult, BatchRound
from shared.batches.next_steps import after_review
from shared.batches.output.places import request_of
from shared.batches.queries import query_of
from shared.cloud.bigquery import BigQueryJobs
from shared.cloud.query_jobs import Query
from shared.cloud.tables import Tables
from shared.work import Item, Step, System
from tests.example_requests import NOW, SETTINGS, batch_item, services_at
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld

BUSY, BAD = '429: {"error": {"code": 429}}', '400: {"error": {"code": 400}}'
COLUMNS = [{"name": "id", "type": "INT64"}, *({"name": n, "type": "STRING"} for n in ("request", "response", "status"))]
TYPED = [{"name": "id", "type": "INT64"}, {"name": "status", "type": "STRING"}, {"name": "title", "type": "STRING"}]
TYPED.append({"name": "tags", "type": "STRING", "mode": "REPEATED"})
# Rows of other batches: one from before, and one from after the first write.
BEFORE, SINCE = 9, 8

# Each story: the jobs of each run, with the rows that each was sent again and what it wrote: the id of each row with its title,
# or with the status of its failure.
Job = tuple[str, dict[int, str]]
STORIES: Mapping[str, Sequence[Sequence[Job]]] = {
    "one job": [[("", {1: "a", 2: "b"})]],
    "a failure": [[("", {1: "a", 2: BAD})]],
    "sent again at once": [[("", {1: "a", 2: BUSY}), (RETRYABLE, {2: "b"})]],
    "sent again in vain": [[("", {1: "a", 2: BUSY}), (RETRYABLE, {2: BAD})]],
    "divided": [[("", {1: "a"}), ("", {2: "b", 3: "c"})]],
    "divided and sent again": [[("", {1: "a"}), ("", {2: BUSY}), (RETRYABLE, {2: "b"})]],
    "retried": [[("", {1: "a", 2: BAD})], [(FAILED, {2: "b"})]],
    "retried in vain": [[("", {1: "a", 2: BAD})], [(FAILED, {2: BUSY})]],
    "retried, and nothing came back": [[("", {1: "a", 2: BAD})], []],
    "retried for rows that were missing": [[("", {1: "a"})], [(FAILED, {2: "b"})]],
    "retried and sent again": [[("", {1: "a", 2: BAD, 3: BAD})], [(FAILED, {2: "b", 3: BUSY}), (RETRYABLE, {3: "c"})]],
    "retried twice": [[("", {1: "a", 2: BAD, 3: BAD})], [(FAILED, {2: "b", 3: BUSY})], [(FAILED, {3: "c"})]],
    "divided and retried": [[("", {1: "a", 2: BAD}), ("", {3: BAD})], [(FAILED, {2: "b", 3: "c"})]],
}


class Batch:
    """A batch whose jobs have ended: it writes what they have answered, as the poller does."""

    def __init__(self, world: BigQueryWorld, dataset: str, write: str, results: str | None = None) -> None:
        self._world, self._dataset = world, dataset
        self._services = services_at()
        self._services.tables = Tables(world.client())
        self._jobs = BigQueryJobs(world.client())
        self.output, self.results = (f"{PROJECT}.{dataset}.{kind}_{uuid.uuid4().hex[:8]}" for kind in ("out", "typed"))
        key = {"key": ["id"]} if write == "merge" else {}
        columns = {"title": "STRING $.title", "tags": "ARRAY<STRING> $.tags"}
        message: dict[str, Any] = {
            "model": "gemini-3.8-flash",
            "input": f"bq://{PROJECT}.{dataset}.requests",
            "output": {"table": f"bq://{self.output}", "write": write, **key},
        }
        if results is not None:
            message["results"] = {"table": self.results, "write": results, "columns": columns}
        self._facts = BatchFacts(message["input"], f"bq://{self.output}", answers="bq://p.d.a")
        self._item = batch_item(request=BatchMessage(message, NOW, "gemini-3.8-flash"), location="US", steps=())

    def job(self, mode: str, rows: Mapping[int, str], *, created: str = "") -> None:
        """Let a job end that wrote these rows; ``created`` is when Gemini created the answers."""
        name = self.table("answers", COLUMNS, [answer(id_, text, created) for id_, text in rows.items()])
        round_ = BatchRound(f"bq://{PROJECT}.{self._dataset}.requests", f"bq://{name}", mode)
        self._facts = replace(self._facts, rounds=(*self._facts.rounds, round_))

    def write(self) -> None:
        """Write the answers, as the last steps of a run."""
        facts = replace(self._facts, result=BatchResult("JOB_STATE_SUCCEEDED", 1, 0, 0))
        item: Item = replace(self._item, facts=facts)
        request = request_of(item, SETTINGS)
        results = () if request.results is None else (Step("flatten", System.BIGQUERY),)
        for step in (*after_review(item, SETTINGS).steps, *results):
            self._run(query_of(item, step, request, self._services))
        written = len(facts.rounds)
        self._facts = replace(self._facts, moved=written, flattened=written if request.results else 0)

    def table(self, kind: str, columns: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
        """Create a table and return its name."""
        name = kind if "." in kind else f"{PROJECT}.{self._dataset}.{kind}_{uuid.uuid4().hex[:8]}"
        self._world.bigquery.tables.write(name, [dict(each) for each in columns], (dict(row) for row in rows))
        return name

    def titles(self) -> dict[int, str]:
        """Return the title of each row of the output, or the status of its failure."""
        rows = self._world.rows(
            f"SELECT id, IF(status = '', JSON_VALUE(JSON_VALUE(response, '$.candidates[0].content.parts[0].text'), '$.title'), "
            f"status) FROM `{self.output}`"
        )
        return _each_once(rows)

    def typed_titles(self) -> dict[int, str]:
        """Return the same of the typed results."""
        return _each_once(self._world.rows(f"SELECT id, IF(status = '', title, status) FROM `{self.results}`"))

    def _run(self, query: Query) -> None:
        job = self._jobs.submit(query, uuid.uuid4().hex, "US", since=NOW)
        self._world.client().get_job(job.id, location="US").result()


def answer(id_: int, text: str, created: str = "") -> dict[str, Any]:
    """Return a row of answers."""
    row: dict[str, Any] = {"id": id_, "request": f"request {id_}", "response": None, "status": ""}
    if text in {BUSY, BAD}:
        return {**row, "status": text}
    title = json.dumps({"title": text, "tags": ["x", text]})
    response = {
        "candidates": [{"content": {"parts": [{"text": title}]}}],
        **({"createTime": created} if created else {}),
    }
    return {**row, "response": json.dumps(response)}


def _each_once(rows: Sequence[tuple[Any, ...]]) -> dict[int, str]:
    found = dict(rows)
    assert len(found) == len(rows), f"a row is there twice: {sorted(rows)}"
    return found


def expected(runs: Sequence[Sequence[Job]]) -> dict[int, str]:
    """Return the last that each row of a story has."""
    return {id_: text for run in runs for _, rows in run for id_, text in rows.items()}


QUICK = {("merge", "truncate", "retried twice")}
CASES = [
    pytest.param(write, results, story, marks=() if (write, results, story) in QUICK else (pytest.mark.matrix,))
    for write in ("empty", "append", "truncate", "merge")
    for results in ("empty", "truncate")
    for story in STORIES
]


@pytest.mark.long
@pytest.mark.parametrize(("write", "results", "story"), CASES)
def test_each_row_is_in_the_output_and_in_the_results_once(
    world: BigQueryWorld, dataset: str, write: str, results: str, story: str
) -> None:
    runs = STORIES[story]
    batch = Batch(world, dataset, write, results)
    if write != "empty":
        batch.table(batch.output, COLUMNS, [answer(BEFORE, "before")])
    if results != "empty":
        typed = {"id": BEFORE, "status": "", "title": "before", "tags": []}
        batch.table(batch.results, TYPED, [typed])
    for number, run in enumerate(runs):
        for mode, rows in run:
            batch.job(mode, rows)
        batch.write()
        if number == 0:
            # Another batch writes rows of its own.
            world.rows(f"INSERT INTO `{batch.output}` (id, request, status) VALUES ({SINCE}, 'r', '{BAD}')")
            world.rows(f"INSERT INTO `{batch.results}` (id, status, title) VALUES ({SINCE}, '{BAD}', NULL)")
    kept = {BEFORE: "before"} if write in {"append", "merge"} else {}
    assert batch.titles() == {**kept, SINCE: BAD, **expected(runs)}
    assert batch.typed_titles() == {SINCE: BAD, **expected(runs)}


OLD, NEWER, NEWEST = "2026-11-20T08:00:00Z", "2026-11-20T09:00:00.5Z", "2026-11-20T10:00:00.123456Z"


@pytest.mark.parametrize(
    ("second", "created", "retried", "found"),
    [
        # Key 2 of the second batch, when Gemini created its answers, what the retry got, and what remains.
        ("B2", NEWER, "A2", "A2"),
        pytest.param("B2", "", "A2", "A2", marks=pytest.mark.long),
        pytest.param("B2", "2026-11-20T11:00:00Z", "A2", "B2", marks=pytest.mark.long),
        pytest.param("B2", NEWER, BAD, "B2", marks=pytest.mark.long),
        pytest.param(BUSY, NEWER, BAD, BAD, marks=pytest.mark.long),
        pytest.param(BUSY, NEWER, "A2", "A2", marks=pytest.mark.long),
    ],
)
def test_a_retry_into_a_merge_writes_only_the_rows_that_it_sent_again(
    world: BigQueryWorld, dataset: str, second: str, created: str, retried: str, found: str
) -> None:
    first = Batch(world, dataset, "merge")
    first.job("", {1: "A1", 2: BAD, 3: "A3", 4: "A4", 5: "A5"}, created=OLD)
    first.write()
    rows = {1: "B1", 2: second, 3: "B3", 4: "B4", 5: "B5"}
    world.rows(f"DELETE FROM `{first.output}` WHERE TRUE")
    name = first.table("others", COLUMNS, [answer(id_, text, created) for id_, text in rows.items()])
    world.rows(f"INSERT INTO `{first.output}` SELECT * FROM `{name}`")
    first.job(FAILED, {2: retried}, created=NEWEST)
    first.write()
    assert first.titles() == {**rows, 2: found}


@pytest.mark.long
def test_an_answer_does_not_replace_one_that_gemini_created_later(world: BigQueryWorld, dataset: str) -> None:
    batch = Batch(world, dataset, "merge")
    rows = [answer(1, "new", NEWEST), answer(2, "old", OLD), answer(3, "unknown"), answer(4, BAD)]
    batch.table(batch.output, COLUMNS, rows)
    batch.job("", dict.fromkeys((1, 2, 3, 4), "mine"), created=NEWER)
    batch.write()
    assert batch.titles() == {1: "new", 2: "mine", 3: "mine", 4: "mine"}


@pytest.mark.long
@pytest.mark.parametrize("write", ["append", "merge"])
def test_all_answers_are_written_if_the_output_was_deleted_meanwhile(
    world: BigQueryWorld, dataset: str, write: str
) -> None:
    batch = Batch(world, dataset, write)
    batch.job("", {1: "a", 2: BAD})
    batch.write()
    world.rows(f"DROP TABLE `{batch.output}`")
    batch.job(FAILED, {2: "b"})
    batch.write()
    assert batch.titles() == {1: "a", 2: "b"}
