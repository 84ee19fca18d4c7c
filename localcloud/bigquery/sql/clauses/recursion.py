"""Lets a recursion fail after as many iterations as in BigQuery. DuckDB has no limit: one without an end would run on.

https://cloud.google.com/bigquery/quotas#query_jobs
"""

from __future__ import annotations

import re

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft

_MAY_CONCERN = re.compile(r"\bRECURSIVE\b", re.IGNORECASE)
_MOST = 500
_ITERATION, _COUNTED = "_iteration", "_counted_"


def limit_recursion(draft: Draft) -> None:
    """Count the iterations of each recursion with UNION ALL in one statement of GoogleSQL, and let it fail after the last.

    A recursion with UNION DISTINCT ends when it finds no new rows, which a count would make of all rows.
    """
    tree = draft.tree if _MAY_CONCERN.search(draft.text) is not None else None
    if tree is None:
        return
    changed = False
    for clause in tree.find_all(exp.With):
        if clause.recursive:
            expressions = [part for each in clause.expressions for part in _counted(each)]
            changed = changed or len(expressions) > len(clause.expressions)
            clause.set("expressions", expressions)
    if changed:
        draft.changed(tree)


def _counted(expression: exp.CTE) -> list[exp.CTE]:
    """Return a common table expression that counts its iterations, and one with its columns; itself if it is not recursive."""
    name, union = expression.alias, expression.this.unnest()
    if not isinstance(union, exp.Union) or union.args.get("distinct"):
        return [expression]
    step = union.expression.unnest()
    references = [each for each in step.find_all(exp.Table) if not each.db and each.name.lower() == name.lower()]
    first = _queries(union.this)
    if (
        len(references) != 1
        or references[0].find_ancestor(exp.Select) is not step
        or any(map(_is_value, (*first, step)))
    ):
        return [expression]
    reference, alias = references[0], references[0].alias_or_name
    counted = exp.to_identifier(f"{_COUNTED}{name}", quoted=True)
    for select in first:
        select.append("expressions", exp.alias_(exp.Literal.number(0), _ITERATION))
    for star in step.expressions:
        if star.is_star and (not isinstance(star, exp.Column) or star.table.lower() == alias.lower()):
            star = star.this if isinstance(star, exp.Column) else star
            star.set("except_", [*(star.args.get("except_") or ()), exp.to_identifier(_ITERATION)])
    step.append("expressions", exp.alias_(_next(exp.column(_ITERATION, table=alias)), _ITERATION))
    reference.set("this", counted.copy())
    reference.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    columns = exp.select(exp.Star(except_=[exp.to_identifier(_ITERATION)])).from_(exp.Table(this=counted.copy()))
    whole = exp.CTE(this=columns, alias=expression.args["alias"].copy())
    expression.set("alias", exp.TableAlias(this=counted))
    return [expression, whole]


def _queries(query: exp.Expr) -> list[exp.Expr]:
    """Return the queries of a set operation, or the query itself."""
    query = query.unnest()
    if isinstance(query, exp.SetOperation):
        return [*_queries(query.this), *_queries(query.expression)]
    return [query]


def _is_value(select: exp.Expr) -> bool:
    """Return whether a query returns STRUCTs or values, so that it can have no further column."""
    return not isinstance(select, exp.Select) or select.args.get("kind") is not None


def _next(iteration: exp.Column) -> exp.Expr:
    message = f"A recursive CTE has reached the maximum number of iterations: {_MOST}"
    return exp.If(
        this=exp.LT(this=iteration, expression=exp.Literal.number(_MOST)),
        true=exp.Add(this=iteration.copy(), expression=exp.Literal.number(1)),
        false=exp.Anonymous(this="ERROR", expressions=[exp.Literal.string(message)]),
    )
