"""What a part of a query can read: the tables and other sources of its query and of those around it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

from sqlglot import exp


def visible_sources(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the sources whose columns a part of a statement can read, those of the innermost query first.

    A source reads the sources before it. A query of a WITH clause reads none of the query around it.
    """
    around = {id(node)}
    inside = node.parent
    while inside is not None and not isinstance(inside, exp.CTE):
        around.add(id(inside))
        if isinstance(inside, (exp.Select, exp.Update, exp.Delete, exp.Merge)):
            yield from takewhile(lambda source: id(source) not in around, sources_of(inside))
        inside = inside.parent


def sources_of(node: exp.Expr) -> list[exp.Expr]:
    """Return the tables and other sources of a query, or the target and the sources of a change."""
    start, target = node.args.get("from_"), node.this
    first = [start.this] if isinstance(start, exp.From) else []
    if not isinstance(node, exp.Select):
        first = [each for each in (target, node.args.get("using"), *first) if isinstance(each, exp.Expr)]
    nested = [join.this for source in first for join in source.args.get("joins") or ()]
    return [*first, *nested, *(join.this for join in node.args.get("joins") or ())]


def name_of(source: exp.Expr) -> str:
    """Return the name or the alias of a source, in lower case."""
    alias = source.args.get("alias")
    if isinstance(source, exp.Unnest) and isinstance(alias, exp.TableAlias) and alias.columns:
        return str(alias.columns[0].name).lower()
    return str(source.alias_or_name).lower()


def correlated_paths(tree: exp.Expr) -> list[exp.Table]:
    """Return the tables of subqueries that are arrays of a query around them, such as ``(SELECT x FROM t.array AS x)``.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#implicit_unnest
    """
    return [node for node in tree.find_all(exp.Table) if node.db and _is_array(node)]


def _is_array(table: exp.Table) -> bool:
    if not isinstance(table.parent, (exp.From, exp.Join)):
        return False
    first = table.parts[0].name.lower()
    return any(name_of(source) == first for source in visible_sources(table))
