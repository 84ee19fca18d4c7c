"""What each pipe operator does to the rows before it.

https://cloud.google.com/bigquery/docs/reference/standard-sql/pipe-syntax#pipe_operators
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.pipes.lists import Part, tables_of
from localcloud.bigquery.sql.pipes.rows import Rows
from localcloud.bigquery.sql.reading.tokens import parsed, syntax_error

_GROUPINGS = ("GROUPING SETS", "ROLLUP", "CUBE")
_SET_OPERATORS = ("UNION", "INTERSECT", "EXCEPT")


@dataclass(frozen=True)
class Operator:
    """One pipe operator.

    Attributes:
        words: All that follows ``|>``.
        named: The names before a dot in this operator and in those behind it, in lower case.
        later: The same, without this operator.
    """

    words: Part
    named: AbstractSet[str]
    later: AbstractSet[str]

    @property
    def body(self) -> Part:
        """What follows the first word."""
        return self.words.after(1)

    def applied(self, rows: Rows) -> Rows:
        """Return the rows behind this operator.

        Raises:
            QueryError: There is no such operator, or its form is wrong.
        """
        first = self.words.tokens[0] if self.words.tokens else None
        name = first.text.upper() if first is not None and first.kind == "word" else ""
        if self.words.has("JOIN") and name not in _OPERATORS:
            return _join(self, rows)
        if self.words.has(*_SET_OPERATORS) and name not in _OPERATORS:
            return _combine(self, rows)
        if name not in _OPERATORS:
            start = first.start if first is not None else len(self.words.sql.rstrip())
            raise syntax_error(self.words.sql, f"Unexpected {first.named() if first else 'end of statement'}", start)
        return _OPERATORS[name](self, rows)


def _where(operator: Operator, rows: Rows) -> Rows:
    rows = rows if rows.selects_all and not rows.limit else rows.nested(operator.named)
    return replace(rows, conditions=(*rows.conditions, f"({operator.body.text})"))


def _select(operator: Operator, rows: Rows) -> Rows:
    columns, window = operator.body.split_at("WINDOW")
    _reject_aggregates(columns, "SELECT")
    rows = rows.unordered(operator.named)
    return rows.selected(_without_kept(columns, rows.kept), operator.named, after=_clause(window))


def _without_kept(columns: Part, kept: tuple[str, ...]) -> str:
    """Return the columns of SELECT, whose star does not stand for the rows of tables that are kept."""
    if not kept or not columns.tokens[:1] or not columns.tokens[0].is_symbol("*"):
        return columns.text
    rest = columns.after(1)
    if rest.tokens[:1] and rest.tokens[0].is_word("EXCEPT"):
        return f"* EXCEPT ({', '.join(kept)}, {rest.after(2).text}"
    return f"* EXCEPT ({', '.join(kept)}) {rest.text}"


def _extend(operator: Operator, rows: Rows) -> Rows:
    columns, window = operator.body.split_at("WINDOW")
    _reject_aggregates(columns, "EXTEND")
    return rows.projected(f"*, {columns.text}", operator.later, after=_clause(window), named=operator.named)


def _set(operator: Operator, rows: Rows) -> Rows:
    changes = []
    for each in operator.body.items():
        column, value = each.split_at("=")
        if value is None:
            raise QueryError("Syntax error: the pipe operator SET has a list of column = expression", location="query")
        changes.append(f"{value.after(1).text} AS {column.text}")
    return rows.projected(f"* REPLACE ({', '.join(changes)})", operator.later, named=operator.named)


def _drop(operator: Operator, rows: Rows) -> Rows:
    return rows.projected(f"* EXCEPT ({operator.body.text})", operator.later, named=operator.named)


def _rename(operator: Operator, rows: Rows) -> Rows:
    names = [(column.text, alias) for column, alias in map(Part.aliased, operator.body.items())]
    # DuckDB renames nothing if there is no such column, but finds that there is nothing to replace.
    same = ", ".join(f"{column} AS {column}" for column, _ in names)
    rows = rows.projected(f"* REPLACE ({same})", operator.later, named=operator.named)
    renamed = ", ".join(f"{column} AS {alias}" for column, alias in names)
    return rows.projected(f"* RENAME ({renamed})", operator.later, named=operator.named)


def _as(operator: Operator, rows: Rows) -> Rows:
    return rows.inside(f"({rows.visible}) AS {operator.body.text}", operator.body.tokens[-1].text.lower())


def _order(operator: Operator, rows: Rows) -> Rows:
    rows = rows if rows.selects_all and not rows.limit else rows.nested(operator.named)
    return replace(rows, order=f" {operator.words.text}")


def _limit(operator: Operator, rows: Rows) -> Rows:
    rows = rows.nested(operator.named) if rows.limit else rows
    return replace(rows, limit=f" {operator.words.text}")


def _distinct(_: Operator, rows: Rows) -> Rows:
    return rows.inside(f"({rows.visible})").selected("DISTINCT *", frozenset())


def _aggregate(operator: Operator, rows: Rows) -> Rows:
    """Group the rows: the columns are those of GROUP BY and then the aggregates."""
    aggregates, grouping = operator.body.split_at("GROUP", "GROUP BY")
    ordered = grouping is not None and grouping.tokens[0].is_word("GROUP")
    groups = [] if grouping is None else grouping.after(3 if ordered else 1).items()
    columns: list[str] = []
    orders: list[str] = []
    if groups and groups[0].tokens[0].is_word(*_GROUPINGS):
        columns = list(dict.fromkeys(name for each in groups for name in each.names()))
        after = f" GROUP BY {', '.join(each.text for each in groups)}"
    else:
        for each in groups:
            item, suffix = each.without_order()
            value, alias = item.aliased()
            if value.tokens[0].kind == "number" and len(value.tokens) == 1:
                raise QueryError("GROUP BY ordinal not allowed in pipe AGGREGATE", location="query")
            columns.append(f"{value.text} AS {alias}" if alias else value.text)
            orders += [f"{len(columns)}{suffix}"] if suffix or ordered else []
        after = f" GROUP BY {', '.join(str(number + 1) for number in range(len(groups)))}" if groups else " HAVING TRUE"
    for each in aggregates.items():
        item, suffix = each.without_order()
        columns.append(item.text)
        orders += [f"{len(columns)}{suffix}"] if suffix else []
    order = f" ORDER BY {', '.join(orders)}" if orders else ""
    return rows.selected(", ".join(columns), operator.named, after=after, order=order)


def _join(operator: Operator, rows: Rows) -> Rows:
    rows = rows.nested(operator.named)
    return replace(
        rows, source=f"{rows.source} {operator.words.text}", tables=(*rows.tables, *tables_of(operator.words))
    )


def _combine(operator: Operator, rows: Rows) -> Rows:
    """Combine the rows with those of the queries in a list, from left to right."""
    first, *others = operator.words.items()
    words, query = first.before_last_group()
    queries = [query, *(each.text for each in others)]
    return rows.inside(f"(({rows.visible}) {' '.join(f'{words} {each}' for each in queries)})")


def _pivot(operator: Operator, rows: Rows) -> Rows:
    return rows.inside(f"({rows.visible}) {operator.words.text}", *tables_of(operator.words))


def _sample(operator: Operator, rows: Rows) -> Rows:
    if rows != Rows(rows.source, rows.tables, expressions=rows.expressions):
        raise QueryError("TABLESAMPLE SYSTEM can only be applied directly to tables.", location="query")
    return replace(rows, source=f"{rows.source} {operator.words.text}")


def _with(operator: Operator, rows: Rows) -> Rows:
    return replace(rows, expressions=(*rows.expressions, operator.body.text))


_OPERATORS: dict[str, Callable[[Operator, Rows], Rows]] = {
    "AGGREGATE": _aggregate,
    "AS": _as,
    "DISTINCT": _distinct,
    "DROP": _drop,
    "EXTEND": _extend,
    "LIMIT": _limit,
    "ORDER BY": _order,
    "PIVOT": _pivot,
    "RENAME": _rename,
    "SELECT": _select,
    "SET": _set,
    "TABLESAMPLE": _sample,
    "UNPIVOT": _pivot,
    "WHERE": _where,
    "WINDOW": _extend,
    "WITH": _with,
}


def _clause(part: Part | None) -> str:
    return "" if part is None else f" {part.text}"


def _reject_aggregates(columns: Part, operator: str) -> None:
    """Reject aggregate functions, for which there is the operator AGGREGATE."""
    tree = parsed(f"SELECT {columns.text}")
    for function in tree.find_all(exp.AggFunc) if isinstance(tree, exp.Select) else ():
        window = function.find_ancestor(exp.Window, exp.Select)
        if window is tree:
            name = function.meta.get("name") or function.sql_name()
            raise QueryError(f"Aggregate function {str(name).upper()} not allowed in pipe {operator}", location="query")
