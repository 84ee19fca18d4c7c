"""``IF NOT EXISTS`` in the statements that create routines, which bqemulator's parser does not know."""

from __future__ import annotations

import re

from localcloud.bigquery.sql.reading.tokens import tokens

_CREATE = re.compile(
    r"(?P<head>\bCREATE\s+(?:TEMP(?:ORARY)?\s+)?(?:AGGREGATE\s+)?(?:TABLE\s+)?(?:FUNCTION|PROCEDURE)\s+)"
    r"IF\s+NOT\s+EXISTS\s+(?P<name>[`\w.-]+)",
    re.IGNORECASE,
)


def without_conditions(sql: str) -> tuple[str, frozenset[str]]:
    """Return a statement or script without these clauses, and the names, as written, of the routines that had one."""
    found = list(_CREATE.finditer(sql))
    if not found:
        return sql, frozenset()
    starts = {token.start for token in tokens(sql)}  # and not in a string
    names = set()
    for match in reversed(found):
        if match.start() in starts:
            names.add(match["name"].replace("`", ""))
            sql = f"{sql[: match.start()]}{match['head']}{match['name']}{sql[match.end() :]}"
    return sql, frozenset(names)
