"""Names the temporary tables of the dataset ``_SESSION``.

Those of a session are in a hidden dataset, as in BigQuery. Those of a script have none.
https://cloud.google.com/bigquery/docs/multi-statement-queries#temporary_tables
"""

from __future__ import annotations

import re
from itertools import pairwise

from localcloud.bigquery.sql.reading.tokens import readable_tokens

_TEMPORARY = re.compile(r"\b(CREATE\s+(?:OR\s+REPLACE\s+)?)TEMP(?:ORARY)?\s+(?=TABLE\s+`?_SESSION\b)", re.IGNORECASE)


def with_session_tables(sql: str, dataset: str | None) -> str:
    """Return a statement of GoogleSQL with another dataset in place of ``_SESSION``.

    Args:
        sql: The statement.
        dataset: The name of the session's dataset in GoogleSQL; None without a session.
    """
    if "_SESSION" not in sql.upper():
        return sql
    if dataset is not None:
        sql = _TEMPORARY.sub(r"\1", sql)
    prefix = "" if dataset is None else f"{dataset}."
    for token, dot in reversed(list(pairwise(readable_tokens(sql)))):
        named = token.kind in ("word", "quoted") and token.text.upper() == "_SESSION"
        if named and dot.is_symbol(".") and not sql[: token.start].endswith("."):
            sql = f"{sql[: token.start]}{prefix}{sql[dot.end :]}"
    return sql
