"""The check of a `modeldrop.yaml`: what is read, what is refused with its field and line, and what a result means."""

from __future__ import annotations

from typing import Any

import pytest

from shared.checks.identifiers import ModelName
from shared.drops.checks import statements, verdict
from shared.drops.checks.checking import CHECK_FIELD
from shared.drops.checks.model_check import CheckedRow, ModelCheck
from shared.drops.manifest import read_manifest
from shared.errors import Rejected
from shared.work_facts import CheckResult, ModelColumn, ModelSignature

MODEL = ModelName("p-12", "films", "genres__candidate_01234567")
ROWS = """
check:
  rows:
    - input: {title: it's, scores: [1, 2.5]}
      expected: {label: drama, probabilities: [0, 1]}
    - input: {title: null, scores: []}
      expected: {label: null, probabilities: [1, 0]}
  tolerance: 0.01
"""
SIGNATURE = ModelSignature(
    "ONNX",
    (ModelColumn("title", "STRING"), ModelColumn("scores", "ARRAY<FLOAT64>")),
    (ModelColumn("label", "STRING"), ModelColumn("probabilities", "ARRAY<FLOAT64>")),
)
COLUMNS: list[dict[str, Any]] = [
    {"name": "y", "type": "FLOAT", "mode": "NULLABLE"},
    {"name": "parts", "type": "FLOAT", "mode": "REPEATED"},
    {"name": "label", "type": "STRING"},
]


def _check(text: str) -> ModelCheck:
    check = read_manifest(text.encode(), "p-12").check
    assert check is not None
    return check


def test_rows_are_read_with_their_expected_outputs() -> None:
    check = _check(ROWS)
    assert check.rows[0] == CheckedRow(
        (("scores", (1, 2.5)), ("title", "it's")), (("label", "drama"), ("probabilities", (0, 1)))
    )
    assert (check.query, check.metric, check.tolerance) == (None, None, 0.01)


def test_rows_become_a_query_with_the_types_of_the_model() -> None:
    assert statements.input_query(_check(ROWS), SIGNATURE) == (
        "SELECT ARRAY<FLOAT64>[1.0, 2.5] AS `scores`, 'it\\'s' AS `title`, "
        "'drama' AS `expected_label`, ARRAY<FLOAT64>[0.0, 1.0] AS `expected_probabilities`\n"
        "UNION ALL SELECT ARRAY<FLOAT64>[] AS `scores`, CAST(NULL AS STRING) AS `title`, "
        "CAST(NULL AS STRING) AS `expected_label`, ARRAY<FLOAT64>[1.0, 0.0] AS `expected_probabilities`"
    )


def test_a_tolerance_may_have_an_exponent() -> None:
    assert _check("check: {query: SELECT 1, tolerance: 1e-6}").tolerance == 1e-6


def test_a_metric_has_a_limit() -> None:
    check = _check("check: {query: SELECT x FROM d.t, metric: AVG(ABS(y - x)), at_most: 1, at_least: 0.5}")
    assert (check.metric, check.at_least, check.at_most) == ("AVG(ABS(y - x))", 0.5, 1.0)


