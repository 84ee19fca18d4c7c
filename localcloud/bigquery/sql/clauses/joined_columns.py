"""Puts the columns of USING before the others of a star, as in GoogleSQL. DuckDB leaves them at their place.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#using_clause
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft

_USING = re.compile(r"\bUSING\s*\(", re.IGNORECASE)


def put_joined_columns_first(draft: Draft) -> None:
    """Put the columns of USING first in the stars of a statement of GoogleSQL."""
    tree = draft.tree if "*" in draft.text and _USING.search(draft.text) is not None else None
    if tree is None:
        return
    changed = False
    for select in tree.find_all(exp.Select):
        joined = _joined(select)
        if not joined:
            continue
        columns: list[exp.Expr] = []
        for projection in select.expressions:
            columns += _columns(projection, joined) if isinstance(projection, exp.Star) else [projection]
        changed = changed or len(columns) > len(select.expressions)
        select.set("expressions", columns)
    if changed:
        draft.changed(tree)


def _joined(select: exp.Select) -> list[str]:
    """Return the names of the columns of USING, those of the last join first."""
    names: list[str] = []
    for join in reversed(select.args.get("joins") or ()):
        names += [each.name for each in join.args.get("using") or () if each.name.lower() not in map(str.lower, names)]
    return names


def _columns(star: exp.Star, joined: list[str]) -> list[exp.Expr]:
    """Return the columns of USING that a star has, and the star without them."""
    left_out = {each.name.lower() for each in star.args.get("except_") or ()}
    replaced = {each.alias.lower(): each for each in star.args.get("replace") or ()}
    first = [name for name in joined if name.lower() not in left_out]
    rest = exp.Star(
        except_=[*(star.args.get("except_") or ()), *(exp.to_identifier(name, quoted=True) for name in first)],
        replace=[each for name, each in replaced.items() if name not in map(str.lower, first)] or None,
        rename=star.args.get("rename"),
    )
    return [*(replaced.get(name.lower()) or exp.column(name, quoted=True) for name in first), rest]
