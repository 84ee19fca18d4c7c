"""Compares expressions with the values of Google's reference of GoogleSQL."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.localcloud.bigquery.world import BigQueryWorld

_SOURCE = (
    "SELECT CAST(0.5 AS FLOAT64) AS half, '7' AS text, CAST(NULL AS FLOAT64) AS missing, '-08:00' AS zone, "
    "CAST(NULL AS STRING) AS nothing, DATE '2024-02-29' AS day, TIMESTAMP '1969-12-31 01:02:03.5+00' AS moment"
)


def utc(*parts: int) -> dt.datetime:
    """Return a time in UTC from its year, month, day and so on."""
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type,misc]


def assert_values(world: BigQueryWorld, cases: dict[str, Any]) -> None:
    """Assert that each expression has its value, in one query; they may use the columns of ``_SOURCE``."""
    [row] = world.rows(f"SELECT {', '.join(cases)} FROM ({_SOURCE}) AS x")
    assert dict(zip(cases, row, strict=True)) == cases
