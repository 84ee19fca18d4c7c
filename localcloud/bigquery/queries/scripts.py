"""Scripts: statement by statement on the way of single statements."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb
import pyarrow as pa
from bqemulator.domain.errors import InvalidQueryError
from bqemulator.scripting.exceptions import ReturnSignal
from bqemulator.scripting.interpreter import ScriptInterpreter

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.children import Step
from localcloud.bigquery.queries.definitions import create_model_view
from localcloud.bigquery.queries.statements import Statements
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
    """bqemulator's interpreter, with each statement made ready just before it is translated.

    These methods are the seam: every statement of a script, dynamic SQL and expressions included, comes through one of
    them with its temporary tables already made.
    """

    def __init__(self, statements: Statements, steps: list[Step]) -> None:
        """What the script runs is added to ``steps``."""
        super().__init__(statements.context, statements.project, caller=statements.caller)
        self._statements = statements
        self._steps = steps
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
        if statement.kind == "CREATE_VIEW" and statements.learning.uses_models(sql):
            create_model_view(statement, statements, statements.destinations)
            self._final_table = None
            return
        await super()._exec_sql(self._prepared(sql))
        self._name_columns(statement)
        if statement.target is not None and statement.kind.startswith("CREATE_TABLE"):
            statements.destinations.tidy(statement.target)

    async def _run_query(self, bq_sql: str) -> pa.Table:
        table = await self._told(super()._run_query(self._prepared(bq_sql)), bq_sql)
        # What DuckDB answers to DML.
        self._affected = table.column(0)[0].as_py() if table.column_names == ["Count"] and table.num_rows == 1 else None
        return table

    async def _run_statement_with_params(self, bq_sql: str, using_values: list[Any]) -> None:
        await self._step(self._run_dynamic(bq_sql, using_values), bq_sql)

    async def _run_dynamic(self, bq_sql: str, using_values: list[Any]) -> None:
        await super()._run_statement_with_params(self._prepared(bq_sql), using_values)
        self._name_columns(read_statement(bq_sql, project=self._statements.project))

    async def _run_query_with_params(self, bq_sql: str, using_values: list[Any]) -> pa.Table:
        return await self._told(super()._run_query_with_params(self._prepared(bq_sql), using_values), bq_sql)

    def _prepared(self, sql: str) -> str:
        return self._statements.prepare(_ERROR_MESSAGE.sub(_ERROR_VARIABLE, plain_literals(sql)))

    async def _step(self, work: Awaitable[None], sql: str) -> None:
        """Do one statement, and note that it was done."""
        began = self._ctx.clock.now()
        self._affected = None
        try:
            await self._told(work, sql)
        except ScriptFailure as failure:
            self._note(sql, began, failure.error)
            raise
        self._note(sql, began, None)

    def _note(self, sql: str, began: datetime, error: QueryError | None) -> None:
        statement = read_statement(self._statements.qualify(sql), project=self._statements.project)
        rows = self._final_table if statement.is_query and error is None else None
        affected = self._affected if statement.kind in DML_TYPES and error is None else None
        self._steps.append(Step(sql.strip(), statement, began, self._ctx.clock.now(), rows, affected, error))

    async def _told(self, work: Awaitable[T], sql: str) -> T:
        """Return what comes of ``work``; what goes wrong in it is told in a client's words, which a handler may read.

        Raises:
            ScriptFailure: It went wrong.
            Cancelled: The job was told to stop, which no handler is for.
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
        """Call the columns of the result what the text calls them; DuckDB takes the names from its own SQL."""
        names = statement.column_names() if statement.is_query else None
        if self._final_table is not None and names is not None and len(names) == self._final_table.num_columns:
            self._final_table = self._final_table.rename_columns(names)

    async def _invoke_procedure(self, routine: RoutineMeta, args: list[Any]) -> dict[str, Any] | None:
        if len(args) != len(routine.arguments):
            raise InvalidQueryError(f"Procedure {routine.routine_id} expects {len(routine.arguments)} arguments")
        nested = Script(self._statements, self._steps)
        for parameter, value in zip(routine.arguments, args, strict=True):
            nested._frames.declare(parameter.name, "ANY", value)
        with suppress(ReturnSignal):
            await nested.run(routine.definition_body)
        self._final_table = nested._final_table
        return nested._frames.snapshot_current()


def run_script(source: str, statements: Statements, steps: list[Step]) -> pa.Table:
    """Run a script and return the rows of its last statement.

    Args:
        source: The script, in GoogleSQL.
        statements: The statements of the job.
        steps: The list to which each statement is added when it ends, also when the script fails later.

    Raises:
        QueryError: A statement failed, and the script has no handler for it.
    """
    try:
        result = complete(Script(statements, steps).run(source))
    except Exception as error:
        names = statements.names_in_engine(source)
        raise query_error(error, sql=source, duckdb_sql=names, location=statements.location) from error
    return result.final_table if result.final_table is not None else pa.table({})
