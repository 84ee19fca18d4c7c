"""The `check` of a `modeldrop.yaml`: a model that does not pass it never replaces the one in use."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from shared.checks.fields import Fields
from shared.checks.identifiers import check_column
from shared.checks.query_guard import check_condition, check_query
from shared.settings import Settings

# The beginning of the names of the columns that hold expected outputs.
EXPECTED = "expected_"
DEFAULT_TOLERANCE = 0.0001
MOST_ROWS = 100

# A metric is computed over the rows of the query, so it needs no query of its own.
_SUBQUERY = re.compile(r"\bSELECT\b", re.IGNORECASE)
_EXAMPLE = "a query whose columns expected_<output> hold the outputs, or rows such as {input: {x: 1}, expected: {y: 2}}"

Value = str | int | float | bool | None | tuple[str | int | float | bool, ...]


@dataclass(frozen=True)
class CheckedRow:
    """A row of a check, with the outputs that the model must return."""

    inputs: tuple[tuple[str, Value], ...]
    expected: tuple[tuple[str, Value], ...]


@dataclass(frozen=True)
class ModelCheck:
    """What a new model must return before it replaces the one in use."""

    query: str | None = None
    """The query whose rows are the input; None if ``rows`` are."""
    rows: tuple[CheckedRow, ...] = ()
    tolerance: float = DEFAULT_TOLERANCE
    """How far a number may be from the expected one."""
    metric: str | None = None
    """An aggregate expression over the predictions; None if outputs are compared with columns."""
    at_least: float | None = None
    at_most: float | None = None

    @classmethod
    def read(cls, fields: Fields) -> ModelCheck:
        """Read the field `check`.

        Raises:
            Rejected: A field is wrong; the error names the first one.
        """
        if fields.has("query") == fields.has("rows"):
            problem = f"must have either query or rows{fields.suggestion('query', 'rows')}: write {_EXAMPLE}"
            raise fields.wrong("", problem, code="missing_field")
        query = fields.optional_text("query", longest=60_000)
        if query is not None:
            query = check_query(query, field=fields.path("query"), allow_external=True, allow_ai=True)
        rows = _rows(fields)
        metric = fields.optional_text("metric", longest=10_000)
        if metric is not None:
            metric = check_condition(metric, field=fields.path("metric"), allow_external=True, allow_ai=True)
            if query is None:
                raise fields.wrong("metric", "goes with query, and is computed over its rows")
            if _SUBQUERY.search(metric):
                raise fields.wrong(
                    "metric", "must be one aggregate expression, such as AVG(ABS(y - price)), not a query"
                )
        check = cls(
            query=query,
            rows=rows,
            tolerance=_tolerance(fields, metric),
            metric=metric,
            at_least=fields.optional_number("at_least"),
            at_most=fields.optional_number("at_most"),
        )
        fields.reject_unknown()
        if (metric is None) != (check.at_least is None and check.at_most is None):
            raise fields.wrong("metric", "goes with at_least or at_most: give the expression and its limit")
        if check.at_least is not None and check.at_most is not None and check.at_least > check.at_most:
            raise fields.wrong(
                "at_least", f"is {check.at_least:g}, above at_most, {check.at_most:g}: no model can pass the check"
            )
        return check

    def check_access(self, settings: Settings, field: str) -> None:
        """Raise ``Rejected`` if the query or the metric calls what the settings do not allow."""
        for name, text in (("query", self.query), ("metric", self.metric)):
            if text is not None:
                check_condition(
                    text,
                    field=f"{field}.{name}",
                    allow_external=settings.allow_external_query,
                    allow_ai=settings.allow_ai_functions,
                    allow_catalog=not settings.readable_datasets,
                )


def _tolerance(fields: Fields, metric: str | None) -> float:
    tolerance = fields.optional_number("tolerance")
    if tolerance is None:
        return DEFAULT_TOLERANCE
    if metric is not None:
        raise fields.wrong("tolerance", "goes with expected outputs, not with a metric")
    if tolerance < 0:
        raise fields.wrong("tolerance", f"must be 0 or more, not {tolerance:g}")
    return tolerance


def _rows(fields: Fields) -> tuple[CheckedRow, ...]:
    rows: list[CheckedRow] = []
    for index, row in enumerate(fields.objects("rows")):
        each = CheckedRow(_values(row, "input"), _values(row, "expected"))
        row.reject_unknown()
        _check_distinct(each, row)
        if rows and _names(each) != _names(rows[0]):
            raise fields.wrong(f"rows[{index}]", "must have the same inputs and outputs as the first row")
        rows.append(each)
    if fields.has("rows") and not 1 <= len(rows) <= MOST_ROWS:
        raise fields.wrong("rows", f"must have 1 to {MOST_ROWS} rows, not {len(rows):,}; for more, use query")
    return tuple(rows)


def _check_distinct(row: CheckedRow, fields: Fields) -> None:
    """Raise ``Rejected`` if two columns of a row have one name for BigQuery, which ignores case.

    https://docs.cloud.google.com/bigquery/docs/schemas#column_names
    """
    seen: set[str] = set()
    named = [("input", name, name) for name, _ in row.inputs]
    named += [("expected", name, f"{EXPECTED}{name}") for name, _ in row.expected]
    for where, name, column in named:
        if column.lower() in seen:
            raise fields.wrong(f"{where}.{name}", f"becomes a second column {column}; give each column once")
        seen.add(column.lower())


def _names(row: CheckedRow) -> tuple[set[str], set[str]]:
    return {name for name, _ in row.inputs}, {name for name, _ in row.expected}


def _values(row: Fields, name: str) -> tuple[tuple[str, Value], ...]:
    fields = row.nested(name, example="{x: 1}")
    values = row.plain(name)
    if not values:
        raise row.wrong(name, "must not be empty")
    for column in values:
        check_column(str(column), row.path(f"{name}.{column}")[:120])
    return tuple((column, _value(value, fields, column)) for column, value in sorted(values.items()))


def _value(value: object, fields: Fields, column: str) -> Value:
    if value is None or _is_plain(value):
        return value  # type: ignore[return-value]  # ``_is_plain`` has checked it
    if isinstance(value, Sequence) and not isinstance(value, str) and all(map(_is_plain, value)):
        kinds = {type(each) for each in value}
        if len(kinds) <= 1 or kinds == {int, float}:
            return tuple(value)
    wanted = "must be a text, a number of 64 bits, true, false, null, or a list of texts or of numbers"
    hint = ": put dates and times in quotes" if isinstance(value, date) else ""
    raise fields.wrong(column, f"{wanted}{hint}")


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return -(2**63) <= value < 2**63
    return isinstance(value, str | bool)
