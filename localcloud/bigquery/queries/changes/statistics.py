"""Counts the rows that a statement has inserted, updated and deleted.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#DmlStats
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.statements import Statements

_COUNTER = {
    "INSERT": "insertedRowCount",
    "UPDATE": "updatedRowCount",
    "DELETE": "deletedRowCount",
    "TRUNCATE_TABLE": "deletedRowCount",
}


def change_statistics(kind: str, affected: int) -> dict[str, Any]:
    """Return the statistics of a statement of a type that has changed ``affected`` rows."""
    statistics: dict[str, Any] = {"numDmlAffectedRows": str(affected)}
    if kind in _COUNTER:
        statistics["dmlStats"] = {_COUNTER[kind]: str(affected)}
    return statistics


def count_insertions(merge: exp.Expr | None, sql: str, statements: Statements) -> int | None:
    """Return the number of rows that a MERGE will insert; None if it does not insert, update and delete, or if it uses models.

    Args:
        merge: The prepared statement, which may be another one.
        sql: The statement before.
        statements: The statements of the job.
    """
    if not isinstance(merge, exp.Merge) or len(_actions(merge)) < 3 or statements.model_uses.are_in(sql):
        return None
    matching = exp.select("1").from_(merge.this.copy()).where(merge.args["on"].copy())
    conditions = [
        when.args.get("condition") or exp.true()
        for when in merge.find_all(exp.When)
        if not when.args.get("matched") and not when.args.get("source")
    ]
    inserted = exp.select("COUNT(*)").from_(merge.args["using"].copy())
    query = inserted.where(exp.Not(this=exp.Exists(this=matching)), exp.or_(*conditions)).sql(dialect="bigquery")
    with suppress(QueryError):  # the statement itself reports what is wrong
        rows, _, _ = statements.execute(query, query)
        return int(rows.column(0)[0].as_py())
    return None


def merge_statistics(merge: exp.Merge, affected: int, growth: int, inserted_rows: int | None) -> dict[str, Any]:
    """Return the statistics of a MERGE; without ``dmlStats`` if the numbers do not tell them.

    Args:
        merge: The statement.
        affected: The number of rows that it has changed.
        growth: The number of rows of the table after it, less the one before.
        inserted_rows: What ``count_insertions`` has returned before it.
    """
    statistics = change_statistics("MERGE", affected)
    inserted = updated = deleted = 0
    match sorted(_actions(merge)):
        case ["insert"]:
            inserted = affected
        case ["update"]:
            updated = affected
        case ["delete"]:
            deleted = affected
        case ["insert", "update"]:
            inserted, updated = growth, affected - growth
        case ["delete", "insert"]:
            inserted, deleted = (affected + growth) // 2, (affected - growth) // 2
        case ["delete", "update"]:
            deleted, updated = -growth, affected + growth
        case _ if inserted_rows is not None:
            inserted, deleted = inserted_rows, inserted_rows - growth
            updated = affected - inserted - deleted
        case _:
            return statistics
    statistics["dmlStats"] = {
        "insertedRowCount": str(inserted),
        "updatedRowCount": str(updated),
        "deletedRowCount": str(deleted),
    }
    return statistics


def _actions(merge: exp.Merge) -> set[str]:
    return {_action(when.args.get("then")) for when in merge.find_all(exp.When)}


def _action(then: object) -> str:
    return "insert" if isinstance(then, exp.Insert) else "update" if isinstance(then, exp.Update) else "delete"
