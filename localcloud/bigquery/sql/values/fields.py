"""Writes out the fields of a STRUCT in ``@row.*``, which DuckDB has for columns only.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#select_expression_star
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from localcloud.bigquery.base.schema import field_of
from localcloud.bigquery.sql.values.parameters import Value

_STAR = re.compile(r"@(?P<name>\w+)\s*\.\s*\*(?:\s*EXCEPT\s*\((?P<left_out>[^)]*)\))?(?!\s*REPLACE\b)", re.IGNORECASE)


def with_fields(sql: str, values: Mapping[str, Value]) -> str:
    """Return a prepared statement with the fields of its parameters and variables in place of their stars."""

    def listed(match: re.Match[str]) -> str:
        name = match["name"]
        kind = values[name].type if name in values else None
        if kind is None or not kind.upper().startswith("STRUCT") or kind.endswith("[]"):
            return match[0]
        left_out = {each.strip(" `").lower() for each in (match["left_out"] or "").split(",")}
        names = (field["name"] for field in field_of("", kind)["fields"])
        return ", ".join(f"@{name}.`{each}` AS `{each}`" for each in names if each.lower() not in left_out)

    return _STAR.sub(listed, sql)
