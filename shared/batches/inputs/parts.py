"""Divides a table of more requests than one job takes into tables for several jobs.

Each request gets the number of a part by chance, once, in a table of its own. So no key is needed, no request is in two parts,
and BigQuery need not sort the requests.
"""

from __future__ import annotations

import math

from shared.batches.inputs.rules import MOST_REQUESTS
from shared.checks.identifiers import TableName

# Names the part of a request; it is not among the columns of the parts.
PART_COLUMN = "modeldrop_part"
# Parts are filled to 95 % on average. A part of 190,000 requests differs from its average by about 440, so that more than
# 200,000 in one do not occur.
_AVERAGE = 190_000


def part_count(requests: int, *, most: int = MOST_REQUESTS) -> int:
    """Return into how many parts so many requests are divided, with at most ``most`` in each; 1 if they fit into one."""
    if requests <= most:
        return 1
    return max(2, math.ceil(requests / (most * _AVERAGE / MOST_REQUESTS)))


def divide(source: str, target: TableName, parts: int) -> str:
    """Return the statement that creates a table of requests with the number of a part in each.

    Args:
        source: The requests as SQL: the quoted name of a table, or a query in brackets.
        target: The table to create. One of the name is replaced.
        parts: How many parts there are.
    """
    return (
        f"CREATE OR REPLACE TABLE {target.sql}\n"
        f"PARTITION BY RANGE_BUCKET({PART_COLUMN}, GENERATE_ARRAY(0, {parts}, 1))\n"
        f"AS SELECT *, CAST(FLOOR(RAND() * {parts}) AS INT64) AS {PART_COLUMN}\nFROM {source}"
    )


def requests_of_part(divided: TableName, part: int) -> str:
    """Return the query of one part's requests, with the columns that they had; parts are numbered from 0."""
    return f"SELECT * EXCEPT ({PART_COLUMN})\nFROM {divided.sql}\nWHERE {PART_COLUMN} = {part}"
