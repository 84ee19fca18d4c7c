"""Adds the default dataset to the names of routines without one, where statements define, drop and call them.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationQuery (defaultDataset)
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from localcloud.bigquery.sql.reading.called import calls
from localcloud.bigquery.sql.reading.googlesql import FUNCTIONS
from localcloud.bigquery.sql.reading.tokens import readable_tokens

_NAMED = re.compile(
    r"(?:\bCREATE\s+(?:OR\s+REPLACE\s+)?(?:TABLE\s+)?(?:FUNCTION|PROCEDURE)\s+(?:IF\s+NOT\s+EXISTS\s+)?"
    r"|\bDROP\s+(?:TABLE\s+)?(?:FUNCTION|PROCEDURE)\s+(?:IF\s+EXISTS\s+)?|\bCALL\s+)(?!IF\s)(?P<name>`[^`.]+`|\w+)(?![\w`]|\s*[.-])",
    re.IGNORECASE,
)
_TEMPORARY = re.compile(r"\bTEMP(?:ORARY)?\s+FUNCTION\s+(?P<name>`[^`.]+`|\w+)", re.IGNORECASE)


def with_default_dataset(sql: str, dataset: tuple[str, str], routines: Iterable[str]) -> str:
    """Return a statement or script in which the routines of the default dataset have their full names.

    Args:
        sql: The statement or script.
        dataset: The project and the id of the default dataset.
        routines: The names of its routines, which calls of functions may mean.
    """
    temporary = {match["name"].strip("`").lower() for match in _TEMPORARY.finditer(sql)}
    known = {name.lower() for name in routines if name.upper() not in FUNCTIONS}
    found = readable_tokens(sql)
    starts = {token.start for token in found}  # and not in a string
    places = {match.start("name") for match in _NAMED.finditer(sql) if match.start("name") in starts}
    known |= {match["name"].strip("`").lower() for match in _NAMED.finditer(sql)}
    known -= temporary
    for called in calls(found) if known else ():
        name = found[called.last]
        if len(called.parts) == 1 and not called.chained and name.text.lower() in known:
            places.add(name.start)
    prefix = "`{}`.`{}`.".format(*dataset)
    for start in sorted(places, reverse=True):
        sql = f"{sql[:start]}{prefix}{sql[start:]}"
    return sql
