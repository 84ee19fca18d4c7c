"""The names of the columns of a query, with those that its stars stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlglot import exp

from localcloud.bigquery.sql.reading.sources import name_of, sources_of

SourceColumns = Callable[[exp.Expr], Sequence[str]]
"""Returns the names of the columns of a table with a dataset, or of an UNNEST; none if they are not known."""


def column_names(query: exp.Expr, columns_of: SourceColumns) -> list[str]:
    """Return the names of the columns of a query, empty ones for those without a name; none if they are not known."""
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    if not isinstance(query, exp.Select) or query.args.get("kind"):
        return []
    names: list[str] = []
    for projection in query.expressions:
        star = projection.this if isinstance(projection, exp.Column) and projection.is_star else projection
        if not isinstance(star, exp.Star):
            inner = projection.unnest()  # a column in brackets has its name
            named = isinstance(inner, (exp.Alias, exp.Column, exp.Dot))
            names.append(inner.alias_or_name if named else "")
            continue
        table = projection.table.lower() if isinstance(projection, exp.Column) else ""
        left_out = {each.name.lower() for each in star.args.get("except_") or ()}
        renamed = {each.this.name.lower(): each.alias for each in star.args.get("rename") or ()}
        found = star_columns(query, table, columns_of)
        if not found:
            return []
        names += [renamed.get(name.lower(), name) for name in found if name.lower() not in left_out]
    return names


def source_columns(source: exp.Expr, columns_of: SourceColumns) -> list[str]:
    """Return the names of the columns of a source of a FROM clause; none if they are not known."""
    if source.args.get("pivots"):
        return []
    match source:
        case exp.Subquery():
            return column_names(source.this, columns_of)
        case exp.Table() if not source.db and isinstance(source.this, exp.Identifier):
            named = (cte for cte in source.root().find_all(exp.CTE) if cte.alias.lower() == source.name.lower())
            cte = next(named, None)
            if cte is None or source.find_ancestor(exp.CTE) is cte:
                return []
            return [each.name for each in cte.args["alias"].columns] or column_names(cte.this, columns_of)
    return list(columns_of(source))


def star_columns(query: exp.Select, table: str, columns_of: SourceColumns) -> list[str]:
    """Return the columns of ``*``, or of ``table.*`` (``table`` in lower case). Each column of USING is there once."""
    names: list[str] = []
    for source in sources_of(query):
        if table in ("", name_of(source)):
            found = source_columns(source, columns_of)
            if not found:
                return []
            names += found
    joined = {each.name.lower() for join in query.args.get("joins") or () for each in join.args.get("using") or ()}
    lower = [name.lower() for name in names]
    return [
        name for number, name in enumerate(names) if lower[number] not in joined or lower[number] not in lower[:number]
    ]
