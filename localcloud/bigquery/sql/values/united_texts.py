"""Gives the literals of STRINGs in set operations the types of their columns; DuckDB would make texts of the other values.

https://cloud.google.com/bigquery/docs/reference/standard-sql/conversion_rules#supertypes
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlglot import exp

from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.types import columns_of, whole_type_of

_MAY_CONCERN = re.compile(r"\b(?:UNION|EXCEPT|INTERSECT)\b", re.IGNORECASE)
# What a literal of a STRING may stand for.
_COERCED = frozenset({"BYTES", "DATE", "DATETIME", "TIME", "TIMESTAMP"})


def type_united_texts(draft: Draft) -> None:
    """Cast the literals of STRINGs in the set operations of one statement of GoogleSQL to the types of their columns."""
    tree = draft.tree if _MAY_CONCERN.search(draft.text) is not None else None
    found = tree.find_all(exp.SetOperation) if tree is not None else ()
    united = [list(_queries(each)) for each in found if not isinstance(each.parent, exp.SetOperation)]
    united = [queries for queries in united if any(_is_text(each) for query in queries for each in query.expressions)]
    if tree is None or not united or not draft.mark_types():
        return
    changed = False
    for queries in united:
        columns = [_columns(query) for query in queries]
        if len({len(each) for each in columns}) == 1:
            for values in zip(*columns, strict=True):
                changed = _unite(values) or changed
    if changed:
        draft.changed(tree)


def _queries(united: exp.SetOperation) -> Iterator[exp.Select]:
    """Yield the queries of a set operation, and of those in it."""
    pending: list[exp.Expr] = [united]
    while pending:
        query = pending.pop().unnest()
        if isinstance(query, exp.SetOperation):
            pending += [query.expression, query.this]
        elif isinstance(query, exp.Select):
            yield query


def _columns(query: exp.Select) -> Sequence[exp.Expr]:
    if any(each.is_star for each in query.expressions):
        return columns_of(query) or ()
    return [each.unalias() for each in query.expressions]


def _unite(values: Sequence[exp.Expr]) -> bool:
    """Cast the literals among the values of a column in place, and return whether there are any to cast."""
    kinds = [kind for each in values if not _is_text(each) and (kind := whole_type_of(each)) is not None]
    kind = next((each for each in kinds if each.sql(dialect="bigquery") in _COERCED), None)
    texts = [each for each in values if _is_text(each)] if kind is not None else []
    for text in texts:
        text.replace(exp.Cast(this=text.copy(), to=kind))
    return bool(texts)


def _is_text(value: exp.Expr) -> bool:
    value = value.unalias()
    return isinstance(value, exp.Literal) and value.is_string
