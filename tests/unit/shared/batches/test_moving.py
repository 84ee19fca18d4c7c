"""The query that moves answers into the output: it keeps what is there, and the types of the table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from shared.batches.answers.answers import AnswerTable
from shared.batches.answers.moving import move_query, with_types_of
from shared.batches.request import Output
from shared.checks.identifiers import TableName
from shared.cloud.query_jobs import Query
from shared.cloud.tables import TableFacts

OWN = TableName("p-12345", "films", "modeldrop_answers_x")
TARGET = TableName("p-12345", "films", "answers")
PARTITION = TableName("p-12345", "films", "answers$20261126")


def _columns(**types: str) -> tuple[Mapping[str, Any], ...]:
    return tuple({"name": name, "type": kind} for name, kind in types.items())


ANSWERS = AnswerTable(OWN, _columns(id="INTEGER", response="JSON", status="STRING", processed_time="STRING"))
EXISTING = TableFacts("TABLE", 0, _columns(day="DATE", Response="STRING", id="INTEGER", status="STRING"))


def _move(write: str, target: TableName = TARGET, existing: TableFacts | None = EXISTING) -> Query:
    return move_query("SELECT 1", ANSWERS, target, Output(target, write, ("id",) if write == "merge" else ()), existing)


@pytest.mark.parametrize(("write", "existing"), [("empty", None), ("append", None), ("truncate", EXISTING)])
def test_a_table_that_is_new_or_replaced_gets_the_columns_of_the_answers(
    write: str, existing: TableFacts | None
) -> None:
    query = _move(write, existing=existing)
    assert (query.destination, query.write) == (TARGET, write)
    assert query.sql.startswith("SELECT `id`, `response`, `status`, `processed_time`\n")


@pytest.mark.parametrize("write", ["empty", "append"])
def test_a_table_that_exists_keeps_its_columns_and_types(write: str) -> None:
    query = _move(write)
    assert query.destination is None
    assert query.sql.startswith(f"INSERT INTO {TARGET.sql} (`id`, `response`, `status`)\n")
    assert "TO_JSON_STRING(`response`) AS `response`" in query.sql
    # Another program may have written rows since the request was checked.
    assert ("ERROR('the table p-12345.films.answers has rows" in query.sql) is (write == "empty")


@pytest.mark.parametrize("write", ["empty", "append", "truncate"])
def test_a_partition_gets_all_columns_of_its_table(write: str) -> None:
    query = _move(write, PARTITION)
    assert (query.destination, query.write) == (PARTITION, write)
    assert query.sql.startswith(
        "SELECT CAST(NULL AS DATE) AS `day`, TO_JSON_STRING(`response`) AS `response`, `id`, `status`\n"
    )


def test_answers_get_the_types_that_they_have_in_the_output() -> None:
    answers = with_types_of(ANSWERS, EXISTING.columns)
    assert (
        answers.sql
        == f"(SELECT `id`, TO_JSON_STRING(`response`) AS `response`, `status`, `processed_time` FROM {OWN.sql})"
    )
    assert [column["type"] for column in answers.columns] == ["INTEGER", "STRING", "STRING", "STRING"]
    assert with_types_of(ANSWERS, ANSWERS.columns) is ANSWERS
