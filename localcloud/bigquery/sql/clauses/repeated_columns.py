"""Leaves out all columns of a name in ``SELECT * EXCEPT``. DuckDB renames the further ones of a subquery.

    SELECT * EXCEPT (x) FROM (SELECT 1 AS x, 2 AS x, 3 AS y)   ->   SELECT * EXCEPT (x, x_1) ...

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#select_except
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.sql.reading.columns import SourceColumns, source_columns
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.sources import name_of, sources_of

_EXCEPT = re.compile(r"\*\s*EXCEPT\s*\(", re.IGNORECASE)


def leave_out_repeated(draft: Draft, columns_of: SourceColumns) -> None:
    """Add the further columns to the EXCEPT lists of a statement of GoogleSQL.

    Args:
        draft: The statement.
        columns_of: Returns the names of the columns of a table.
    """
    tree = draft.tree if _EXCEPT.search(draft.text) is not None else None
    if tree is None:
        return
    changed = False
    for star in tree.find_all(exp.Star):
        select, left_out = star.find_ancestor(exp.Select), star.args.get("except_") or []
        if select is None or not left_out:
            continue
        table = star.parent.table.lower() if isinstance(star.parent, exp.Column) else ""
        further = [
            exp.to_identifier(f"{each.name}_{number}", quoted=True)
            for each in left_out
            for number in range(1, _most(each.name.lower(), select, table, columns_of))
        ]
        changed = changed or bool(further)
        star.set("except_", [*left_out, *further])
    if changed:
        draft.changed(tree)


def _most(name: str, select: exp.Select, table: str, columns_of: SourceColumns) -> int:
    """Return how many columns of a name a source has at most."""
    sources = [each for each in sources_of(select) if table in ("", name_of(each))]
    return max(
        ([each.lower() for each in source_columns(source, columns_of)].count(name) for source in sources), default=0
    )
