"""The files of prompts: how their columns are named, and what the query must have."""

from __future__ import annotations

from typing import Any

import pytest

from shared.batches.inputs.files import FileColumn, check_file_columns, prompts_problem, read_files
from shared.batches.inputs.rules import Finding, InputCheck
from shared.checks.fields import Fields
from shared.errors import Rejected

COLUMNS: list[dict[str, Any]] = [
    {"name": "prompt", "type": "STRING"},
    {"name": "Poster", "type": "STRING"},
    {"name": "pages", "type": "STRING", "mode": "REPEATED"},
    {"name": "kind", "type": "STRING"},
    {"name": "id", "type": "INTEGER"},
]


def _read(files: object) -> tuple[FileColumn, ...]:
    return read_files(Fields({"files": files}, "input.prompts"))


def test_columns_of_files_are_read() -> None:
    files = {"a": None, "b": "image/png", "c": {"mime_type": "video/mp4"}, "d": {"mime_column": "kind"}, "e": {}}
    assert _read(files) == (
        FileColumn("a"),
        FileColumn("b", mime_type="image/png"),
        FileColumn("c", mime_type="video/mp4"),
        FileColumn("d", mime_column="kind"),
        FileColumn("e"),
    )
    assert _read(None) == ()


@pytest.mark.parametrize(
    ("files", "field"),
    [
        (["a"], "input.prompts.files"),
        ({"a b": None}, "input.prompts.files.a b"),
        ({"a": 1}, "input.prompts.files.a"),
        ({"a": "png"}, "input.prompts.files.a"),
        ({"a": {"mime": "image/png"}}, "input.prompts.files.a.mime"),
        ({"a": {"mime_type": "image/png", "mime_column": "b"}}, "input.prompts.files.a"),
        ({"a": {"mime_column": "b`"}}, "input.prompts.files.a.mime_column"),
        ({f"a{n}": None for n in range(17)}, "input.prompts.files"),
    ],
)
def test_a_wrong_column_of_files_is_rejected_with_its_field(files: object, field: str) -> None:
    with pytest.raises(Rejected) as refusal:
        _read(files)
    assert refusal.value.problem.field == field


def test_a_misspelt_mime_type_is_rejected_with_what_was_meant() -> None:
    with pytest.raises(Rejected, match="did you mean image/jpeg"):
        _read({"a": "image/jpg"})


def test_arrays_among_the_columns_are_returned() -> None:
    files = (FileColumn("poster"), FileColumn("pages"))
    assert check_file_columns(files, COLUMNS, "input.prompts.files") == ("pages",)


@pytest.mark.parametrize(
    ("file", "code"),
    [
        (FileColumn("postr"), "missing_column"),
        (FileColumn("id"), "wrong_type"),
        (FileColumn("poster", mime_column="type"), "missing_column"),
        (FileColumn("poster", mime_column="pages"), "wrong_type"),
    ],
)
def test_a_column_that_the_query_does_not_have_as_text_is_rejected(file: FileColumn, code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        check_file_columns((file,), COLUMNS, "input.prompts.files")
    assert (refusal.value.problem.code, refusal.value.problem.field) == (code, f"input.prompts.files.{file.column}")


@pytest.mark.parametrize(
    ("rule", "columns", "field"),
    [
        ("no_mime_type", ["poster"], "input.prompts.files.poster"),
        ("wrong_uri", ["poster", "scan"], "input.prompts.files"),
        ("empty_part", ["poster"], "input.prompts.query"),
        ("repeated_key", ["poster"], "output.key"),
    ],
)
def test_a_problem_of_prompts_names_the_field_that_it_is_about(rule: str, columns: list[str], field: str) -> None:
    check = InputCheck(5, 9, 5, (Finding(rule, 2, ("row 1", "row 4")),))
    problem = prompts_problem(check, [FileColumn(column) for column in columns])
    assert problem is not None
    assert (problem.code, problem.field) == (rule, field)
    assert "2 of 5 requests" in problem.message and "row 4" in problem.message
    assert (", ".join(columns) in problem.message) is field.startswith("input.prompts.files")
