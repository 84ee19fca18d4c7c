"""The table of typed results: an empty one that exists must have the columns of the results."""

from __future__ import annotations

from typing import Any

import pytest

from shared.batches.answers.typed_table import check_result_columns
from shared.batches.typed.results import ResultColumn, Results
from shared.checks.identifiers import TableName
from shared.errors import Rejected

RESULTS = Results(
    TableName("p-12345", "films", "titles"),
    (ResultColumn("year", "INT64", "$.year"), ResultColumn("actors", "ARRAY<STRING>", "$.actors")),
)
RIGHT: dict[str, dict[str, Any]] = {
    "id": {"name": "ID", "type": "INTEGER"},
    "status": {"name": "status", "type": "STRING"},
    "year": {"name": "year", "type": "INTEGER", "mode": "NULLABLE"},
    "actors": {"name": "actors", "type": "STRING", "mode": "REPEATED"},
}


def _check(changes: dict[str, dict[str, Any] | None]) -> None:
    columns = [column for column in {**RIGHT, **changes}.values() if column is not None]
    check_result_columns(RESULTS, ("id",), columns)


def test_an_empty_table_with_the_columns_of_the_results_is_accepted() -> None:
    _check({})


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"id": None}, "missing_column"),
        ({"status": None}, "missing_column"),
        ({"year": {"name": "year", "type": "STRING"}}, "wrong_type"),
        ({"actors": {"name": "actors", "type": "STRING"}}, "wrong_type"),
    ],
)
def test_an_empty_table_with_other_columns_is_refused(changes: dict[str, dict[str, Any] | None], code: str) -> None:
    with pytest.raises(Rejected, match=r"let results\.write be truncate") as caught:
        _check(changes)
    assert (caught.value.problem.code, caught.value.problem.field) == (code, "results.table")
