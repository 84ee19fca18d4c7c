"""The SQL that loads lines of JSONL and takes them apart, on files as Vertex AI writes them."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

import pytest

from shared.batch_work import RETRYABLE, LineColumn, LineFormat
from shared.batches.answers.answers import AnswerTable, all_answers, review
from shared.batches.answers.repeating import requests_to_repeat
from shared.batches.inputs.rules import Requests
from shared.batches.inputs.tables import check_requests, read_check
from shared.batches.lines.statements import (
    answer_columns,
    answers_of_lines,
    comparable_requests,
    load_lines,
    requests_for_answers,
    requests_of_lines,
)
from shared.batches.typed.flattening import flatten
from shared.batches.typed.results import ResultColumn
from shared.checks.identifiers import TableName
from tests.localcloud.bigquery.world import BUCKET, PROJECT, BigQueryWorld

FORMAT = LineFormat("generate", (LineColumn("id", "INT64"), LineColumn("about it", "JSON")))
BUSY = 'Too Many Requests: {"error": {"code": 429, "message": "later", "status": "RESOURCE_EXHAUSTED"}}'


def _request(text: str) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


def _answer(text: str, answer: str, status: str = "", **others: Any) -> dict[str, Any]:
    response = {"candidates": [{"content": {"parts": [{"text": answer}]}}], "usageMetadata": {"promptTokenCount": 5}}
    line = {"status": status, "processed_time": "2026-11-27T00:00:00.000Z", "request": _request(text)}
    return {**line, "response": {} if status or not answer else response, **others}


def _loaded(world: BigQueryWorld, dataset: str, *lines: Any, end: str = "\n") -> TableName:
    """Write lines into a file, load it and return the table."""
    name, table = f"{uuid.uuid4().hex}/predictions", TableName(PROJECT, dataset, f"t_{uuid.uuid4().hex[:8]}")
    text = end.join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    world.storage.store.write(BUCKET, f"{name}.jsonl", io.BytesIO(text.encode()), content_type="application/jsonl")
    world.client().query_and_wait(load_lines(table, [f"gs://{BUCKET}/{name}*"]))
    return table


def _answers(table: TableName) -> AnswerTable:
    return AnswerTable(table, answer_columns(FORMAT), answers_of_lines(table, FORMAT))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_is_loaded_as_it_is(world: BigQueryWorld, dataset: str, end: str) -> None:
    """Quotes, commas, tabs, escapes and other characters are no matter, and empty lines are left out."""
    texts = ['a "quoted" text, and, commas', "tab\t and \\ and \n and \u2028", "\x01 ünï ☃ 🙂", "x" * 3_000_000, "'"]
    table = _loaded(world, dataset, *({"request": _request(text)} for text in texts), "", "  ", end=end)
    plain = LineFormat("generate")
    found = world.rows(f"SELECT request FROM {requests_of_lines(table, plain)}")
    assert sorted(json.loads(row[0])["contents"][0]["parts"][0]["text"] for row in found) == sorted(texts)


def test_answers_are_rows_with_the_fields_beside_their_requests(world: BigQueryWorld, dataset: str) -> None:
    about = {"lang": "de", "tags": [1, None]}
    table = _loaded(
        world,
        dataset,
        _answer("a", "yes", id=1, **{"about it": about}),
        _answer("b", "", BUSY, id=2**62),
        _answer("c", ""),
    )
    found = world.rows(
        f"SELECT id, TO_JSON_STRING(`about it`), response, status FROM {answers_of_lines(table, FORMAT)}"
    )
    found.sort(key=lambda row: str(row[0]))
    assert [(row[0], row[1] and json.loads(row[1]), row[3]) for row in found] == [
        (1, about, ""),
        (2**62, None, BUSY),
        (None, None, ""),
    ]
    answers = _answers(table)
    counts = {row[0]: row[1:4] for row in world.rows(review(all_answers([answers], [""]), answers))}
    assert counts == {"": (1, "", 5), "RESOURCE_EXHAUSTED": (1, BUSY, 0), "INCOMPLETE": (1, "", 0)}


@pytest.mark.long
def test_failed_and_absent_requests_are_sent_again_once(world: BigQueryWorld, dataset: str) -> None:
    texts = ["a", "b", "b", "c", "d"]
    given = _loaded(world, dataset, *({"request": _request(text), "id": n} for n, text in enumerate(texts)))
    # Vertex AI may write a request in another way.
    lines = [_answer("a", "yes", id=0), _answer("b", "yes", id=2), _answer("c", "", BUSY, id=3)]
    reordered = [json.dumps(line, separators=(",", " :  ")) for line in lines]
    first = _answers(_loaded(world, dataset, *reordered))
    again = requests_to_repeat(all_answers([first], [""]), first, RETRYABLE, sources=[requests_of_lines(given, FORMAT)])
    rows = world.rows(again)
    assert sorted(row[1] for row in rows) == [1, 3, 4]
    # Their answers take the place of the failures.
    later = _answers(_loaded(world, dataset, *(_answer(texts[number], "later", id=number) for number in (1, 3, 4))))
    together = all_answers([first, later], ["", RETRYABLE])
    assert sorted(row[0] for row in world.rows(f"SELECT id FROM ({together}) WHERE status = ''")) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["STRING", "JSON"])
def test_the_requests_of_a_table_are_compared_with_those_of_answers(
    world: BigQueryWorld, dataset: str, kind: str
) -> None:
    source = TableName(PROJECT, dataset, f"t_{uuid.uuid4().hex[:8]}")
    columns = [{"name": "id", "type": "INT64"}, {"name": "request", "type": kind}]
    rows = ({"id": n, "request": json.dumps(_request(text), indent=1)} for n, text in enumerate("ab"))
    world.bigquery.tables.write(str(source), columns, rows)
    format_ = LineFormat("generate", (LineColumn("id", "INT64"),))
    table = _loaded(world, dataset, _answer("a", "yes", id=0))
    answers = AnswerTable(table, answer_columns(format_), answers_of_lines(table, format_))
    sources = [comparable_requests(source.sql, columns, format_)]
    again = requests_to_repeat(all_answers([answers], [""]), answers, RETRYABLE, sources=sources)
    assert [row[1] for row in world.rows(again)] == [1]


# Columns of a table that a job wrote, of types that Vertex AI may give to the fields of lines.
WRITTEN = [
    [("id", "INTEGER"), ("request", "JSON"), ("about it", "JSON")],
    [("id", "FLOAT"), ("request", "STRING"), ("about it", "STRING")],
]


def _written(world: BigQueryWorld, dataset: str, kinds: list[tuple[str, str]], *numbers: int) -> AnswerTable:
    """Create a table with answers to requests of these numbers; the last one is a failure."""
    name = TableName(PROJECT, dataset, f"t_{uuid.uuid4().hex[:8]}")
    columns = [{"name": each, "type": kind} for each, kind in (*kinds, ("response", "JSON"), ("status", "STRING"))]
    rows = (
        {
            "id": number,
            "request": json.dumps(_request(f"text {number}"), indent=1),
            "about it": None if kinds[2][1] == "STRING" else '{"n": [1]}',
            "response": None if number == numbers[-1] else '{"candidates": []}',
            "status": BUSY if number == numbers[-1] else "",
        }
        for number in numbers
    )
    world.bigquery.tables.write(str(name), columns, rows)
    return AnswerTable(name, tuple(columns))


@pytest.mark.long
@pytest.mark.parametrize("kinds", WRITTEN)
def test_lines_that_are_in_no_row_of_a_table_are_sent_again(
    world: BigQueryWorld, dataset: str, kinds: list[tuple[str, str]]
) -> None:
    more = {} if kinds[2][1] == "STRING" else {"about it": {"n": [1]}}
    lines = [{"request": _request(f"text {number}"), "id": number, **more} for number in range(5)]
    given = _loaded(world, dataset, *lines)
    written = _written(world, dataset, kinds, 0, 3, 2)
    columns = written.columns[:3]
    sources = [sql for sql in [requests_for_answers(given, columns, Requests.GENERATE)] if sql]
    again = requests_to_repeat(all_answers([written], [""]), written, RETRYABLE, sources=sources, complete=True)
    found = world.rows(f"SELECT id, TO_JSON_STRING(request) FROM ({again})")
    assert sorted(row[0] for row in found) == [1, 2, 4]
    assert all(f"text {int(row[0])}" in row[1] for row in found)
    # An answer that belongs to no line: which lines have none is not known, and none is paid twice.
    foreign = _written(world, dataset, kinds, 0, 7, 2)
    again = requests_to_repeat(all_answers([foreign], [""]), foreign, RETRYABLE, sources=sources, complete=True)
    assert [row[0] for row in world.rows(f"SELECT id FROM ({again})")] == [2]


@pytest.mark.parametrize(
    "column", [{"name": "x", "type": "DATETIME"}, {"name": "x", "type": "STRING", "mode": "REPEATED"}]
)
def test_lines_are_not_compared_by_values_that_they_do_not_have(column: dict[str, str]) -> None:
    columns = [{"name": "request", "type": "JSON"}, column]
    assert requests_for_answers(TableName(PROJECT, "d", "t"), columns, Requests.GENERATE) is None


def test_texts_to_embed_are_in_the_instance_of_their_answer(world: BigQueryWorld, dataset: str) -> None:
    format_ = LineFormat("text_embedding", (LineColumn("id", "STRING"),))
    given = _loaded(world, dataset, {"content": "a text", "id": "7"})
    assert world.rows(f"SELECT content, id FROM {requests_of_lines(given, format_)}") == [("a text", "7")]
    line = {"instance": {"content": "a text", "id": "7"}, "predictions": [{"embeddings": 1}], "status": ""}
    table = _loaded(world, dataset, line)
    answers = AnswerTable(table, answer_columns(format_), answers_of_lines(table, format_))
    assert world.rows(f"SELECT content, id, {answers.code} FROM {answers.sql}") == [("a text", "7", "")]


@pytest.mark.long
def test_answers_in_files_become_typed_columns(world: BigQueryWorld, dataset: str) -> None:
    table = _loaded(world, dataset, _answer("a", 'Here: {"title": "x", "year": 7}', id=1), _answer("b", "", BUSY, id=2))
    columns = (ResultColumn("title", "STRING", "$.title"), ResultColumn("year", "INT64", "$.year"))
    answers = _answers(table)
    sql = flatten(f"({all_answers([answers], [''])})", answers.columns, columns)
    assert sorted(world.rows(f"SELECT id, status, title, year FROM ({sql})")) == [
        (1, "", "x", 7),
        (2, BUSY, None, None),
    ]


@pytest.mark.long
def test_loaded_requests_that_break_a_rule_are_found(world: BigQueryWorld, dataset: str) -> None:
    wrong = {"contents": [{"parts": [{"text": "no role"}]}]}
    lines = [{"request": _request("fine")}, {"request": wrong}, {"prompt": "x"}, "{", '{"request": "text"}']
    table = _loaded(world, dataset, *lines)
    sql = check_requests(requests_of_lines(table, LineFormat("generate")), is_json=False)
    rows = [dict(row) for row in world.client().query_and_wait(sql)]
    found = read_check(rows, input_files=1)
    assert found.requests == 5
    assert {finding.rule for finding in found.findings} == {"wrong_role", "empty_request", "not_json", "not_an_object"}
    # The lines have no numbers in a table.
    assert all(not finding.places for finding in found.findings)
