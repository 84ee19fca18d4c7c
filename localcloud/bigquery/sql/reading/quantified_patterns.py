"""Puts brackets around UNNEST in ``x LIKE ALL UNNEST(patterns)``, which sqlglot reads after ANY only.

https://cloud.google.com/bigquery/docs/reference/standard-sql/operators#like_operator_quantified
"""

from __future__ import annotations

from localcloud.bigquery.sql.reading.tokens import bracket_pairs, readable_tokens


def bracket_unnested(sql: str) -> str:
    """Return GoogleSQL with brackets around each UNNEST after LIKE ANY, LIKE SOME and LIKE ALL."""
    upper = sql.upper()
    if "LIKE" not in upper or "UNNEST" not in upper:
        return sql
    found = readable_tokens(sql)
    pairs = bracket_pairs(found)
    for index in range(len(found) - 4, -1, -1):
        like, quantifier, unnest = found[index : index + 3]
        if like.is_word("LIKE") and quantifier.is_word("ANY", "SOME", "ALL") and unnest.is_word("UNNEST"):
            closing = found[pairs[index + 3]].end if index + 3 in pairs else len(sql)
            sql = f"{sql[: unnest.start]}({sql[unnest.start : closing]}){sql[closing:]}"
    return sql
