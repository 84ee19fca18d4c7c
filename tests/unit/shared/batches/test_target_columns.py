"""Answers that do not fit the columns of the output are refused before a job is paid."""

from __future__ import annotations

from typing import Any

import pytest

from shared.batches.output.places import reads
from shared.batches.output.target_columns import check_target_columns
from shared.checks.identifiers import TableName
from shared.checks.merge_keys import check_key
from shared.errors import Rejected

TARGET = TableName("my-project", "news", "summaries")
ADDED = ("response", "status")
COLUMNS = ({"name": "id", "type": "INTEGER"}, {"name": "request", "type": "STRING"})
ANSWERS = tuple({"name": name, "type": "STRING"} for name in ("request", *ADDED))


def _columns(kind: str, **more: Any) -> tuple[dict[str, Any], ...]:
    return ({"name": "ID", "type": kind, **more}, *ANSWERS)


def _refusal(existing: Any, columns: Any = COLUMNS) -> tuple[str, str]:
    with pytest.raises(Rejected) as caught:
        check_target_columns(TARGET, existing, columns, ADDED, converts=True, field="output")
    assert caught.value.problem.field == "output"
    return caught.value.problem.code, caught.value.problem.message


@pytest.mark.parametrize(
    "existing",
    [
        _columns("INT64"),
        _columns("FLOAT"),
        _columns("NUMERIC", mode="REQUIRED"),
        (*_columns("INTEGER"), {"name": "note", "type": "STRING"}),
        (*_columns("INTEGER"), {"name": "at", "type": "DATE", "mode": "REQUIRED", "defaultValueExpression": "now"}),
        (*_columns("INTEGER")[:2], {"name": "response", "type": "JSON"}, {"name": "status", "type": "STRING"}),
    ],
)
def test_answers_that_can_be_inserted_are_accepted(existing: Any) -> None:
    check_target_columns(TARGET, existing, COLUMNS, ADDED, converts=True, field="output")


@pytest.mark.parametrize(
    ("existing", "right"),
    [
        (
            _columns("STRING"),
            "column id of the table my-project.news.summaries is of type STRING, and the answers have INT64",
        ),
        (_columns("INTEGER", mode="REPEATED"), "of type ARRAY"),
        (_columns("RECORD"), "of type STRUCT"),
        ((*_columns("INTEGER")[:3], {"name": "status", "type": "INTEGER"}), "column status"),
    ],
)
def test_a_column_of_another_type_is_named(existing: Any, right: str) -> None:
    code, message = _refusal(existing)
    assert code == "wrong_type" and right in message


def test_a_column_that_the_output_lacks_or_that_it_requires_is_named() -> None:
    assert _refusal(ANSWERS) == (
        "missing_column",
        "the table my-project.news.summaries has no column id, which the answers have; write another table, or add the columns",
    )
    code, message = _refusal((*_columns("INTEGER"), {"name": "team", "type": "STRING", "mode": "REQUIRED"}))
    assert code == "missing_column" and "requires a value in the column team" in message


def test_a_table_that_a_job_writes_as_its_destination_needs_the_same_types() -> None:
    existing = _columns("FLOAT")
    with pytest.raises(Rejected) as caught:
        check_target_columns(TARGET, existing, COLUMNS, ADDED, converts=False, field="output")
    assert caught.value.problem.code == "wrong_type"
    as_json = tuple({**column, "type": "JSON"} if column["name"] == "response" else column for column in ANSWERS)
    check_target_columns(TARGET, (COLUMNS[0], *as_json), COLUMNS, ADDED, converts=False, field="output")


def test_requests_in_files_have_unknown_columns() -> None:
    check_target_columns(TARGET, _columns("INTEGER", mode="REQUIRED"), (), ADDED, converts=True, field="output")
    check_key(("id",), (), "the requests")


@pytest.mark.parametrize(
    ("key", "kind", "field", "code"),
    [
        (("id", "ID"), "INTEGER", "output.key[1]", "duplicate_column"),
        (("request", "other"), "INTEGER", "output.key[1]", "unknown_column"),
        (("id",), "FLOAT", "output.key[0]", "wrong_type"),
        (("id",), "JSON", "output.key[0]", "wrong_type"),
    ],
)
def test_a_key_that_cannot_identify_rows_is_refused(key: tuple[str, ...], kind: str, field: str, code: str) -> None:
    with pytest.raises(Rejected) as caught:
        check_key(key, ({"name": "id", "type": kind}, COLUMNS[1]), "the requests")
    assert (caught.value.problem.field, caught.value.problem.code) == (field, code)


@pytest.mark.parametrize(
    ("read", "expected"),
    [("summaries", True), ("summaries$20260101", True), ("summ*", True), ("summ", False), ("other*", False)],
)
def test_a_partition_and_a_wildcard_read_their_tables(read: str, expected: bool) -> None:
    table = TableName("my-project", "news", read)
    assert reads([table], TARGET) is expected
    assert reads([table], TableName("my-project", "news", "summaries$20260102")) is expected
    assert reads([table], TableName("my-project", "News", "summaries")) is False
