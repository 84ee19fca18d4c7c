"""What the result of a model's check means: the counts that events publish, and the problem if it failed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from shared.drops.checks.model_check import EXPECTED, ModelCheck
from shared.errors import Problem
from shared.work_facts import CheckResult

CHECK_FAILED = "check_failed"


def result_of(check: ModelCheck, row: Mapping[str, Any]) -> CheckResult:
    """Return the counts of a check; ``row`` is the one row of its query."""
    value = row.get("value")
    return CheckResult(
        rows=int(row["row_count"]),
        wrong_rows=None if check.metric is not None else int(row["wrong_rows"]),
        # An event cannot hold NaN or infinity.
        value=float(value) if value is not None and math.isfinite(value) else None,
    )


def problem_of(check: ModelCheck, row: Mapping[str, Any], field: str) -> Problem | None:
    """Return why a model did not pass its check; None if it did.

    Args:
        check: The check.
        row: The one row of its query.
        field: The field of `modeldrop.yaml` that holds the check.
    """
    rows = int(row["row_count"])
    if not rows:
        return Problem(CHECK_FAILED, "the query of the check has no rows, so it shows nothing", f"{field}.query")
    if check.metric is not None:
        return _problem_of_metric(check, row.get("value"), rows, field)
    outputs = [name.removeprefix("output_") for name in row if name.startswith("output_")]
    wrong = [index for index in outputs if int(row[f"wrong_{index}"])]
    if not wrong:
        return None
    first = wrong[0]
    output, count, example = row[f"output_{first}"], int(row[f"wrong_{first}"]), row[f"example_{first}"]
    more = f", and so do {', '.join(str(row[f'output_{index}']) for index in wrong[1:])}" if wrong[1:] else ""
    message = (
        f"the new model does not pass its check, and does not replace the one in use: in {count} of {rows} rows the output "
        f"{output} differs from {EXPECTED}{output} by more than {check.tolerance:g}{more}. One is {example}"
    )
    return Problem(CHECK_FAILED, message, field)


def _problem_of_metric(check: ModelCheck, value: Any, rows: int, field: str) -> Problem | None:
    limits = [
        f"{name} {limit:g}"
        for name, limit, holds in (
            ("at least", check.at_least, value is not None and check.at_least is not None and value >= check.at_least),
            ("at most", check.at_most, value is not None and check.at_most is not None and value <= check.at_most),
        )
        if limit is not None and not holds
    ]
    if not limits:
        return None
    found = "NULL" if value is None else f"{value:g}"
    message = (
        f"the new model does not pass its check, and does not replace the one in use: over {rows} rows the metric is {found}, "
        f"and must be {' and '.join(limits)}"
    )
    return Problem(CHECK_FAILED, message, f"{field}.metric")
