"""Runs scripts, and prepares each of their statements like a single statement."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import duckdb
import pyarrow as pa
from bqemulator.scripting.ast import (
    CreateFunctionStmt,
    CreateProcedureStmt,
    ExecuteImmediateStmt,
    ForStmt,
)
from bqemulator.scripting.exceptions import BreakSignal, ContinueSignal
from bqemulator.udf.naming import qualified_routine_name
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.queries.definitions.alterations import alter
from localcloud.bigquery.queries.definitions.model_statements import run_model_statement
from localcloud.bigquery.queries.definitions.own_statements import run_own_statement
from localcloud.bigquery.queries.definitions.row_policies import policy_statement, run_policy_statement
from localcloud.bigquery.queries.definitions.table_actions import all_or_nothing, single_actions
from localcloud.bigquery.queries.definitions.table_options import (
    apply_options,
    changed_options,
    kept_values,
    table_options,
)
from localcloud.bigquery.queries.definitions.tables import (
    completed,
    create_model_view,
    created_table,
    describe_columns,
    exists_already,
    finish_table,
)
from localcloud.bigquery.queries.files.load_data import LoadData
from localcloud.bigquery.queries.files.load_statements import load_statement
from localcloud.bigquery.queries.scripts.children import Step
from localcloud.bigquery.queries.scripts.functions import checked_body, qualified_body
from localcloud.bigquery.queries.scripts.procedures import ProcedureScript
from localcloud.bigquery.queries.scripts.texts import check_dynamic
from localcloud.bigquery.queries.scripts.values import Frames, inferred, split_name, variable_value
from localcloud.bigquery.queries.scripts.variables import variable_type
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.checks.duckdb_only import reject_foreign_names
from localcloud.bigquery.sql.checks.refused_clauses import reject_refused_clauses
from localcloud.bigquery.sql.checks.refused_statements import reject_refused_statements
from localcloud.bigquery.sql.checks.type_names import reject_unknown_types
from localcloud.bigquery.sql.errors.failures import ScriptFailure, query_error
from localcloud.bigquery.sql.errors.places import move_to_script
from localcloud.bigquery.sql.pipes.queries import without_pipes
from localcloud.bigquery.sql.reading.called import calls
from localcloud.bigquery.sql.reading.literals import plain_literals
from localcloud.bigquery.sql.reading.statement import Statement, read_statement
from localcloud.bigquery.sql.reading.statement_types import DML_TYPES, VIEW_TYPES
from localcloud.bigquery.sql.reading.tokens import tokens
from localcloud.bigquery.sql.reading.with_expressions import without_with_expressions
from localcloud.bigquery.sql.values.parameters import Parameters, Value
from localcloud.bigquery.sql.values.variables import replace_variables
from localcloud.bigquery.tables.engine import Cancelled, complete

T = TypeVar("T")


@dataclass(frozen=True)
class WritingStatements:
    """The statements of a script that write files and tables like a statement alone.

    Attributes:
        export: Runs an EXPORT DATA statement.
        load: Runs a LOAD DATA statement.
        create_as: Runs a CREATE TABLE AS statement.
        create_external: Runs a CREATE EXTERNAL TABLE statement over files; returns None for any other statement.
    """

    export: Callable[[Statement], object]
    load: Callable[[LoadData], object]
    create_as: Callable[[Statement], object]
    create_external: Callable[[str], object | None]


class Script(ProcedureScript):
    """bqemulator's interpreter, which prepares each statement just before its translation.

    The overridden methods run each statement of a script, dynamic SQL and expressions included. At that time, the
    temporary tables that a statement reads exist. Variables are parameters with the types that they are declared with.
    """

    def __init__(self, statements: Statements, steps: list[Step], writing: WritingStatements) -> None:
        """Create an interpreter that adds each statement to ``steps``."""
        super().__init__(statements, steps)
        self._frames = Frames()
        self._frames.push(kind="root")
        self._writing = writing
        self._affected: int | None = None
        self._prepared = ""

    # Statements

    async def _exec_sql(self, sql: str) -> None:
        await self._step(self._exec_statement_of_sql(sql), sql)

    async def _exec_statement_of_sql(self, sql: str) -> None:
        with self._resolved(sql) as resolved:
            await self._exec_resolved(resolved)

    async def _exec_resolved(self, sql: str) -> None:
        """Run a statement without variables."""
        reject_refused_statements(sql)
        statements = self._statements
        model = statements.model_statement(sql)
        if model is not None:
            self.check_permanent(read_statement(sql, project=statements.project).kind)
            run_model_statement(model, statements)
            self._final_table = None
            return
        load = load_statement(sql, statements)
        if load is not None:
            self.check_load()
            self._writing.load(load)
            self._final_table = None
            return
        original = read_statement(statements.qualify(sql), project=statements.project)
        if original.kind == "CREATE_EXTERNAL_TABLE":
            self.check_permanent(original.kind)
            self._writing.create_external(sql)
            self._final_table = None
            return
        if run_own_statement(sql, statements, self.check_permanent) is not None:
            self._final_table = None
            return
        actions = single_actions(original, statements)
        with all_or_nothing(original, actions, statements):
            for each in actions:
                await self._exec_single(each)

    async def _exec_single(self, statement: Statement) -> None:
        """Run a statement with one action that is not about a model."""
        statements = self._statements
        written, options = statement, table_options(statement)
        kept_values(options, statements)
        statement = completed(statement, statements)
        self.check_definition(statement)
        if (policy := policy_statement(statement, statements)) is not None:
            run_policy_statement(policy, statements)
            self._final_table = None
            return
        if alter(statement, statements):
            self._final_table = None
            return
        if options and (changed := changed_options(statement, statements)) is not None:
            apply_options(options, changed, statements)
            self._final_table = None
            return
        await self._exec_completed(statement)
        if options:
            apply_options(options, statement.target, statements)
        describe_columns(written, statements)

    async def _exec_completed(self, statement: Statement) -> None:
        statements = self._statements
        if statement.kind in VIEW_TYPES and statements.model_uses.are_replaced_in(statement.sql):
            create_model_view(statement, statements, statements.destinations)
            self._final_table = None
            return
        if exists_already(statement, statements.destinations):
            self._final_table = None
            return
        if statement.kind == "EXPORT_DATA":
            self._writing.export(statement)
            self._final_table = None
            return
        if created_table(statement) is not None:
            self._writing.create_as(statement)
            self._final_table = None
            return
        self._prepared = statements.prepare(statement.sql).strip()
        self._before_change(statement)
        with statements.checking_calls(statement.target):
            await super()._exec_sql(self._prepared)
        self._name_columns(statement)
        if statement.kind.startswith(("CREATE_TABLE", "ALTER_TABLE")):
            finish_table(statement, statements)

    async def _run_query(self, bq_sql: str) -> pa.Table:
        if bq_sql == self._prepared:
            self._prepared = ""
            table = await self._run_translating_errors(self._fetch(bq_sql, bq_sql), bq_sql)
        else:
            table = await self._run_translating_errors(self._fetch_expression(bq_sql), bq_sql)
        # DuckDB's result of DML: the number of changed rows.
        self._affected = table.column(0)[0].as_py() if table.column_names == ["Count"] and table.num_rows == 1 else None
        return table

    async def _fetch_expression(self, sql: str) -> pa.Table:
        with self._resolved(sql) as resolved:
            return await self._fetch(self._statements.prepare(resolved), sql)

    async def _fetch(self, prepared: str, original: str) -> pa.Table:
        """Return the rows of a prepared statement."""
        statements = self._statements
        bound, values = statements.bind(statements.translate_prepared(prepared, original))
        return statements.engine.fetch_arrow(bound, values)

    @contextmanager
    def _resolved(self, sql: str) -> Iterator[str]:
        """Yield a statement without variables and temporary functions; bind its variables inside the ``with`` block."""
        statements = self._statements
        sql, system = self._without_system_variables(self._call_routines(plain_literals(sql)))
        visible = {name.lower(): variable for name, variable in self._frames.all_visible().items()}
        resolved, used = replace_variables(sql, {name: name for name in visible}, self._columns_of)
        before = statements.parameters
        statements.parameters = before.with_variables(
            {place: variable_value(visible[name].value, visible[name].type_name) for place, name in used.items()}
            | system
        )
        try:
            yield resolved
        finally:
            statements.parameters = before

    def _columns_of(self, table: exp.Table) -> frozenset[str]:
        """Return the names of the columns of a table, or of a call of a table function whose arguments have variables."""
        with self._resolved(f"SELECT * FROM {table.sql(dialect='bigquery')}") as resolved:
            source = read_statement(resolved, project=self._project_id).tree
            found = None if source is None else source.find(exp.Table)
            return frozenset() if found is None else self._statements.columns_of_source(found)

    def _call_routines(self, sql: str) -> str:
        """Return ``sql`` with the engine's names of the script's temporary functions."""
        registry = self._temp_routines
        routines = {} if registry is None else {name.lower(): each for name, each in registry._routines.items()}
        if not routines:
            return sql
        for called in reversed(list(calls(found := tokens(sql)))):
            routine = routines.get(called.parts[0].lower())
            if routine is None or len(called.parts) != 1 or called.chained:
                continue
            if self._statements.model_uses.is_inlined(routine):
                sql = self._statements.model_uses.without_call(sql, called, routine)
            else:
                name = found[called.last]
                sql = f"{sql[: name.start]}{qualified_routine_name(routine)}{sql[name.end :]}"
        return sql

    async def _exec_create_function(self, stmt: CreateFunctionStmt) -> None:
        if self._is_there(stmt.name):
            return
        if "." not in stmt.name or stmt.language != "SQL":
            await super()._exec_create_function(stmt)
        else:
            stmt = replace(stmt, body=qualified_body(stmt, self._statements))
            with checked_body(stmt, self._statements):
                await super()._exec_create_function(stmt)
        self._statements.describe_routine(stmt.name)

    async def _exec_create_procedure(self, stmt: CreateProcedureStmt) -> None:
        if not self._is_there(stmt.name):
            await super()._exec_create_procedure(stmt)
            self._statements.describe_routine(stmt.name)

    def _is_there(self, name: str) -> bool:
        """Return whether a routine exists that is created only if it does not exist."""
        name = name.replace("`", "")
        if name not in self._statements.conditional_routines:
            return False
        temporary = self._temp_routines._routines if self._temp_routines is not None else ()
        return self._statements.routine_exists(name) or name.lower() in {each.lower() for each in temporary}

    # Loops over rows

    async def _exec_for(self, stmt: ForStmt) -> None:
        source = stmt.source_sql.strip()
        table = await self._run_query(source[1:-1] if source.startswith("(") and source.endswith(")") else source)
        names = read_statement(self._statements.qualify(source.strip("()")), project=self._project_id).column_names()
        if names is not None and len(names) == table.num_columns:
            table = table.rename_columns(names)
        fields = ", ".join(f'"{field.name}" {variable_type(field).removeprefix("=")}' for field in table.schema)
        for row in table.to_pylist():
            self._frames.push(kind="loop")
            self._frames.declare(stmt.loop_var, inferred(f"STRUCT({fields})"), row)
            try:
                for each in stmt.body:
                    await self._exec_statement(each)
            except BreakSignal:
                return
            except ContinueSignal:
                continue
            finally:
                self._frames.pop()

    # Dynamic SQL

    async def _exec_execute_immediate(self, stmt: ExecuteImmediateStmt) -> None:
        """Run EXECUTE IMMEDIATE.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/procedural-language#execute_immediate
        """
        sql = await self._eval_expr_scalar(stmt.sql_expr)
        if not isinstance(sql, str):
            raise QueryError("SQL string in EXECUTE IMMEDIATE must not be NULL", location="query")
        using: list[tuple[str | None, Value]] = []
        for expression in stmt.using_exprs:
            text, name = split_name(expression)
            using.append((name, variable_value(*await self._evaluate(text))))
        check_dynamic(sql)
        reject_refused_clauses(sql)
        reject_unknown_types(sql)
        sql = without_pipes(without_with_expressions(sql))
        temporary = self._temp_routines._routines if self._temp_routines is not None else ()
        reject_foreign_names(sql, defined=frozenset(map(str.upper, temporary)))
        before = self._statements.parameters
        self._statements.parameters = Parameters.of(using)
        try:
            self._statements.parameters.check_places(sql)
            sql = self._statements.parameters.named_in(sql)
            if stmt.into_names:
                self._assign(stmt.into_names, await self._run_query(sql))
            else:
                await self._step(self._exec_statement_of_sql(sql), sql)
        finally:
            self._statements.parameters = before

    # Steps

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
        self._row_count = affected
        self._steps.append(
            Step(sql.strip(), statement, began, self._ctx.clock.now(), rows, affected, error, self.labels)
        )

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
            failure = query_error(error, sql=sql, duckdb_sql=names, location=statements.location)
            raise ScriptFailure(failure, sql.strip()) from error

    def _name_columns(self, statement: Statement) -> None:
        """Rename the columns of the result as in the statement, because DuckDB takes the names from its own SQL."""
        names = statement.column_names() if statement.is_query else None
        if self._final_table is not None and names is not None and len(names) == self._final_table.num_columns:
            self._final_table = self._final_table.rename_columns(names)

    def _nested(self) -> Script:
        return Script(self._statements, self._steps, self._writing)


def run_script(source: str, statements: Statements, steps: list[Step], writing: WritingStatements) -> pa.Table:
    """Run a script and return the rows of its last statement.

    Args:
        source: The script, in GoogleSQL.
        statements: The statements of the job.
        steps: The list to which each statement is added when it ends, also when the script fails later.
        writing: Runs the statements that write files and tables.

    Raises:
        QueryError: A statement failed, and the script has no handler for it.
    """
    try:
        result = complete(Script(statements, steps, writing).run(statements.parameters.named_in(source)))
    except ScriptFailure as failure:
        move_to_script(failure.error, failure.sql, source)
        raise failure.error from failure
    except Exception as error:
        names = statements.names_in_engine(source)
        raise query_error(error, sql=source, duckdb_sql=names, location=statements.location) from error
    return result.final_table if result.final_table is not None else pa.table({})
