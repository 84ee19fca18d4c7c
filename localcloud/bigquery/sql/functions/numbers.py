"""Rounds NUMERIC by a mode, and counts the bits of an INT64 as GoogleSQL does.

https://cloud.google.com/bigquery/docs/reference/standard-sql/mathematical_functions#round
https://cloud.google.com/bigquery/docs/reference/standard-sql/bit_functions#bit_count
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.functions.nodes import Rule, call, is_text

MACROS: tuple[str, ...] = (
    "CREATE OR REPLACE MACRO _round_half_even(x, digits) AS CAST(round_even(x, digits) AS DECIMAL(38, 9))",
    # DuckDB takes a small literal for a number of 32 bits.
    "CREATE OR REPLACE MACRO _bit_count(x) AS CAST(bit_count(CAST(x AS BIGINT)) AS BIGINT)",
)
"""The DuckDB macros that the rewritten SQL calls."""

WORDS = ("ROUND", "BIT_COUNT")
"""Regular expressions of the names of the functions that ``RULES`` may replace."""


def _round(node: exp.Expr) -> exp.Expr | None:
    mode = node.args.get("truncate")
    if mode is None:
        return None
    name = mode.name.upper() if is_text(mode) else ""
    if name == "ROUND_HALF_EVEN":
        return call("_round_half_even", node.this, node.args["decimals"])
    if name == "ROUND_HALF_AWAY_FROM_ZERO":
        node.set("truncate", None)
        return node
    raise QueryError("The mode of ROUND must be 'ROUND_HALF_AWAY_FROM_ZERO' or 'ROUND_HALF_EVEN'")


RULES: dict[type[exp.Expr], Rule] = {exp.Round: _round}
"""What replaces the nodes of each type."""
