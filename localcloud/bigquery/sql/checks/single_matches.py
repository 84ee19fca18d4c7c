"""Has MERGE and UPDATE ... FROM fail if they match several source rows for one target row, as BigQuery does.

DuckDB takes one of the source rows. So the pairs of rows are found first, counted for each target row, and joined to the
target by its row id.
https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#merge_statement
https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax#update_with_joins
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.draft import Draft

_MAY_CONCERN = re.compile(r"\bMERGE\b|\bUPDATE\b.*\bFROM\b", re.IGNORECASE | re.DOTALL)
_SEVERAL = "UPDATE/MERGE must match at most one source row for each target row"
_ROW_ID = "rowid"
# Names in the pairs of rows: the row id of the target, the values of an UPDATE, and the pairs themselves.
_TARGET, _VALUE, _PAIRS = "_target_row", "_value_", "_pairs"


def require_single_matches(draft: Draft) -> None:
    """Let a statement of GoogleSQL fail if it matches several source rows for one target row.

    Raises:
        QueryError: The target has a column with the name of DuckDB's row id.
    """
    tree = draft.tree if _MAY_CONCERN.search(draft.text) is not None else None
    if isinstance(tree, exp.Merge) and _matched(tree):
        _check_columns(tree.this, draft.schema)
        _pair_merge(tree)
        draft.changed(tree)
    elif isinstance(tree, exp.Update) and tree.args.get("from_") is not None:
        _check_columns(tree.this, draft.schema)
        _pair_update(tree)
        draft.changed(tree)


def _check_columns(target: exp.Expr, schema: Mapping[str, Any] | None) -> None:
    if _ROW_ID in {name.lower() for name in (schema or {}).get(target.name, ())}:
        raise QueryError(
            f"MERGE with WHEN MATCHED, and UPDATE with FROM, are not supported by the local BigQuery for a table with a "
            f"column {_ROW_ID}",
            location="query",
        )


def _matched(merge: exp.Merge) -> list[exp.When]:
    """Return the WHEN MATCHED clauses."""
    return [when for when in merge.find_all(exp.When) if when.args.get("matched")]


def _pair_merge(merge: exp.Merge) -> None:
    """Make the source of a MERGE the pairs of its rows and those of the target."""
    target, source = merge.this, merge.args["using"].copy()
    if isinstance(source, exp.Unnest):
        columns = source.args["alias"].columns if source.args.get("alias") else []
        source = exp.select("*").from_(source).subquery(columns[0].name if columns else None)
    if not source.alias_or_name:
        source.set("alias", exp.TableAlias(this=exp.to_identifier(_PAIRS)))
    alias = source.alias_or_name
    conditions = [when.args.get("condition") for when in _matched(merge)]
    applies = None if None in conditions else exp.or_(*conditions)
    inserts = any(not when.args.get("matched") and not when.args.get("source") for when in merge.find_all(exp.When))
    pairs = exp.select(exp.column(exp.Star(), table=alias), _single(target, applies)).from_(source)
    pairs = pairs.join(target.copy(), on=merge.args["on"], join_type="LEFT" if inserts else "INNER")
    merge.set("using", pairs.subquery(alias))
    merge.set("on", exp.EQ(this=_row_id(target), expression=exp.column(_TARGET, table=alias)))


def _pair_update(update: exp.Update) -> None:
    """Make the source of an UPDATE the pairs of its rows and those of the target, with the values that read them."""
    target, source = update.this, update.args["from_"].this
    pairs = exp.select(_single(target, None)).from_(target.copy()).join(source.copy(), join_type="CROSS")
    for number, assignment in enumerate(update.expressions):
        value = assignment.expression
        if value.find(exp.Column, exp.Query) is not None:
            pairs = pairs.select(exp.alias_(value.copy(), f"{_VALUE}{number}"))
            value.replace(exp.column(f"{_VALUE}{number}", table=_PAIRS))
    if update.args.get("where") is not None:
        pairs.set("where", update.args["where"].copy())
    update.set("from_", exp.From(this=pairs.subquery(_PAIRS)))
    update.set("where", exp.Where(this=exp.EQ(this=_row_id(target), expression=exp.column(_TARGET, table=_PAIRS))))


def _single(target: exp.Expr, applies: exp.Expr | None) -> exp.Expr:
    """Return the row id of the target in a pair, or an error if its row has other pairs to which a clause applies."""
    row = _row_id(target)
    counted = row if applies is None else exp.Case(ifs=[exp.If(this=applies.copy(), true=row)])
    pairs = exp.Window(this=exp.Count(this=counted), partition_by=[row.copy()])
    several = exp.GT(this=pairs, expression=exp.Literal.number(1))
    error = exp.Anonymous(this="ERROR", expressions=[exp.Literal.string(_SEVERAL)])
    return exp.alias_(exp.Case(ifs=[exp.If(this=several, true=error)], default=_row_id(target)), _TARGET)


def _row_id(target: exp.Expr) -> exp.Column:
    return exp.column(_ROW_ID, table=target.alias_or_name)
