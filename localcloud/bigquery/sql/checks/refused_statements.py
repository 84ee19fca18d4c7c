"""Refuses the statements of BigQuery that the local BigQuery does not carry out, and definitions that BigQuery does not have.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-control-language
"""

from __future__ import annotations

import re

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.checks.refusals import not_supported

_CHECKS_NONE = "it checks no permissions"
_NEEDS_NONE = "queries need no index"
_HAS_NO_SLOTS = "jobs use no slots"
REFUSED_STATEMENTS = {
    r"GRANT": ("GRANT", _CHECKS_NONE),
    r"REVOKE": ("REVOKE", _CHECKS_NONE),
    r"(?:CREATE|ALTER|DROP)\s+SEARCH\s+INDEX": ("SEARCH INDEX", _NEEDS_NONE),
    r"(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?VECTOR\s+INDEX": ("VECTOR INDEX", _NEEDS_NONE),
    r"(?:CREATE|ALTER|DROP)\s+CAPACITY": ("CAPACITY", _HAS_NO_SLOTS),
    r"(?:CREATE|ALTER|DROP)\s+RESERVATION": ("RESERVATION in SQL", "the Reservation API has reservations"),
    r"(?:CREATE|ALTER|DROP)\s+ASSIGNMENT": ("ASSIGNMENT in SQL", "the Reservation API has assignments"),
    r"ALTER\s+BI_CAPACITY": ("BI_CAPACITY", _HAS_NO_SLOTS),
    r"ALTER\s+PROJECT": ("ALTER PROJECT", "projects have no settings"),
    r"ALTER\s+ORGANIZATION": ("ALTER ORGANIZATION", "there are no organizations"),
    r"UNDROP\s+SCHEMA": ("UNDROP SCHEMA", "dropped datasets are gone"),
    r"(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?EXTERNAL\s+SCHEMA": ("EXTERNAL SCHEMA", "it has no other sources of data"),
    r"(?:CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?DATA_POLICY": ("DATA_POLICY", _CHECKS_NONE),
    r"(?:CREATE|DROP)\s+(?:OR\s+REPLACE\s+)?PROPERTY\s+GRAPH": ("PROPERTY GRAPH", "it has no graph queries"),
    r"CREATE\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+)?AGGREGATE\s+FUNCTION": (
        "AGGREGATE FUNCTION",
        "write the aggregation in the query",
    ),
    r"ALTER\s+MATERIALIZED\s+VIEW": ("ALTER MATERIALIZED VIEW", "replace the view"),
    r"CREATE\s+(?:OR\s+REPLACE\s+)?MATERIALIZED\s+VIEW\s+REPLICA": ("MATERIALIZED VIEW REPLICA", "it has one region"),
    r"ALTER\s+TABLE\b[^(]*\bSET\s+DEFAULT\s+COLLATE": ("DEFAULT COLLATE", "texts are compared by their characters"),
}
"""What is refused and why, by regular expressions of the first words of the statements."""
_ANY = tuple((re.compile(rf"\s*{words}\b", re.IGNORECASE), *what) for words, what in REFUSED_STATEMENTS.items())
# The words that may follow the verbs of definitions, after OR REPLACE and TEMP. DuckDB has further ones.
_KNOWN = {
    "CREATE": "TABLE VIEW MATERIALIZED SNAPSHOT EXTERNAL FUNCTION PROCEDURE MODEL SCHEMA ROW",
    "ALTER": "TABLE VIEW MATERIALIZED MODEL SCHEMA",
    "DROP": "TABLE VIEW MATERIALIZED SNAPSHOT EXTERNAL FUNCTION PROCEDURE MODEL SCHEMA ROW ALL",
}
_DEFINED = re.compile(
    r"\s*(?P<verb>CREATE|ALTER|DROP)\s+(?:OR\s+REPLACE\s+)?(?:TEMP(?:ORARY)?\s+)?(?P<what>\w+)", re.IGNORECASE
)
_CHANGED_COLUMN = re.compile(
    r"\s*ALTER\s+TABLE\b.*?\bALTER\s+(?:COLUMN\s+)?(?:IF\s+EXISTS\s+)?(?:`[^`]+`|\w+)\s+(?:SET\s+(?P<set>NOT\s+NULL|TYPE)|TYPE)\b",
    re.IGNORECASE | re.DOTALL,
)
_FIRST = re.compile(r"\s*(?:GRANT|REVOKE|CREATE|ALTER|DROP|UNDROP)\b", re.IGNORECASE)


def reject_refused_statements(sql: str) -> None:
    """Raise ``QueryError`` if a statement is not carried out here, or is a definition that BigQuery does not have."""
    if _FIRST.match(sql) is None:
        return
    for pattern, what, why in _ANY:
        if pattern.match(sql):
            raise not_supported(what, why)
    defined = _DEFINED.match(sql)
    if defined is not None and defined["what"].upper() not in _KNOWN[defined["verb"].upper()].split():
        raise QueryError(
            f"Statement not supported: {defined['verb'].upper()} {defined['what'].upper()}", location="query"
        )
    if _CHANGED_COLUMN.match(sql):
        raise QueryError(
            "Syntax error: ALTER COLUMN has SET DATA TYPE, SET DEFAULT, SET OPTIONS, DROP DEFAULT and DROP NOT NULL",
            location="query",
        )
