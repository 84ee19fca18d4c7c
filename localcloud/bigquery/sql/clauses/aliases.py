"""Writes out aliases in GROUP BY and ORDER BY that are names of columns too. GoogleSQL takes the alias, DuckDB the column.

    SELECT DATE_TRUNC(d, MONTH) AS d, COUNT(*) FROM t GROUP BY d   ->   ... GROUP BY 1

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#ambiguous_aliases
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft

_CLAUSE = re.compile(r"\b(?:GROUP|ORDER)\s+BY\b", re.IGNORECASE)


def write_out_aliases(draft: Draft) -> None:
    """Replace the aliases of a statement of GoogleSQL that DuckDB would read as columns."""
    tree = draft.tree if _CLAUSE.search(draft.text) is not None else None
    if tree is None:
        return
    changed = False
    for select in tree.find_all(exp.Select):
        aliases = _aliases(select)
        if aliases:
            changed = _replace_groups(select, aliases) | _replace_uses(select, aliases) | changed
    if changed:
        draft.changed(tree)


def _aliases(select: exp.Select) -> dict[str, tuple[int, exp.Expr]]:
    """Return the place and the value of each alias that may be the name of a column, by names in lower case."""
    found: dict[str, tuple[int, exp.Expr]] = {}
    for number, projection in enumerate(select.expressions, 1):
        value, name = projection.unalias(), projection.alias.lower()
        if not name or (isinstance(value, exp.Column) and value.name.lower() == name):
            continue
        if isinstance(value, exp.Column) or any(each.name.lower() == name for each in value.find_all(exp.Column)):
            found[name] = (number, value)
    return found


def _replace_groups(select: exp.Select, aliases: dict[str, tuple[int, exp.Expr]]) -> bool:
    """Replace aliases in GROUP BY by the numbers of their columns, and in grouping sets by their values."""
    group = select.args.get("group")
    changed = False
    for column in list(group.find_all(exp.Column)) if group is not None else ():
        number, value = _meant(column, aliases)
        if value is None or value.find(exp.AggFunc) is not None:
            continue
        if column.parent is group:
            column.replace(exp.Literal.number(number))
            changed = True
        elif isinstance(column.parent, (exp.Cube, exp.GroupingSets, exp.Rollup, exp.Tuple, exp.Paren)):
            column.replace(value.copy())
            changed = True
    return changed


def _replace_uses(select: exp.Select, aliases: dict[str, tuple[int, exp.Expr]]) -> bool:
    """Replace aliases inside the expressions of ORDER BY by their values, if there are no groups."""
    order = select.args.get("order") if select.args.get("group") is None else None
    changed = False
    for column in list(order.find_all(exp.Column)) if order is not None else ():
        _, value = _meant(column, aliases)
        if value is None or isinstance(column.parent, exp.Ordered):
            continue
        if column.find_ancestor(exp.AggFunc, exp.Window, exp.Select) is select:
            column.replace(exp.paren(value.copy()))
            changed = True
    return changed


def _meant(column: exp.Column, aliases: dict[str, tuple[int, exp.Expr]]) -> tuple[int, exp.Expr | None]:
    return (0, None) if column.table else aliases.get(column.name.lower(), (0, None))