@pytest.mark.parametrize(
    ("text", "field", "line"),
    [
        ("check: {}", "check", 1),
        ("check: {query: SELECT 1, rows: []}", "check", 1),
        ("check:\n  qurey: SELECT 1", "check", 1),
        ("check:\n  query: SELECT 1; DROP TABLE d.t", "check.query", 2),
        ("check:\n  query: SELECT 1\n  tolerance: -1", "check.tolerance", 3),
        ("check:\n  query: SELECT 1\n  tolerance: '1'", "check.tolerance", 3),
        ("check:\n  query: SELECT 1\n  tolerance: .inf", "check.tolerance", 3),
        ("check:\n  query: SELECT 1\n  metric: MAX(y)", "check.metric", 3),
        ("check:\n  query: SELECT 1\n  at_most: 2", "check.metric", 1),
        ("check:\n  query: SELECT 1\n  metric: (SELECT 1)\n  at_most: 2", "check.metric", 3),
        ("check:\n  query: SELECT 1\n  metric: MAX(y\n  at_most: 2", "check.metric", 3),
        ("check:\n  query: SELECT 1\n  metric: MAX(y)\n  at_most: 2\n  at_least: 3", "check.at_least", 5),
        ("check: SELECT 1", "check", 1),
        ("check:\n  rows: []", "check.rows", 2),
        ("check:\n  rows:\n  - input:\n      x: 1\n      X: 2\n    expected: {y: 1}", "check.rows[0].input.x", 4),
        ("check:\n  rows:\n  - input: {expected_y: 1}\n    expected: {y: 1}", "check.rows[0].expected.y", 4),
        ("check:\n  rows:\n  - input: {on: 1}\n    expected: {y: 1}", "check.rows[0].input", 3),
        ("check:\n  rows:\n  - {input: {x: 1}}", "check.rows[0].expected", 3),
        ("check:\n  rows:\n  - input: {}\n    expected: {y: 1}", "check.rows[0].input", 3),
        ("check:\n  rows:\n  - input: {x: 1}\n    expected:\n      y: 2026-11-27", "check.rows[0].expected.y", 5),
        ("check:\n  query: SELECT 1\n  tolerance: 1e400", "check.tolerance", 3),
        ("check:\n  rows:\n  - input: {x: [1, a]}\n    expected: {y: 1}", "check.rows[0].input.x", 3),
        ("check:\n  rows:\n  - input: {x y: 1}\n    expected: {y: 1}", "check.rows[0].input.x y", 3),
        (
            "check:\n  rows:\n  - {input: {x: 1}, expected: {y: 1}}\n  - {input: {z: 1}, expected: {y: 1}}",
            "check.rows[1]",
            4,
        ),
    ],
)
def test_a_wrong_check_is_rejected_with_its_field_and_line(text: str, field: str, line: int) -> None:
    with pytest.raises(Rejected, match=rf"\(line {line} of modeldrop\.yaml\)$") as refusal:
        read_manifest(text.encode(), "p-12")
    assert refusal.value.problem.field == f"modeldrop.yaml.{field}"


def test_outputs_are_compared_with_the_columns_that_are_named_after_them() -> None:
    expected = [{**column, "name": f"Expected_{column['name']}"} for column in COLUMNS]
    assert statements.compared_outputs([*COLUMNS, *expected], "f") == ("y", "parts", "label")


@pytest.mark.parametrize(
    ("column", "code"),
    [
        ({"name": "z", "type": "FLOAT"}, "unknown_column"),
        ({"name": "expected_z", "type": "FLOAT"}, "unknown_column"),
        ({"name": "expected_y", "type": "STRING"}, "type_mismatch"),
        ({"name": "expected_parts", "type": "FLOAT"}, "type_mismatch"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_rejected(column: dict[str, Any], code: str) -> None:
    with pytest.raises(Rejected) as refusal:
        statements.compared_outputs([*COLUMNS, column], "f")
    assert refusal.value.problem.code == code


COMPARED = _check("check: {query: SELECT x AS expected_y FROM d.t}")
MEASURED = _check("check: {query: SELECT x FROM d.t, metric: AVG(y), at_least: 0.9, at_most: 2}")
RIGHT = {"row_count": 10, "output_0": "y", "wrong_0": 0, "example_0": None, "wrong_rows": 0}


@pytest.mark.parametrize(
    ("check", "row", "result", "message"),
    [
        (COMPARED, RIGHT, CheckResult(10, wrong_rows=0), None),
        (COMPARED, {**RIGHT, "row_count": 0}, CheckResult(0, wrong_rows=0), "has no rows"),
        (
            COMPARED,
            {**RIGHT, "wrong_0": 3, "example_0": "7.0 instead of 8.0", "wrong_rows": 3},
            CheckResult(10, wrong_rows=3),
            "in 3 of 10 rows the output y differs from expected_y by more than 0.0001. One is 7.0 instead of 8.0",
        ),
        (MEASURED, {"row_count": 4, "value": 1.5}, CheckResult(4, value=1.5), None),
        (MEASURED, {"row_count": 4, "value": 0.5}, CheckResult(4, value=0.5), "is 0.5, and must be at least 0.9"),
        (MEASURED, {"row_count": 4, "value": 2.5}, CheckResult(4, value=2.5), "is 2.5, and must be at most 2"),
        (MEASURED, {"row_count": 4, "value": None}, CheckResult(4), "is NULL, and must be at least 0.9 and at most 2"),
        (MEASURED, {"row_count": 4, "value": float("nan")}, None, "is nan, and must be"),
    ],
)
def test_a_result_says_whether_the_model_has_passed(
    check: ModelCheck, row: dict[str, Any], result: CheckResult | None, message: str | None
) -> None:
    if result is not None:
        assert verdict.result_of(check, row) == result
    problem = verdict.problem_of(check, row, CHECK_FIELD)
    assert (problem is None) if message is None else (problem is not None and message in problem.message)
