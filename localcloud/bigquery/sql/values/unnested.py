"""Writes out the types of arrays of STRUCTs in ``UNNEST(@rows)``, so that the fields are columns as in BigQuery.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#unnest_operator
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from localcloud.bigquery.base.schema import field_of
from localcloud.bigquery.base.type_names import sql_type
from localcloud.bigquery.sql.values.parameters import Value

_UNNESTED = re.compile(r"\bUNNEST\s*\(\s*@(?P<name>\w+)\s*\)", re.IGNORECASE)


def with_unnested_types(sql: str, values: Mapping[str, Value]) -> str:
    """Return a prepared statement with the types of its parameters and variables in UNNEST, if they are arrays of STRUCTs."""

    def typed(match: re.Match[str]) -> str:
        kind = values[match["name"]].type if match["name"] in values else None
        if kind is None or not kind.upper().startswith("STRUCT") or not kind.endswith("[]"):
            return match[0]
        return f"UNNEST(CAST(@{match['name']} AS {sql_type(field_of('', kind))}))"

    return _UNNESTED.sub(typed, sql)
