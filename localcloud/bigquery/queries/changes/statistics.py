"""Counts the rows that a statement has inserted, updated and deleted.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#DmlStats
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

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


def merge_statistics(merge: exp.Merge, affected: int, growth: int) -> dict[str, Any]:
    """Return the statistics of a MERGE; without ``dmlStats`` if it inserts, updates and deletes, which two numbers do not tell.

    Args:
        merge: The statement.
        affected: The number of rows that it has changed.
        growth: The number of rows of the table after it, less the one before.
    """
    statistics = change_statistics("MERGE", affected)
    actions = {_action(when.args.get("then")) for when in merge.find_all(exp.When)}
    inserted = updated = deleted = 0
    match sorted(actions):
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
        case _:
            return statistics
    statistics["dmlStats"] = {
        "insertedRowCount": str(inserted),
        "updatedRowCount": str(updated),
        "deletedRowCount": str(deleted),
    }
    return statistics


def _action(then: object) -> str:
    return "insert" if isinstance(then, exp.Insert) else "update" if isinstance(then, exp.Update) else "delete"
