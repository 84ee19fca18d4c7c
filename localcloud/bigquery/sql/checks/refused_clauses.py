"""Refuses the clauses and table functions of BigQuery that the local BigQuery does not carry out, by their names."""

from __future__ import annotations

import re

from localcloud.bigquery.sql.checks.refusals import not_supported
from localcloud.bigquery.sql.reading.tokens import position, readable_tokens

_NO_GRAPHS = "it has no graph queries"
_PLAIN = "it adds no noise and leaves out no groups"
# https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax
REFUSED_CLAUSES = {
    r"(?<!\.)(?<!DEFAULT )\bCOLLATE\s*['\"]": ("COLLATE", "the function COLLATE gives a text its collation"),
    r"\bGRAPH_TABLE\s*\(": ("GRAPH_TABLE", _NO_GRAPHS),
    r"(?:^|[;(])\s*GRAPH\s+[\w`.-]+\s+(?:OPTIONAL\s+)?MATCH\b": ("GRAPH", _NO_GRAPHS),
    r"\bSELECT\s+WITH\s+DIFFERENTIAL_PRIVACY\b": ("WITH DIFFERENTIAL_PRIVACY", _PLAIN),
    r"\bSELECT\s+WITH\s+ANONYMIZATION\b": ("WITH ANONYMIZATION", _PLAIN),
    r"\bSELECT\s+WITH\s+AGGREGATION_THRESHOLD\b": ("WITH AGGREGATION_THRESHOLD", _PLAIN),
    r"\bMATCH_RECOGNIZE\s*\(": ("MATCH_RECOGNIZE", "write the pattern with window functions"),
    r"\bSTRING_AGG\s*\((?:[^()]|\([^()]*\))*?\bHAVING\s+(?:MAX|MIN)\b": (
        "HAVING MAX or HAVING MIN in STRING_AGG",
        "join the values of ARRAY_AGG(... HAVING MAX ...) with ARRAY_TO_STRING",
    ),
    r"\bSTRUCT\s*(?:<\s*>\s*)?\(\s*\)": ("STRUCT()", "a STRUCT has one field or more"),
    r"\)\s*WITH\s+DEPTH\b": ("WITH DEPTH", "count the depth in a column of the query"),
}
"""What is refused and why, by regular expressions of the text."""
_ANY = tuple((re.compile(pattern, re.IGNORECASE), *what) for pattern, what in REFUSED_CLAUSES.items())
_MAY_CONCERN = re.compile(
    r"COLLATE|GRAPH|\bSELECT\s+WITH\b|MATCH_RECOGNIZE|\bHAVING\s+M(?:AX|IN)\b|\bDEPTH\b|\bSTRUCT\b[\s<>]*\(\s*\)",
    re.IGNORECASE,
)


def reject_refused_clauses(sql: str) -> None:
    """Raise ``QueryError`` if a statement or script has a clause that is not carried out here."""
    if _MAY_CONCERN.search(sql) is None:
        return
    texts = [(token.start, token.end) for token in readable_tokens(sql) if token.kind in ("string", "bytes", "quoted")]
    for pattern, what, why in _ANY:
        for found in pattern.finditer(sql):
            place = found.end() - len(found.group().lstrip("(;) \n\t"))
            if not any(start <= place < end for start, end in texts):
                raise not_supported(what, why, place=position(sql, place))
