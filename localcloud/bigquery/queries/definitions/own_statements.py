"""Carries out CREATE, ALTER and DROP SCHEMA, DROP of routines, and CREATE TABLE from another table, alone and in scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bqemulator.jobs.routine_ddl import DropRoutineRef, detect_drop_routine, run_drop_routine

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.definitions.copied_tables import copied_table, create_copied_table
from localcloud.bigquery.queries.definitions.schemas import run_schema_statement, schema_statement
from localcloud.bigquery.queries.definitions.tables import definition_statistics
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.engine import complete

_DROP_WITHOUT_DATASET = re.compile(
    r"\s*DROP\s+(?:(?:TABLE\s+)?FUNCTION|PROCEDURE)\s+(?:IF\s+EXISTS\s+)?`?(?P<name>\w+)`?\s*;?\s*$", re.IGNORECASE
)

_DROPPED_TYPES = {
    "DROP_FUNCTION": "SCALAR_FUNCTION",
    "DROP_PROCEDURE": "PROCEDURE",
    "DROP_TABLE_FUNCTION": "TABLE_VALUED_FUNCTION",
}


@dataclass(frozen=True)
class Definition:
    """What a statement has defined.

    Attributes:
        statistics: The ``statistics.query`` of the job.
        table: The table, or None.
    """

    statistics: dict[str, Any]
    table: TableName | None = None


def run_own_statement(sql: str, statements: Statements, check: Callable[[str], object]) -> Definition | None:
    """Carry out a definition; return None for any other statement.

    Args:
        sql: The statement.
        statements: The statements of the job.
        check: Called with the type of the statement before it runs.

    Raises:
        QueryError: The statement is not valid.
    """
    schema = schema_statement(sql, statements)
    if schema is not None:
        check(f"{schema.verb}_SCHEMA")
        statistics = run_schema_statement(schema, statements)
        return None if statistics is None else Definition(statistics)
    dropped = detect_drop_routine(sql, statements.project)
    if dropped is not None:
        check(dropped.statement_type)
        _check_kind(dropped, statements)
        operation = complete(run_drop_routine(dropped, statements.context))
        return Definition(
            {
                "statementType": dropped.statement_type,
                "ddlOperationPerformed": operation,
                "ddlTargetRoutine": {
                    "projectId": dropped.project_id,
                    "datasetId": dropped.dataset_id,
                    "routineId": dropped.routine_id,
                },
            }
        )
    if (nameless := _DROP_WITHOUT_DATASET.match(sql)) is not None:
        raise QueryError(
            f'Routine name "{nameless["name"]}" missing dataset while no default dataset is set in the request.',
            reason="invalid",
        )
    copied = copied_table(sql, statements)
    if copied is None:
        return None
    check(copied.kind)
    operation = create_copied_table(copied, statements)
    statistics = {"statementType": copied.kind} | definition_statistics(operation, copied.target)
    return Definition(statistics, copied.target)


def _check_kind(dropped: DropRoutineRef, statements: Statements) -> None:
    """Raise ``QueryError`` if a DROP names a routine of another kind than its statement drops."""
    name = (dropped.project_id, dropped.dataset_id, dropped.routine_id)
    existing = statements.context.catalog.get_routine(*name)
    if existing is not None and existing.routine_type != _DROPPED_TYPES[dropped.statement_type]:
        raise QueryError(
            f"{name[0]}:{name[1]}.{name[2]} is not allowed for this operation because it is currently a "
            f"{existing.routine_type}.",
            location="query",
        )
