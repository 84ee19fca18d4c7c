"""What each kind of statement does: it has a method."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bqemulator.domain.errors import DomainError
from bqemulator.jobs.executor import build_response_schema, parse_export_data
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, plain_name
from localcloud.bigquery.job.jobs import Job, Rows
from localcloud.bigquery.ml.models.statements import ModelStatement
from localcloud.bigquery.ml.objects.statements import ObjectTableStatement
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.queries.accounting import Accounting
from localcloud.bigquery.queries.changes.statistics import change_statistics, count_insertions, merge_statistics
from localcloud.bigquery.queries.definitions.alterations import alter
from localcloud.bigquery.queries.definitions.declared_columns import declared_fields
from localcloud.bigquery.queries.definitions.model_statements import run_model_statement
from localcloud.bigquery.queries.definitions.own_statements import run_own_statement
from localcloud.bigquery.queries.definitions.row_policies import policy_statement, run_policy_statement
from localcloud.bigquery.queries.definitions.schemas import models_dropped, schema_statement
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
    definition_statistics,
    describe_columns,
    exists_already,
    finish_table,
    operation_on,
    query_of,
    register_table,
    routine_statistics,
)
from localcloud.bigquery.queries.files.external_statements import create_external_table
from localcloud.bigquery.queries.files.external_tables import ExternalTables
from localcloud.bigquery.queries.files.load_data import LoadData
from localcloud.bigquery.queries.files.load_statements import LoadStatements, load_statement
from localcloud.bigquery.queries.scripts.children import Step, child_jobs
from localcloud.bigquery.queries.scripts.running import WritingStatements, run_script
from localcloud.bigquery.queries.scripts.texts import is_script, script_type
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.checks.duckdb_only import reject_foreign_names
from localcloud.bigquery.sql.checks.refused_statements import reject_refused_statements
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.sql.reading.statement import Statement, TableName, read_statement
from localcloud.bigquery.sql.reading.statement_types import DDL_OPERATIONS, VIEW_TYPES
from localcloud.bigquery.sql.tables.partition_clauses import layout_of, partitioning_of
from localcloud.bigquery.tables.catalog import NEVER
from localcloud.bigquery.tables.columns.null_elements import without_null_elements
from localcloud.bigquery.tables.engine import Cancelled
from localcloud.bigquery.tables.files.csv_records import delimiter_of
from localcloud.bigquery.tables.files.exporting import Export, export
from localcloud.bigquery.tables.results import (
    NO_ROWS,
    AnonymousTables,
    RowsInMemory,
    rows_in,
)
from localcloud.bigquery.tables.sessions import Sessions
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition, Source
from localcloud.storage.objects.store import ObjectStore

_ABORT_SESSION = re.compile(r"\s*CALL\s+BQ\.ABORT_SESSION\s*\(", re.IGNORECASE)
# Statements whose tables bqemulator creates with its own column types.
_TIDIED = frozenset({"CREATE_TABLE", "CREATE_TABLE_AS_SELECT", "ALTER_TABLE"})


@dataclass
class Outcome:
    """The outcome of a query job.

    Attributes:
        rows: The rows of the result.
        destination: The table of the rows, or the created model, or None.
        written: The number of rows that the job wrote into a table, or None.
        statistics: The ``statistics.query`` of the job.
        script: Whether the job is a script.
    """

    rows: Rows = NO_ROWS
    destination: TableName | None = None
    written: int | None = None
    statistics: dict[str, Any] = field(default_factory=dict)
    script: bool = False


class StatementRuns:
    """Runs the statements of query jobs."""

    def __init__(
        self,
        learning: MachineLearning,
        destinations: Destinations,
        anonymous: AnonymousTables,
        accounting: Accounting,
        loads: LoadStatements,
        sessions: Sessions,
        store: ObjectStore,
        external: ExternalTables,
    ) -> None:
        """Create the runner with the parts of BigQuery that statements use."""
        self._learning = learning
        self._destinations = destinations
        self._context = destinations.context
        self._engine = destinations.engine
        self._anonymous = anonymous
        self._accounting = accounting
        self._loads = loads
        self._sessions = sessions
        self._store = store
        self._external = external

    def run(self, job: Job, sql: str, statements: Statements) -> Outcome:
        """Run the statement or the script of a job.

        Args:
            job: The job.
            sql: The statement or script, as the parsers can read it.
            statements: The statements of the job.

        Raises:
            QueryError: A statement failed.
        """
        reject_refused_statements(sql)
        script = is_script(sql, in_session=job.session_id is not None) or statements.transactions.active is not None
        load = None if script else load_statement(sql, statements)
        if load is not None:
            return self._run_load(load, statements)
        reject_foreign_names(sql)
        if _ABORT_SESSION.match(sql):
            self._sessions.end(job.session_id)
            if job.session_id is not None:
                statements.execute(
                    f"DROP SCHEMA IF EXISTS `{job.key.project}`.`_session_{job.session_id}` CASCADE", sql
                )
            return Outcome(statistics={"statementType": "CALL"})
        if script:
            if statements.transactions.active is not None and job.configuration["query"].get("destinationTable"):
                raise QueryError("A query in a transaction cannot have a destination table", reason="invalid")
            return self._run_script(job, sql, statements)
        model = statements.model_statement(sql)
        if model is not None:
            return self._run_model_statement(model, statements)
        external = create_external_table(sql, statements, self._external)
        if external is not None:
            statistics = {"statementType": "CREATE_EXTERNAL_TABLE"} | definition_statistics(external[1], external[0])
            return Outcome(destination=external[0], statistics=statistics)
        defined = run_own_statement(sql, statements, lambda kind: None)
        if defined is not None:
            return Outcome(destination=defined.table, statistics=defined.statistics)
        original = read_statement(statements.qualify(sql), project=statements.project)
        statements.checks.check_places(original)
        if original.is_temporary and isinstance(original.tree, exp.Create) and job.session_id is None:
            raise QueryError("Use of CREATE TEMPORARY TABLE requires a script or session", location="query")
        actions = single_actions(original, statements)
        with all_or_nothing(original, actions, statements):
            outcomes = [self._perform_single(job, each, statements) for each in actions]
        return outcomes[-1]

    def _perform_single(self, job: Job, original: Statement, statements: Statements) -> Outcome:
        """Run a statement with one action that is not about a model."""
        written, options = original, table_options(original)
        kept_values(options, statements)
        original = completed(original, statements)
        if options and (changed := changed_options(original, statements)) is not None:
            apply_options(options, changed, statements)
            return Outcome(statistics=self._accounting.describe(original) | definition_statistics("ALTER", changed))
        outcome = self._perform_statement(job, job.configuration["query"], original, statements)
        if options:
            apply_options(options, original.target, statements)
        describe_columns(written, statements)
        return outcome

    def _perform_statement(
        self, job: Job, query: dict[str, Any], original: Statement, statements: Statements
    ) -> Outcome:
        """Run a single statement that is not about a model."""
        if original.is_query:
            if query.get("destinationTable"):
                return self._run_select_into(query, statements, original)
            return self._run_select(job, statements, original)
        if created_table(original) is not None:
            return self._run_create_as(query, statements, original)
        if (policy := policy_statement(original, statements)) is not None:
            return Outcome(statistics=self._accounting.describe(original) | run_policy_statement(policy, statements))
        if original.target is not None and exists_already(original, self._destinations):
            statistics = self._accounting.describe(original) | definition_statistics("SKIP", original.target)
            rows = RowsInMemory(declared_fields(original.tree, statements), NO_ROWS.table)
            return Outcome(rows, statistics=statistics)
        if original.kind in VIEW_TYPES and statements.model_uses.are_replaced_in(original.sql):
            operation, view = create_model_view(original, statements, self._destinations)
            return Outcome(statistics=self._accounting.describe(original) | definition_statistics(operation, view))
        if original.kind == "EXPORT_DATA":
            return self._run_export(query, statements, original)
        if original.target is not None and alter(original, statements):
            statistics = self._accounting.describe(original) | definition_statistics("ALTER", original.target)
            return Outcome(statistics=statistics)
        return self._run_other(query, statements, original)

    def _run_load(self, load: LoadData, statements: Statements) -> Outcome:
        loaded = self._loads.run(load, statements)
        statistics = {"statementType": "LOAD_DATA", "loadQueryStatistics": loaded}
        return Outcome(NO_ROWS, load.target, int(loaded["outputRows"]), statistics)

    def _run_model_statement(self, model: ModelStatement | ObjectTableStatement, statements: Statements) -> Outcome:
        result = run_model_statement(model, statements)
        statistics = {"statementType": result.statement_type} | result.statistics
        if result.ddl_operation:
            statistics["ddlOperationPerformed"] = result.ddl_operation
        destination = None
        if result.destination:
            # The job's destination is the model, in the shape of a table reference.
            reference = result.destination
            destination = TableName(reference["projectId"], reference["datasetId"], reference["modelId"])
        return Outcome(destination=destination, statistics=statistics)

    def _run_script(self, job: Job, sql: str, statements: Statements) -> Outcome:
        steps: list[Step] = []
        job.scripted = True
        defined = routine_statistics(sql, statements)
        try:
            writing = WritingStatements(
                lambda statement: self._export(job, statements, statement),
                lambda load: self._run_load(load, statements),
                lambda created: self._run_create_as(job.configuration["query"], statements, created),
                lambda sql: create_external_table(sql, statements, self._external),
            )
            table = run_script(sql, statements, steps, writing)
        finally:
            job.children = child_jobs(job, sql, steps, self._anonymous, self._accounting)
        name = self._anonymous.name_for(job.key)
        rows: Rows = NO_ROWS
        if table.num_columns:
            rows = self._anonymous.hold(name, RowsInMemory(build_response_schema(table.schema), table))
        if defined:
            return Outcome(statistics=defined)
        return Outcome(rows, name, statistics={"statementType": script_type(sql)}, script=True)

    def _run_select(self, job: Job, statements: Statements, original: Statement) -> Outcome:
        statement = read_statement(statements.prepare(original.sql), project=statements.project)
        self._accounting.check_billing(job.configuration["query"], statement)
        duckdb_sql = statements.translate_prepared(statement.sql, original.sql)
        bound, values = statements.bind(duckdb_sql)
        name = self._anonymous.name_for(job.key)
        with _query_errors(original.sql, duckdb_sql, job.key.location):
            rows = self._anonymous.keep(name, bound, values, original.column_names(), job.key.location)
            statements.check_calls()
        return Outcome(rows, name, statistics=self._accounting.describe(statement, original))

    def _run_select_into(self, query: dict[str, Any], statements: Statements, original: Statement) -> Outcome:
        name = TableName.of(query["destinationTable"], statements.project)
        disposition = Disposition.of(query)
        statements.destinations.reject_external(name)
        # Checked before the query runs, which may take long, and again before it writes.
        self._destinations.check_target(name, disposition, statements.location)
        statement, written = self._write(query, statements, original, name, disposition)
        rows = rows_in(self._destinations, name)
        return Outcome(rows, name, written, self._accounting.describe(statement, original))

    def _run_create_as(self, query: dict[str, Any], statements: Statements, original: Statement) -> Outcome:
        """Run a CREATE TABLE AS: write its query to a destination table, which it creates or replaces."""
        create, target = original.tree, original.target
        assert isinstance(create, exp.Create)
        assert target is not None
        operation = operation_on(create, target, self._destinations)
        if operation == "SKIP":
            return Outcome(statistics=self._accounting.describe(original) | definition_statistics(operation, target))
        select = query_of(original, create, statements.project)
        disposition = Disposition(write="WRITE_TRUNCATE", layout=layout_of(partitioning_of(create)), redefines=True)
        fields = declared_fields(create, statements)
        statement, written = self._write(query, statements, select, target, disposition, fields)
        if operation == "REPLACE" and (replaced := self._destinations.get(target)) is not None:
            self._context.catalog.update_table(replaced.model_copy(update={"expiration_time": NEVER}))
        register_table(create, target, statements, self._destinations)
        finish_table(original, statements)
        statistics = self._accounting.describe(statement, select) | {"statementType": original.kind}
        rows = RowsInMemory(self._destinations.fields(target), NO_ROWS.table)
        return Outcome(rows, target, written, statistics | definition_statistics(operation, target))

    def _write(
        self,
        query: dict[str, Any],
        statements: Statements,
        original: Statement,
        name: TableName,
        disposition: Disposition,
        fields: Sequence[Field] = (),
    ) -> tuple[Statement, int]:
        """Write a query's rows into a table; return the prepared statement and the number of rows.

        ``fields`` are the declared columns of the table; without any, it has those of the query.
        """
        statement = read_statement(statements.prepare(original.sql), project=statements.project)
        self._accounting.check_billing(query, statement)
        duckdb_sql = statements.translate_prepared(statement.sql, original.sql)
        bound, values = statements.bind(duckdb_sql)
        found = statements.columns(duckdb_sql, original.sql)
        columns = [(plain_name(column), kind) for column, kind in original.with_names(found)]
        if fields:
            columns = [(field["name"], kind) for field, (_, kind) in zip(fields, columns, strict=True)]
        bound = without_null_elements(bound, found)
        with _query_errors(original.sql, duckdb_sql, statements.location):
            source = Source(bound, values, tuple(columns), tuple(fields) or None, check=statements.check_calls)
            return statement, self._destinations.write(name, source, disposition, location=statements.location)

    def _export(self, job: Job, statements: Statements, original: Statement) -> None:
        self._run_export(job.configuration["query"], statements, original)

    def _run_export(self, query: dict[str, Any], statements: Statements, original: Statement) -> Outcome:
        """Run EXPORT DATA.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/export-statements
        """
        try:
            request = parse_export_data(original.sql)
        except DomainError as error:
            raise query_error(error, sql=original.sql) from error
        if request is None:
            raise QueryError("Syntax error in EXPORT DATA", location="query")
        statement = read_statement(statements.prepare(request.select_sql), project=statements.project)
        self._accounting.check_billing(query, statement)
        duckdb_sql = statements.translate_prepared(statement.sql, original.sql)
        bound, values = statements.bind(duckdb_sql)
        options = request.options
        if options.uri.count("*") != 1:
            raise QueryError("Option 'uri' value must be a wild card URI.", location="query")
        delimiter = delimiter_of({"fieldDelimiter": options.field_delimiter}) or ","
        target = Export(options.uri, options.format, options.compression, options.header, delimiter, options.overwrite)
        with _query_errors(original.sql, duckdb_sql, statements.location):
            rows = export(self._engine, self._store, bound, values, target, statements.check_calls)
        exported = {"fileCount": "1", "rowCount": str(rows)}
        statistics = self._accounting.describe(statement) | {"statementType": original.kind}
        return Outcome(statistics=statistics | {"exportDataStatistics": exported})

    def _run_other(self, query: dict[str, Any], statements: Statements, original: Statement) -> Outcome:
        """Run DML, or DDL without a method of its own, in bqemulator's executor."""
        prepared = statements.prepare(original.sql)
        statement = read_statement(prepared, project=statements.project)
        self._accounting.check_billing(query, statement)
        dropped = models_dropped(statement, statements)
        with self._destinations.writing(statement.target):
            merged = statement.target if isinstance(original.tree, exp.Merge) else None
            before = 0 if merged is None else self._destinations.count(merged)
            insertions = count_insertions(statement.tree, original.sql, statements)
            with statements.checking_calls(statement.target):
                table, fields, reported = statements.execute(prepared, original.sql)
            if statement.kind in _TIDIED:
                finish_table(original, statements)
            if statement.kind == "CREATE_TABLE" and statement.target is not None:
                fields = self._destinations.fields(statement.target)
        for reference in dropped:
            self._learning.models.delete(reference["projectId"], reference["datasetId"], reference["modelId"])
        reported.pop("totalRows", None)
        if statement.kind == "DROP_SNAPSHOT_TABLE":
            reported["ddlOperationPerformed"] = "DROP"
        statistics = reported | self._accounting.describe(statement)
        if (schema := schema_statement(original.sql, statements)) is not None:
            statistics |= schema.statistics(statistics.get("ddlOperationPerformed", "DROP"))
        if statement.kind in DDL_OPERATIONS and statement.target is not None:
            operation = reported.get("ddlOperationPerformed") or DDL_OPERATIONS[statement.kind]
            statistics |= definition_statistics(operation, statement.target)
        affected = reported.get("numDmlAffectedRows")
        if affected is not None and isinstance(original.tree, exp.Merge) and merged is not None:
            growth = self._destinations.count(merged) - before
            statistics |= merge_statistics(original.tree, int(affected), growth, insertions)
        elif affected is not None:
            statistics |= change_statistics(statement.kind, int(affected))
        written = int(affected) if affected is not None else None
        return Outcome(RowsInMemory(fields, table), statement.target, written, statistics)


@contextmanager
def _query_errors(sql: str, duckdb_sql: str | None, location: str) -> Iterator[None]:
    """Translate exceptions in the ``with`` block to BigQuery's errors. Raises ``QueryError``."""
    try:
        yield
    except Cancelled:
        raise
    except Exception as error:
        raise query_error(error, sql=sql, duckdb_sql=duckdb_sql, location=location) from error
