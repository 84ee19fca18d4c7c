"""Rejects joins and sources that GoogleSQL does not have, and recursive references where it does not allow them.

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#from_clause
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError


def reject_wrong_sources(tree: exp.Expr) -> None:
    """Raise ``QueryError`` if a FROM clause of a statement has a form that GoogleSQL does not have."""
    for node in tree.find_all(exp.Join, exp.Unnest, exp.Values, exp.With):
        message = None
        if isinstance(node, exp.Join):
            message = _join_problem(node)
        elif isinstance(node, exp.Unnest):
            message = "The UNNEST operator supports exactly one argument" if len(node.expressions) > 1 else None
        elif isinstance(node, exp.Values):
            inserted = isinstance(node.parent, exp.Insert)
            message = None if inserted else "Syntax error: Unexpected keyword VALUES; a query lists rows with UNNEST"
        elif isinstance(node, exp.With) and node.recursive:
            for expression in node.expressions:
                message = message or _recursion_problem(expression)
        if message is not None:
            raise QueryError(message, location="query")


def _join_problem(join: exp.Join) -> str | None:
    """Return what is wrong with a join. That of an array needs no condition."""
    if (method := join.method.upper()) == "NATURAL":
        return "Natural join not supported"
    if method or join.kind.upper() in ("SEMI", "ANTI"):
        return f"Syntax error: Unexpected keyword {method or join.kind.upper()}"
    conditional = join.args.get("on") is not None or bool(join.args.get("using"))
    if conditional or join.kind.upper() == "CROSS" or isinstance(join.this, (exp.Unnest, exp.Lateral)):
        return None
    return f"{join.side or 'INNER'} JOIN must have an immediately following ON or USING clause"


def _recursion_problem(expression: exp.CTE) -> str | None:
    """Return what is wrong with the references of a common table expression to itself.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#recursive_cte_rules
    """
    name = expression.alias
    references = _references(expression.this, name)
    if not references:
        return None
    query = expression.this.unnest() if isinstance(expression.this, exp.Subquery) else expression.this
    if not isinstance(query, exp.Union):
        return f"Recursive reference '{name}' is only allowed in the last query of a UNION"
    if _references(query.this, name):
        return f"Recursive reference '{name}' is not allowed in the first query of a UNION, which is not recursive"
    if len(references) > 1:
        return f"Multiple recursive references to table '{name}' are not allowed"
    return next((problem for each in _around(references[0], query) if (problem := _place_problem(each, name))), None)


def _references(query: exp.Expr, name: str) -> list[exp.Table]:
    return [table for table in query.find_all(exp.Table) if not table.db and table.name.lower() == name.lower()]


def _around(reference: exp.Expr, query: exp.Expr) -> list[exp.Expr]:
    """Return the parts of a query that are around a reference, from the inside."""
    found = []
    while reference.parent is not None and reference is not query:
        found.append(reference)
        reference = reference.parent
    return found


def _place_problem(part: exp.Expr, name: str) -> str | None:
    """Return why a part of a query cannot have a recursive reference in it."""
    if isinstance(part, exp.Join) and part.side in ("LEFT", "FULL"):
        return f"A recursive reference to '{name}' is not allowed on the nullable side of a JOIN"
    if isinstance(part, (exp.Subquery, exp.Exists, exp.In)) and not isinstance(
        part.parent, (exp.From, exp.Join, exp.Union)
    ):
        return f"A recursive reference to '{name}' is not allowed in an expression"
    what = "A subquery containing a recursive reference must not contain"
    if not isinstance(part, exp.Select):
        return None
    if part.args.get("distinct"):
        return f"{what} SELECT DISTINCT"
    for key, clause in {"group": "a GROUP BY", "order": "an ORDER BY", "limit": "a LIMIT"}.items():
        if part.args.get(key):
            return f"{what} {clause} clause"
    if any(each.find_ancestor(exp.Select) is part for each in part.find_all(exp.AggFunc, exp.Window)):
        return f"{what} an aggregate or window function"
    return None
