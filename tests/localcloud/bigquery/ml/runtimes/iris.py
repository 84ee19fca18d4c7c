"""The iris table: its columns, and its rows in order."""

from __future__ import annotations

from typing import Any

from tests.localcloud.bigquery.ml.world import MlWorld

NAMES = ["sepal_length", "sepal_width", "petal_length", "petal_width"]


def ordered(world: MlWorld, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query in the order of their column ``n``."""
    return sorted(world.rows(query), key=lambda row: row["n"])
