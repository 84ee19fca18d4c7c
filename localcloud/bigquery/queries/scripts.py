"""Runs scripts, and prepares each of their statements like a single statement."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa
from bqemulator.domain.errors import DomainError, InvalidQueryError
from bqemulator.scripting.ast import SqlStmt
from bqemulator.scripting.exceptions import ReturnSignal
from bqemulator.scripting.interpreter import ScriptInterpreter
from bqemulator.scripting.parser import parse_script

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.children import Step
from localcloud.bigquery.queries.definitions import create_model_view
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.duckdb_only import reject_foreign_names
from localcloud.bigquery.sql.failures import ScriptFailure, query_error
from localcloud.bigquery.sql.literals import plain_literals
from localcloud.bigquery.sql.statement import DML_TYPES, Statement, read_statement
from localcloud.bigquery.tables.engine import Cancelled, complete

if TYPE_CHECKING:
    from bqemulator.catalog.models import RoutineMeta

T = TypeVar("T")

# In a handler: https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#beginexceptionend
_ERROR_MESSAGE = re.compile(r"@@error\.message\b", re.IGNORECASE)
_ERROR_VARIABLE = "__error_message__"


class Script(ScriptInterpreter):
    """bqemulator's interpreter, which prepares each statement just before its translation.

    The overridden methods run each statement of a script, dynamic SQL and expressions included. At that time, the
    temporary tables that a statement reads exist.
    """

    def __init__(self, statements: Statements, steps: list[Step], export: Callable[[Statement], None]) -> None:
        """Create an interpreter that adds each statement to ``steps``, and runs EXPORT DATA with ``export``."""
        super().__init__(statements.context, statements.project, caller=statements.caller)
        self._statements = statements
        self._steps = steps
        self._export = export
        self._affected: int | None = None

    async def _exec_sql(self, sql: str) -> None:
        await self._step(self._exec_statement_of_sql(sql), sql)

    async def _exec_statement_of_sql(self, sql: str) -> None:
        statements = self._statements
        sql = plain_literals(sql)
        model = statements.model_statement(sql)
        if model is not None:
            statements.learning.execute(model, statements, dry_run=False)
            self._final_table = None
            return
        statement = read_statement(statements.qualify(sql), project=statements.project)
        if statement.kind == "CREATE_VIEW" and statements.uses_models(sql):
            create_model_view(statement, statements, statements.destinations)
            self._final_table = None
            return
        if statement.kind == "EXPORT_DATA":
            self._export(statement)
            self._final_table = None
            return
        await super()._exec_sql(self._prepared(sql))
        self._name_columns(statement)
        if statement.target is not None and statement.kind.startswith("CREATE_TABLE"):
            statements.destinations.tidy(statement.target)

    async def _run_query(self, bq_sql: str) -> pa.Table:
        table = await self._run_translating_errors(super()._run_query(self._prepared(bq_sql)), bq_sql)
        # DuckDB's result of DML: the number of changed rows.
        self._affected = table.column(0)[0].as_py() if table.column_names == ["Count"] and table.num_rows == 1 else None
        return table

    async def _run_statement_with_params(self, bq_sql: str, using_values: list[Any]) -> None:
        await self._step(self._run_dynamic(bq_sql, using_values), bq_sql)

    async def _run_dynamic(self, bq_sql: str, using_values: list[Any]) -> None:
        temporary = self._temp_routines._routines if self._temp_routines is not None else ()
        reject_foreign_names(bq_sql, defined=frozenset(map(str.upper, temporary)))
        await super()._run_statement_with_params(self._prepared(bq_sql), using_values)
        self._name_columns(read_statement(bq_sql, project=self._statements.project))

    async def _run_query_with_params(self, bq_sql: str, using_values: list[Any]) -> pa.Table:
        return await self._run_translating_errors(
            super()._run_query_with_params(self._prepared(bq_sql), using_values), bq_sql
        )

    def _prepared(self, sql: str) -> str:
        return self._statements.prepare(_ERROR_MESSAGE.sub(_ERROR_VARIABLE, plain_literals(sql)))

    async def _step(self, work: Awaitable[None], sql: str) -> None:
        """Run one statement and add it to the steps."""
        began = self._ctx.clock.now()
        self._affected = None
        try:
            await self._run_translating_errors(work, sql)
        except ScriptFailure as failure:
            self._note(sql, began, failure.error)
            raise
        self._note(sql, began, None)

    def _note(self, sql: str, began: datetime, error: QueryError | None) -> None:
        statement = read_statement(self._statements.qualify(sql), project=self._statements.project)
        rows = self._final_table if statement.is_query and error is None else None
        affected = self._affected if statement.kind in DML_TYPES and error is None else None
        self._steps.append(Step(sql.strip(), statement, began, self._ctx.clock.now(), rows, affected, error))

    async def _run_translating_errors(self, work: Awaitable[T], sql: str) -> T:
        """Return the result of ``work``, or raise its error in BigQuery's words, which a handler can read.

        Raises:
            ScriptFailure: The statement failed.
            Cancelled: The job is stopped. Handlers do not catch this.
        """
        statements = self._statements
        try:
            return await work
        except (Cancelled, ScriptFailure):
            raise
        except Exception as error:
            if isinstance(error, duckdb.InterruptException) or statements.cancelled.is_set():
                raise Cancelled from error
            names = statements.names_in_engine(sql)
            raise ScriptFailure(query_error(error, sql=sql, duckdb_sql=names, location=statements.location)) from error

    def _name_columns(self, statement: Statement) -> None:
        """Rename the columns of the result as in the statement, because DuckDB takes the names from its own SQL."""
        names = statement.column_names() if statement.is_query else None
        if self._final_table is not None and names is not None and len(names) == self._final_table.num_columns:
            self._final_table = self._final_table.rename_columns(names)

    async def _invoke_procedure(self, routine: RoutineMeta, args: list[Any]) -> dict[str, Any] | None:
        if len(args) != len(routine.arguments):
            raise InvalidQueryError(f"Procedure {routine.routine_id} expects {len(routine.arguments)} arguments")
        nested = Script(self._statements, self._steps, self._export)
        for parameter, value in zip(routine.arguments, args, strict=True):
            nested._frames.declare(parameter.name, "ANY", value)
        with suppress(ReturnSignal):
            await nested.run(routine.definition_body)
        self._final_table = nested._final_table
        return nested._frames.snapshot_current()


def run_script(source: str, statements: Statements, steps: list[Step], export: Callable[[Statement], None]) -> pa.Table:
    """Run a script and return the rows of its last statement.

    Args:
        source: The script, in GoogleSQL.
        statements: The statements of the job.
        steps: The list to which each statement is added when it ends, also when the script fails later.
        export: Runs an EXPORT DATA statement.

    Raises:
        QueryError: A statement failed, and the script has no handler for it.
    """
    try:
        result = complete(Script(statements, steps, export).run(source))
    except Exception as error:
        names = statements.names_in_engine(source)
        raise query_error(error, sql=source, duckdb_sql=names, location=statements.location) from error
    return result.final_table if result.final_table is not None else pa.table({})


def is_script(sql: str) -> bool:
    """Return whether ``sql`` is a script and not a single statement. Raises ``QueryError`` if it can't be parsed."""
    try:
        parsed = parse_script(sql).statements
    except DomainError as error:
        raise query_error(error, sql=sql) from error
    if not parsed:
        raise QueryError("Syntax error: Unexpected end of statement", location="query")
    return len(parsed) != 1 or not isinstance(parsed[0], SqlStmt)


def script_type(sql: str) -> str:
    """Return the ``statementType`` of a script: SCRIPT, or that of its only statement if it creates a routine."""
    kind = read_statement(sql, project="").kind
    alone = len(parse_script(sql).statements) == 1
    return kind if alone and kind in ("CREATE_FUNCTION", "CREATE_TABLE_FUNCTION", "CREATE_PROCEDURE") else "SCRIPT"
