"""Creates the child jobs of a script: one for each statement that it ran.

https://cloud.google.com/bigquery/docs/multi-statement-queries#multi-statement-query-execution
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow as pa
from bqemulator.jobs.executor import build_response_schema

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import Job, JobKey
from localcloud.bigquery.queries.accounting import Accounting
from localcloud.bigquery.queries.changes.statistics import change_statistics
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.tables.results import NO_ROWS, AnonymousTables, RowsInMemory


@dataclass(frozen=True)
class Step:
    """One statement that a script ran.

    Attributes:
        sql: The text of the statement in the script, or in EXECUTE IMMEDIATE.
        statement: The statement.
        began: When the statement started.
        ended: When the statement ended.
        table: The rows of a query; None for other statements.
        affected: The number of rows that a DML statement changed, or None if it is not known.
        error: The error of the statement, or None.
        labels: The labels of the statement's job.
    """

    sql: str
    statement: Statement
    began: datetime
    ended: datetime
    table: pa.Table | None = None
    affected: int | None = None
    error: QueryError | None = None
    labels: dict[str, str] = field(default_factory=dict)


def child_jobs(
    job: Job, source: str, steps: list[Step], anonymous: AnonymousTables, accounting: Accounting
) -> list[Job]:
    """Return the child jobs of a script. All of them are DONE.

    Args:
        job: The job of the script.
        source: The text of the script.
        steps: The statements that it ran.
        anonymous: The anonymous tables, which keep the rows.
        accounting: Computes the statistics.
    """
    return [_child(job, source, number, step, anonymous, accounting) for number, step in enumerate(steps)]


def _child(
    parent: Job, source: str, number: int, step: Step, anonymous: AnonymousTables, accounting: Accounting
) -> Job:
    query: dict[str, Any] = {"query": step.sql, "useLegacySql": False, "priority": "INTERACTIVE"}
    key = JobKey(parent.key.project, parent.key.location, f"script_job_{parent.key.id}_{number}")
    configuration = {"jobType": "QUERY", "query": query} | ({"labels": step.labels} if step.labels else {})
    child = Job(key, configuration, user=parent.user, created=step.began, parent=parent.key.id)
    child.begin(step.began)
    described = accounting.describe(step.statement) if step.error is None else {"statementType": step.statement.kind}
    if step.affected is not None:
        described |= change_statistics(step.statement.kind, step.affected)
    statistics = accounting.job_statistics(child, step.ended, described, written=step.affected, children=None)
    child.statistics = statistics | {"scriptStatistics": _script_statistics(source, step.sql)}
    child.result = NO_ROWS
    if step.table is not None:
        name = anonymous.name_for(key)
        child.result = anonymous.hold(name, RowsInMemory(build_response_schema(step.table.schema), step.table))
        query["destinationTable"] = name.reference()
    elif step.statement.target is not None:
        query["destinationTable"] = step.statement.target.reference()
    child.finish(step.ended, step.error)
    return child


def _script_statistics(source: str, sql: str) -> dict[str, Any]:
    """Return the position of a statement in the script; dynamic SQL and the bodies of procedures have none.

    https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#ScriptStatistics
    """
    statistics: dict[str, Any] = {"evaluationKind": "STATEMENT"}
    start = source.find(sql)
    if start >= 0:
        first, last = _place(source, start), _place(source, start + len(sql))
        statistics["stackFrames"] = [
            {"startLine": first[0], "startColumn": first[1], "endLine": last[0], "endColumn": last[1], "text": sql}
        ]
    return statistics


def _place(source: str, offset: int) -> tuple[int, int]:
    """Return the line and column of an offset, both counted from 1."""
    before = source[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")
