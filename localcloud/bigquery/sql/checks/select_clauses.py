"""Rejects clauses of SELECT that GoogleSQL does not have, or not in this form. DuckDB has them.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError


def reject_wrong_clauses(tree: exp.Expr) -> None:
    """Raise ``QueryError`` if a query of a statement has a clause in a form that GoogleSQL does not have."""
    for node in tree.find_all(exp.Query, exp.Count):
        message = None
        if isinstance(node, exp.Count):
            message = _count_problem(node)
        elif isinstance(node, exp.Query):
            message = _limit_problem(node) or (_select_problem(node) if isinstance(node, exp.Select) else None)
        if message is not None:
            raise QueryError(message, location="query")


def _select_problem(select: exp.Select) -> str | None:
    distinct, order = select.args.get("distinct"), select.args.get("order")
    if distinct is not None and distinct.args.get("on") is not None:
        return "Syntax error: Unexpected keyword ON"
    if order is not None and any(_is_all(each.this) for each in order.expressions):
        return "Syntax error: Unexpected keyword ALL"
    if distinct is not None and order is not None and (column := _unseen(select, order)) is not None:
        return f"ORDER BY clause expression references column {column} which is not visible after SELECT DISTINCT"
    for clause, name in ((select.args.get("group"), "GROUP BY"), (order, "ORDER BY")):
        if clause is not None and (number := _missing_column(select, clause)) is not None:
            return f"{name} is out of SELECT column number range: {number}"
    having = select.args.get("having")
    grouped = select.args.get("group") is not None or any(_aggregates(each, select) for each in select.expressions)
    if having is not None and not grouped and _aggregates(having, select):
        return "The HAVING clause only allows aggregation if GROUP BY or SELECT list aggregation is present"
    if order is not None and not grouped and _aggregates(order, select):
        return "The ORDER BY clause only allows aggregation if GROUP BY or SELECT list aggregation is present"
    return None


def _missing_column(select: exp.Select, clause: exp.Expr) -> str | None:
    """Return a number in GROUP BY or ORDER BY that is not that of a column, or None."""
    if any(each.is_star for each in select.expressions) or select.args.get("kind"):
        return None
    values = (each.this if isinstance(each, exp.Ordered) else each for each in clause.expressions)
    numbers = (value.name for value in values if isinstance(value, exp.Literal) and value.is_int)
    return next((number for number in numbers if not 0 < int(number) <= len(select.expressions)), None)


def _unseen(select: exp.Select, order: exp.Expr) -> str | None:
    """Return a column in ORDER BY that SELECT DISTINCT does not return, or None."""
    if any(each.is_star for each in select.expressions):
        return None
    seen = {each.alias_or_name.lower() for each in select.expressions} | {
        column.name.lower() for each in select.expressions for column in each.find_all(exp.Column)
    }
    columns = (column for column in order.find_all(exp.Column) if column.find_ancestor(exp.Select) is select)
    return next(
        (column.name for column in columns if column.parts[0].name.lower() not in seen | {column.table.lower()}), None
    )


def _aggregates(part: exp.Expr, select: exp.Select) -> bool:
    """Return whether a part of a SELECT has an aggregate function that is not a window function."""
    return any(function.find_ancestor(exp.Select, exp.Window) is select for function in part.find_all(exp.AggFunc)) or (
        isinstance(part, exp.AggFunc) and part.parent is select
    )


def _limit_problem(query: exp.Query) -> str | None:
    """Return what is wrong with LIMIT and OFFSET.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#limit_and_offset_clause
    """
    limit, offset = query.args.get("limit"), query.args.get("offset")
    if isinstance(limit, exp.Fetch):
        return "Syntax error: Expected end of input but got keyword FETCH"
    if limit is None and offset is not None:
        return "Syntax error: OFFSET needs a LIMIT before it"
    for value in (clause.expression for clause in (limit, offset) if clause is not None):
        if isinstance(value, exp.Null):
            return "LIMIT and OFFSET must not be null"
        if isinstance(value, exp.Literal) and not value.is_int:
            return f"LIMIT ... OFFSET ... expects INT64, got {'STRING' if value.is_string else 'FLOAT64'}"
    return None


def _count_problem(count: exp.Count) -> str | None:
    counted = count.this
    if isinstance(counted, exp.Distinct) and len(counted.expressions) > 1:
        return "No matching signature for aggregate function COUNT; COUNT(DISTINCT ...) has one argument"
    if isinstance(counted, exp.Column) and counted.is_star:
        return 'Syntax error: Unexpected "*"'
    return None


def _is_all(value: exp.Expr) -> bool:
    return (isinstance(value, exp.Column) and value.name.upper() == "ALL" and not value.this.quoted) or (
        isinstance(value, exp.Var) and value.name.upper() == "ALL"
    )
