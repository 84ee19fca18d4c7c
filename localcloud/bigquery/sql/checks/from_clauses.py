"""Rejects what a query without a FROM clause cannot have. DuckDB gives it one row.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#from_clause
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError

_CLAUSES = {
    "where": "have a WHERE clause",
    "group": "have a GROUP BY clause",
    "having": "have a HAVING clause",
    "qualify": "have a QUALIFY clause",
    "windows": "have a WINDOW clause",
    "order": "have an ORDER BY clause",
    "distinct": "use SELECT DISTINCT",
}


def reject_clauses_without_from(tree: exp.Expr) -> None:
    """Raise ``QueryError`` if a query without a FROM clause has another clause, a star, or a call that needs rows."""
    for select in tree.find_all(exp.Select):
        if select.args.get("from_") is None and (problem := _problem(select)) is not None:
            raise QueryError(problem, location="query")


def _problem(select: exp.Select) -> str | None:
    for clause, what in _CLAUSES.items():
        if select.args.get(clause):
            return f"Query without FROM clause cannot {what}"
    for column in select.expressions:
        value = column.unalias()
        if isinstance(value, exp.Star):
            return "SELECT * must have a FROM clause"
        for call in value.find_all(exp.AggFunc, exp.Window):
            if call.find_ancestor(exp.Select) is select:
                kind = "Analytic" if isinstance(call, exp.Window) else "Aggregate"
                return f"{kind} function not allowed in SELECT without FROM clause"
    return None
