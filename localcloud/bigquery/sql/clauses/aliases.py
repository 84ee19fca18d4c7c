"""Writes out aliases in GROUP BY and ORDER BY that are names of columns too. GoogleSQL takes the alias, DuckDB the column.

    SELECT DATE_TRUNC(d, MONTH) AS d, COUNT(*) FROM t GROUP BY d   ->   ... GROUP BY 1

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#ambiguous_aliases
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import exp

from localcloud.bigquery.sql.reading.columns import SourceColumns, source_columns
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.sources import name_of, sources_of, visible_sources

_CLAUSE = re.compile(r"\b(?:GROUP|ORDER)\s+BY\b", re.IGNORECASE)


@dataclass(frozen=True)
class _Alias:
    """A name in a SELECT list that may be the name of a column.

    Attributes:
        value: What it names.
        place: The number of its column; None if a star is before it, whose columns are not counted.
    """

    value: exp.Expr
    place: int | None

    def in_groups(self) -> exp.Expr:
        """Return the value in GROUP BY."""
        return self.value.copy() if self.place is None else exp.Literal.number(self.place)


def write_out_aliases(draft: Draft, columns_of: SourceColumns) -> None:
    """Replace the aliases of a statement of GoogleSQL that DuckDB would read as columns.

    Args:
        draft: The statement.
        columns_of: Returns the names of the columns of a table.
    """
    tree = draft.tree if _CLAUSE.search(draft.text) is not None else None
    if tree is None:
        return
    changed = False
    for select in tree.find_all(exp.Select):
        aliases = _aliases(select, columns_of)
        if aliases:
            changed = _replace_groups(select, aliases) | _replace_uses(select, aliases) | changed
    if changed:
        draft.changed(tree)


def _aliases(select: exp.Select, columns_of: SourceColumns) -> dict[str, _Alias]:
    """Return the aliases that GROUP BY and ORDER BY name and that may be the names of columns, by names in lower case."""
    group, order = select.args.get("group"), select.args.get("order")
    clauses = [clause for clause in (group, order) if clause is not None]
    used = {column.name.lower() for clause in clauses for column in clause.find_all(exp.Column) if not column.table}
    grouped = group.expressions if group is not None and order is not None else []
    found: dict[str, _Alias] = {}
    counted = True
    for number, projection in enumerate(select.expressions, 1):
        counted = counted and not projection.is_star
        value, name = projection.unalias(), projection.alias_or_name.lower()
        if (name in used or value in grouped) and _may_be_column(name, value, select, columns_of):
            found[name] = _Alias(value, number if counted else None)
    return found


def _may_be_column(name: str, value: exp.Expr, select: exp.Select, columns_of: SourceColumns) -> bool:
    """Return whether the name of a value in a SELECT list may be that of another value of a source."""
    if isinstance(value, exp.Column) and value.name.lower() == name:
        return bool(value.table) and len(sources_of(select)) > 1
    if any(each.name.lower() == name for each in value.find_all(exp.Column)):
        return True
    for source in visible_sources(value):
        columns = source_columns(source, columns_of)
        if not columns or name == name_of(source) or name in map(str.lower, columns):
            return True
    return False


def _replace_groups(select: exp.Select, aliases: dict[str, _Alias]) -> bool:
    """Replace aliases in GROUP BY by the numbers of their columns, and in grouping sets by their values."""
    group = select.args.get("group")
    changed = False
    for column in list(group.find_all(exp.Column)) if group is not None else ():
        alias = _meant(column, aliases)
        if alias is None or alias.value.find(exp.AggFunc) is not None:
            continue
        if column.parent is group:
            column.replace(alias.in_groups())
            changed = True
        elif isinstance(column.parent, (exp.Cube, exp.GroupingSets, exp.Rollup, exp.Tuple, exp.Paren)):
            column.replace(alias.value.copy())
            changed = True
    # sqlglot would replace the values by their aliases.
    for value in list(group.expressions) if group is not None else ():
        place = next((alias.place for alias in aliases.values() if alias.value == value), None)
        if place is not None:
            value.replace(exp.Literal.number(place))
            changed = True
    return changed


def _replace_uses(select: exp.Select, aliases: dict[str, _Alias]) -> bool:
    """Replace aliases inside the expressions of ORDER BY by their values."""
    order = select.args.get("order")
    changed = False
    for column in list(order.find_all(exp.Column)) if order is not None else ():
        alias = _meant(column, aliases)
        if alias is None or isinstance(column.parent, exp.Ordered):
            continue
        if column.find_ancestor(exp.AggFunc, exp.Window, exp.Select) is select:
            column.replace(exp.paren(alias.value.copy()))
            changed = True
    return changed


def _meant(column: exp.Column, aliases: dict[str, _Alias]) -> _Alias | None:
    return None if column.table else aliases.get(column.name.lower())
