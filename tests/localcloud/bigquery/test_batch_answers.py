"""The SQL about the answers of a batch, on tables as Vertex AI writes them."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from shared.batch_work import FAILED, RETRYABLE
from shared.batches.answers.answers import AnswerTable, all_answers, review
from shared.batches.answers.moving import with_types_of
from shared.batches.answers.repeating import requests_to_repeat
from shared.batches.answers.replacing import replace_failures, sent_again
from shared.checks.identifiers import TableName
from tests.localcloud.bigquery.world import PROJECT, BigQueryWorld

ANSWER = (
    '{"candidates": [], "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "thoughtsTokenCount": 1}}'
)
BAD = 'Bad Request: {"error": {"code": 400, "message": "no", "status": "INVALID_ARGUMENT"}}'
BUSY = 'Too Many Requests: {"error": {"code": 429, "message": "later", "status": "RESOURCE_EXHAUSTED"}}'
Row = tuple[int, str, str | None, str]


def _table(world: BigQueryWorld, dataset: str, rows: Sequence[Row], kind: str = "STRING") -> AnswerTable:
    """Create a table of answers: id, request, response and status of each row."""
    name = TableName(PROJECT, dataset, f"t_{uuid.uuid4().hex[:8]}")
    columns = (
        {"name": "id", "type": "INT64"},
        {"name": "request", "type": "STRING"},
        {"name": "response", "type": kind},
        {"name": "status", "type": "STRING"},
    )
    names = [column["name"] for column in columns]
    world.bigquery.tables.write(
        str(name), [dict(each) for each in columns], (dict(zip(names, row, strict=True)) for row in rows)
    )
    return AnswerTable(name, columns)


def _one(table: AnswerTable) -> str:
    return all_answers([table], [""])


def _review(world: BigQueryWorld, table: AnswerTable) -> list[tuple[Any, ...]]:
    return world.rows(review(_one(table), table))


def _requests(world: BigQueryWorld, dataset: str, rows: Sequence[tuple[int, str]]) -> TableName:
    name = TableName(PROJECT, dataset, f"t_{uuid.uuid4().hex[:8]}")
    columns = [{"name": "id", "type": "INT64"}, {"name": "request", "type": "STRING"}]
    world.bigquery.tables.write(str(name), columns, ({"id": id_, "request": text} for id_, text in rows))
    return name


@pytest.mark.parametrize("kind", ["STRING", "JSON"])
def test_the_review_counts_rows_by_their_code_and_tokens(world: BigQueryWorld, dataset: str, kind: str) -> None:
    rows: list[Row] = [(1, "a", ANSWER, ""), (2, "b", ANSWER, ""), (3, "c", None, BAD), (4, "d", None, BUSY)]
    found: dict[str, Any] = {row[0]: row[1:] for row in _review(world, _table(world, dataset, rows, kind))}
    assert found == {
        "": (2, "", 10, 4, 2, 0),
        "INVALID_ARGUMENT": (1, BAD, 0, 0, 0, 0),
        "RESOURCE_EXHAUSTED": (1, BUSY, 0, 0, 0, 0),
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ('Unavailable: {"error": {"code": 503}}', "503"),
        ("429 Resource has been exhausted", "429"),
        ("DEADLINE_EXCEEDED: too slow", "DEADLINE_EXCEEDED"),
        ("Sorry", "UNKNOWN"),
        ("", "INCOMPLETE"),
    ],
)
def test_a_code_is_found_in_all_forms_of_a_status(world: BigQueryWorld, dataset: str, status: str, code: str) -> None:
    table = _table(world, dataset, [(1, "a", None, status)])
    assert world.rows(f"SELECT {table.code} FROM {table.table.sql}") == [(code,)]


def test_only_rows_that_may_be_answered_later_are_sent_again(world: BigQueryWorld, dataset: str) -> None:
    table = _table(
        world, dataset, [(1, "a", ANSWER, ""), (2, "b", None, BAD), (3, "c", None, BUSY), (3, "c", None, BUSY)]
    )
    assert sorted(world.rows(requests_to_repeat(_one(table), table, RETRYABLE))) == [(3, "c"), (3, "c")]
    assert sorted(world.rows(requests_to_repeat(_one(table), table, FAILED))) == [
        (2, "b"),
        (3, "c"),
        (3, "c"),
    ]


def test_requests_that_the_job_did_not_come_to_are_sent_again(world: BigQueryWorld, dataset: str) -> None:
    source = _requests(world, dataset, [(1, "a"), (2, "b"), (2, "b"), (3, "c")])
    table = _table(world, dataset, [(1, "a", ANSWER, ""), (2, "b", ANSWER, "")])
    assert sorted(world.rows(requests_to_repeat(_one(table), table, RETRYABLE, sources=[source.sql]))) == [
        (2, "b"),
        (3, "c"),
    ]


def test_answers_take_the_place_of_failures_and_no_row_is_lost_or_doubled(world: BigQueryWorld, dataset: str) -> None:
    first = _table(
        world,
        dataset,
        [(1, "a", ANSWER, ""), (2, "b", None, BUSY), (2, "b", None, BUSY), (3, "c", None, BAD), (4, "d", None, BUSY)],
    )
    # One of the two equal rows, and the last one, did not come back.
    second = _table(world, dataset, [(2, "b", ANSWER, "")])
    rows = world.rows(all_answers([first, second], ["", RETRYABLE]))
    assert Counter((row[0], row[3]) for row in rows) == Counter(
        {(1, ""): 1, (2, ""): 1, (2, BUSY): 1, (3, BAD): 1, (4, BUSY): 1}
    )


def test_the_answers_of_the_parts_of_a_batch_are_put_together(world: BigQueryWorld, dataset: str) -> None:
    parts = [_table(world, dataset, [(number, "a", ANSWER, "")]) for number in range(2)]
    rows = world.rows(all_answers(parts, ["", ""]))
    assert sorted(row[0] for row in rows) == [0, 1]


@pytest.mark.long
def test_answers_replace_the_failures_of_their_own_batch_alone(world: BigQueryWorld, dataset: str) -> None:
    former = [(1, "a", ANSWER, ""), (2, "b", None, BAD), (2, "b", None, BAD), (3, "c", None, BAD)]
    # Another batch has appended answers and failures to the same table, two of which are equal to rows of this one.
    others = [(2, "b", None, BAD), (2, "b", None, BUSY), (3, "c", ANSWER, ""), (9, "z", None, BAD)]
    own, target = _table(world, dataset, former), _table(world, dataset, [*former, *others])
    later = _table(world, dataset, [(2, "b", ANSWER, ""), (2, "b", None, BAD), (3, "c", ANSWER, "")])
    world.rows(replace_failures(target, sent_again(_one(own), own, [later], [FAILED])))
    found = world.rows(f"SELECT id, request, response, status FROM {target.table.sql}")
    expected = [former[0], (2, "b", ANSWER, ""), (2, "b", None, BAD), (3, "c", ANSWER, ""), *others]
    assert Counter(found) == Counter(expected)


@pytest.mark.parametrize("kinds", [("STRING", "JSON"), pytest.param(("JSON", "STRING"), marks=pytest.mark.long)])
def test_failures_are_replaced_in_an_output_of_other_types(
    world: BigQueryWorld, dataset: str, kinds: tuple[str, str]
) -> None:
    given, wanted = kinds
    former: list[Row] = [(1, "a", ANSWER, ""), (2, "b", None, BAD)]
    own, target = _table(world, dataset, former, given), _table(world, dataset, former, wanted)
    later = _table(world, dataset, [(2, "b", ANSWER, "")], given)
    own, later = (with_types_of(each, target.columns) for each in (own, later))
    world.rows(replace_failures(target, sent_again(_one(own), own, [later], [FAILED])))
    found = world.rows(f"SELECT id, response IS NULL, status FROM {target.table.sql}")
    assert sorted(found) == [(1, False, ""), (2, False, "")]


@pytest.mark.long
def test_rows_of_others_keep_the_columns_that_answers_do_not_have(world: BigQueryWorld, dataset: str) -> None:
    own = _table(world, dataset, [(1, "a", None, BAD)])
    later = _table(world, dataset, [(1, "a", ANSWER, "")])
    wide = TableName(PROJECT, dataset, f"t_{uuid.uuid4().hex[:8]}")
    rows = " UNION ALL ".join(f"SELECT '{team}' AS team, * FROM {own.table.sql}" for team in ("x", "x"))
    world.rows(f"CREATE TABLE {wide.sql} AS {rows}")
    target = AnswerTable(wide, ({"name": "team", "type": "STRING"}, *own.columns))
    world.rows(replace_failures(target, sent_again(_one(own), own, [later], [FAILED])))
    found = world.rows(f"SELECT team, id, status FROM {wide.sql}")
    assert Counter(found) == Counter([(None, 1, ""), ("x", 1, BAD)])
