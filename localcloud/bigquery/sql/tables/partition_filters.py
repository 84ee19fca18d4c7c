"""Checks that a query filters the partitions of tables that require it.

A filter counts in the query that reads the table, and in a query around it that passes on the column. As in BigQuery, it
has to compare the column with something that does not depend on the row.
https://cloud.google.com/bigquery/docs/querying-partitioned-tables#require_a_partition_filter_in_queries
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.statement import TableName


@dataclass(frozen=True)
class Required:
    """A table that requires a filter.

    Attributes:
        table: The table.
        columns: The names of the columns that a filter can have.
    """

    table: TableName
    columns: tuple[str, ...]

    def error(self) -> QueryError:
        """Return BigQuery's error for a query without a filter."""
        name = f"{self.table.project}.{self.table.dataset}.{self.table.table}"
        columns = ", ".join(f"'{column}'" for column in self.columns)
        return QueryError(
            f"Cannot query over table '{name}' without a filter over column(s) {columns} that can be used for partition "
            "elimination",
            location="query",
        )


Resolve = Callable[[TableName], Required | exp.Query | None]
"""Returns what a name stands for: a table that requires a filter, the query of a view, or None for other names."""


@dataclass(frozen=True)
class _Open:
    """A table that is read without a filter so far, and the names that its columns have in the query around it."""

    required: Required
    names: frozenset[str]


class FilterCheck:
    """The check of one statement."""

    def __init__(self, project: str, resolve: Resolve) -> None:
        """Create a check; ``project`` is the project of names without one."""
        self._project = project
        self._resolve = resolve

    def check(self, tree: exp.Expr) -> None:
        """Raise ``QueryError`` if a table is read or changed without the filter that it requires."""
        found = list(self._of_query(tree, {})) if isinstance(tree, exp.Query) else list(self._of_change(tree))
        if found:
            raise found[0].required.error()

    def _of_change(self, tree: exp.Expr) -> Iterator[_Open]:
        if isinstance(tree, (exp.Update, exp.Delete, exp.Merge)) and isinstance(tree.this, exp.Table):
            conditions = [tree.args.get("on")] if isinstance(tree, exp.Merge) else [tree.args.get("where")]
            target = self._of_source(tree.this, {})
            yield from _without_filter(target, tree.this.alias_or_name, [each for each in conditions if each])
        for query in _outermost_queries(tree):
            yield from self._of_query(query, {})

    def _of_query(self, query: exp.Expr, tables: dict[str, list[_Open]]) -> Iterator[_Open]:
        """Yield the tables that a query reads without a filter; ``tables`` are those of the WITH clauses around it."""
        with_ = query.args.get("with_") or query.args.get("with")
        if with_ is not None:
            tables = dict(tables)
            for cte in with_.expressions:
                tables[cte.alias.lower()] = list(self._of_query(cte.this, tables))
        match query:
            case exp.Subquery():
                yield from self._of_query(query.this, tables)
            case exp.SetOperation():
                yield from self._of_query(query.this, tables)
                yield from self._of_query(query.expression, tables)
            case exp.Select():
                yield from self._of_select(query, tables)

    def _of_select(self, select: exp.Select, tables: dict[str, list[_Open]]) -> Iterator[_Open]:
        from_ = select.args.get("from_") or select.args.get("from")
        joins = list(select.args.get("joins") or [])
        sources = ([from_.this] if from_ is not None else []) + [join.this for join in joins]
        conditions = [select.args.get("where"), select.args.get("having"), select.args.get("qualify")]
        conditions += [join.args.get("on") for join in joins]
        given = [each for each in conditions if each is not None]
        for source in sources:
            for found in _without_filter(self._of_source(source, tables), source.alias_or_name, given):
                yield replace(found, names=_passed_on(select, source.alias_or_name, found.names))
        within = {id(source) for source in sources}
        for query in _outermost_queries(select):
            if id(query) not in within:
                yield from self._of_query(query, tables)

    def _of_source(self, source: exp.Expr, tables: dict[str, list[_Open]]) -> list[_Open]:
        if isinstance(source, exp.Query):
            return list(self._of_query(source, tables))
        if not isinstance(source, exp.Table):
            return []
        if not source.db:
            return tables.get(source.name.lower(), [])
        found = self._resolve(TableName(source.catalog or self._project, source.db, source.name))
        if isinstance(found, Required):
            return [_Open(found, frozenset(column.lower() for column in found.columns))]
        return [] if found is None else list(self._of_query(found, {}))


def _outermost_queries(tree: exp.Expr) -> Iterator[exp.Query]:
    """Yield the queries inside ``tree`` that are not inside another one of them."""
    for child in tree.iter_expressions():
        if isinstance(child, exp.With):
            continue
        if isinstance(child, exp.Query):
            yield child
        else:
            yield from _outermost_queries(child)


def _without_filter(found: list[_Open], alias: str, conditions: list[exp.Expr]) -> list[_Open]:
    return [
        each for each in found if not any(_filters(condition, alias.lower(), each.names) for condition in conditions)
    ]


def _passed_on(select: exp.Select, alias: str, names: frozenset[str]) -> frozenset[str]:
    """Return the names under which a query passes on columns of a source."""
    passed: set[str] = set()
    for projection in select.expressions:
        value = projection.unalias()
        if value.is_star:
            passed |= (
                names if value.args.get("table") is None or value.args["table"].name.lower() == alias.lower() else set()
            )
        elif any(_is_column(column, alias.lower(), names) for column in value.find_all(exp.Column)):
            passed.add(projection.alias_or_name.lower())
    return frozenset(passed)


def _filters(condition: exp.Expr, alias: str, names: frozenset[str]) -> bool:
    """Return whether a condition holds only for some values of the columns ``names``."""
    match condition:
        case exp.Where() | exp.Having() | exp.Qualify() | exp.Paren() | exp.Not():
            return _filters(condition.this, alias, names)
        case exp.And():
            return _filters(condition.this, alias, names) or _filters(condition.expression, alias, names)
        case exp.Or():
            return _filters(condition.this, alias, names) and _filters(condition.expression, alias, names)
        case exp.Between():
            return _depends(condition.this, alias, names) and _is_fixed(condition.args["low"], condition.args["high"])
        case exp.In():
            return _depends(condition.this, alias, names) and _is_fixed(*condition.expressions)
        case exp.Is():
            return _depends(condition.this, alias, names)
        case exp.EQ() | exp.GT() | exp.GTE() | exp.LT() | exp.LTE() | exp.NullSafeEQ():
            sides = condition.this, condition.expression
            return any(_depends(one, alias, names) and _is_fixed(other) for one, other in (sides, sides[::-1]))
    return False


def _depends(value: exp.Expr, alias: str, names: frozenset[str]) -> bool:
    return any(_is_column(column, alias, names) for column in value.find_all(exp.Column))


def _is_fixed(*values: exp.Expr) -> bool:
    """Return whether values do not depend on the row. The columns of a subquery are its own."""
    return not any(
        column.find_ancestor(exp.Query) is value.find_ancestor(exp.Query)
        for value in values
        for column in value.find_all(exp.Column)
    )


def _is_column(column: exp.Column, alias: str, names: frozenset[str]) -> bool:
    return column.name.lower() in names and column.table.lower() in ("", alias)
