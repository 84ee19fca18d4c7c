"""Names the columns without a name that a star of the result stands for. DuckDB names them by their text.

    SELECT *, x + 1 FROM t   ->   SELECT *, x + 1 AS f0_ FROM t

https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#implicit_aliases
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from localcloud.bigquery.sql.reading.sources import name_of, sources_of
from localcloud.bigquery.sql.reading.statement import Statement


def with_named_columns(statement: Statement) -> str:
    """Return the text of a statement; if it is a query with a star, with names for its columns without one."""
    query = statement.tree
    if not isinstance(query, exp.Query) or not any(True for _ in _nameless(query)):
        return statement.sql
    tree = query.copy()
    for number, projection in enumerate(list(_nameless(tree))):
        if isinstance(projection, exp.Unnest):
            projection.set("alias", exp.TableAlias(columns=[exp.to_identifier(f"f{number}_")]))
            continue
        projection.replace(exp.alias_(projection.copy(), f"f{number}_"))
    return tree.sql(dialect="bigquery")


def _nameless(query: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the columns without a name, in the order of the result, if the query has a star."""
    select = _select_of(query)
    if select is not None and any(each.is_star for each in select.expressions):
        yield from {id(each): each for each in _columns(select, set())}.values()


def _columns(select: exp.Select, seen: set[int]) -> Iterator[exp.Expr]:
    """Yield the columns without a name of a SELECT and of the queries for which its stars stand."""
    if id(select) in seen:
        return
    seen.add(id(select))
    for projection in select.expressions:
        if projection.is_star:
            table = projection.table.lower() if isinstance(projection, exp.Column) else ""
            for source in sources_of(select):
                inner = _query_of(source) if table in ("", name_of(source)) else None
                if inner is not None:
                    yield from _columns(inner, seen)
                elif _has_no_name(source):
                    yield source
        elif not isinstance(projection.unnest(), (exp.Alias, exp.Column, exp.Dot)):
            yield projection


def _has_no_name(source: exp.Expr) -> bool:
    """Return whether a source is an UNNEST of values that are no STRUCTs, without an alias."""
    if not isinstance(source, exp.Unnest) or source.args.get("alias") or len(source.expressions) != 1:
        return False
    array = source.expressions[0]
    if isinstance(array, exp.Array):
        return bool(array.expressions) and isinstance(
            array.expressions[0], (exp.Boolean, exp.Literal, exp.Neg, exp.Null)
        )
    return isinstance(array, (exp.GenerateSeries, exp.GenerateDateArray, exp.GenerateTimestampArray, exp.Split))


def _query_of(source: exp.Expr) -> exp.Select | None:
    """Return the SELECT that names the columns of a source of a FROM clause, or None."""
    if source.args.get("pivots"):
        return None
    if isinstance(source, exp.Subquery):
        return _select_of(source.this)
    if isinstance(source, exp.Table) and not source.db:
        named = (cte for cte in source.root().find_all(exp.CTE) if cte.alias.lower() == source.name.lower())
        cte = next(named, None)
        return None if cte is None or cte.args["alias"].columns else _select_of(cte.this)
    return None


def _select_of(query: exp.Expr) -> exp.Select | None:
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    return query if isinstance(query, exp.Select) and not query.args.get("kind") else None
