"""The columns of a table of requests, and of the query of prompts."""

from __future__ import annotations

from typing import Any

import pytest

from shared.batches.inputs.columns import check_query_columns, check_table_columns
from shared.batches.inputs.rules import Requests
from shared.errors import Rejected


def _columns(**kinds: str) -> list[dict[str, Any]]:
    """Return columns by name and type; a type in brackets is an array."""
    return [
        {"name": name, "type": kind.strip("[]"), "mode": "REPEATED" if kind.startswith("[") else "NULLABLE"}
        for name, kind in kinds.items()
    ]


def test_a_table_may_have_requests_as_text_or_json() -> None:
    assert check_table_columns(_columns(request="STRING", id="INTEGER"), "input") is False
    assert check_table_columns(_columns(id="BIGNUMERIC", request="JSON", seen="INTERVAL"), "input") is True
    assert check_table_columns(_columns(content="STRING"), "input", Requests.TEXT_EMBEDDING) is False


@pytest.mark.parametrize(
    ("columns", "code", "named"),
    [
        (_columns(id="INTEGER"), "missing_column", "request; its columns are id"),
        ([], "missing_column", "none"),
        (_columns(request="INTEGER"), "wrong_type", "INTEGER"),
        (_columns(request="[STRING]"), "wrong_type", "ARRAY"),
        (_columns(Request="STRING"), "wrong_column_name", "Request must be named request"),
        (_columns(request="STRING", status="STRING"), "reserved_column", "status"),
        (_columns(request="STRING", Response="STRING"), "reserved_column", "Response"),
        (_columns(request="STRING", _vertex_row_id="INTEGER"), "reserved_column", "_vertex_row_id"),
        (_columns(request="STRING", a="[STRING]"), "wrong_type", "a is of type ARRAY"),
        (_columns(request="STRING", a="RECORD"), "wrong_type", "RECORD"),
        (_columns(request="STRING", a="RANGE"), "wrong_type", "RANGE"),
        (_columns(request="STRING", a="DATETIME"), "wrong_type", "DATETIME"),
        (_columns(request="STRING", a="GEOGRAPHY"), "wrong_type", "GEOGRAPHY"),
    ],
)
def test_a_table_with_wrong_columns_is_rejected(columns: list[dict[str, Any]], code: str, named: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_table_columns(columns, "input")
    problem = refusal.value.problem
    assert (problem.code, problem.field) == (code, "input")
    assert named in problem.message


def test_texts_to_embed_must_be_text() -> None:
    with pytest.raises(Rejected, match="must be STRING"):
        check_table_columns(_columns(content="JSON"), "input", Requests.TEXT_EMBEDDING)


def test_the_columns_of_a_query_go_with_its_requests() -> None:
    assert check_query_columns(_columns(id="INTEGER", Prompt="STRING", ü="FLOAT"), "query") == ("id", "ü")


def test_arrays_of_files_do_not_go_with_the_requests() -> None:
    columns = _columns(prompt="STRING", poster="STRING", pages="[STRING]")
    assert check_query_columns(columns, "query", file_columns=["poster", "Pages"]) == ("poster",)
    with pytest.raises(Rejected, match="pages is of type ARRAY"):
        check_query_columns(columns, "query")


@pytest.mark.parametrize(
    ("columns", "code", "named"),
    [
        (_columns(prompt="STRING", f0_="INTEGER"), "unnamed_column", "column 2 of the query has no name"),
        (_columns(f0_="STRING"), "unnamed_column", "column 1"),
        (_columns(text="STRING"), "missing_column", "prompt"),
        (_columns(prompt="INTEGER"), "wrong_type", "INTEGER"),
        (_columns(prompt="STRING", Request="STRING"), "reserved_column", "Request"),
        (_columns(prompt="STRING", status="STRING"), "reserved_column", "status"),
        (_columns(prompt="STRING", a="INTEGER", A="INTEGER"), "duplicate_column", "A is there twice"),
        (_columns(prompt="STRING", Prompt="STRING"), "duplicate_column", "Prompt"),
        (_columns(prompt="STRING", _PARTITIONTIME="TIMESTAMP"), "invalid_column_name", "_PARTITIONTIME"),
        (_columns(prompt="STRING", **{"a.b": "STRING"}), "invalid_column_name", "a.b"),
        (_columns(prompt="STRING", **{"a" * 301: "STRING"}), "invalid_column_name", "300"),
        (_columns(prompt="STRING", a="DATETIME"), "wrong_type", "DATETIME"),
    ],
)
def test_a_query_with_wrong_columns_is_rejected(columns: list[dict[str, Any]], code: str, named: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_query_columns(columns, "input.prompts.query")
    problem = refusal.value.problem
    assert (problem.code, problem.field) == (code, "input.prompts.query")
    assert named in problem.message
