"""Dry runs: the schema and the cost of a query, without running it.

https://cloud.google.com/bigquery/docs/running-queries#dry-run
"""

from __future__ import annotations

from typing import Any

from bqemulator.jobs.ddl_result import ddl_result_schema_fields
from sqlglot import exp

from localcloud.bigquery.base.schema import Field, field_of, unique_names
from localcloud.bigquery.queries.accounting import Accounting
from localcloud.bigquery.queries.definitions.row_policies import policy_statement
from localcloud.bigquery.queries.definitions.tables import definition_statistics
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.sql.reading.statement import Statement, TableName, read_statement
from localcloud.bigquery.sql.reading.statement_types import DDL_OPERATIONS, DML_TYPES
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition


class Previews:
    """Makes dry runs of single statements."""

    def __init__(self, destinations: Destinations, accounting: Accounting) -> None:
        """Create it with the catalog of ``destinations``."""
        self._destinations = destinations
        self._accounting = accounting

    def statistics(self, sql: str, query: dict[str, Any], statements: Statements) -> dict[str, Any]:
        """Return the ``statistics.query`` of a dry run.

        Args:
            sql: One GoogleSQL statement.
            query: The REST ``JobConfigurationQuery``.
            statements: The statements of the job.

        Raises:
            QueryError: The statement is not valid, or names something that does not exist.
        """
        prepared = statements.prepare(sql)
        statement = read_statement(prepared, project=statements.project)
        statements.checks.check_places(statement)
        # The estimate counts the rows that exist, which are the rows that the query would read.
        written = read_statement(sql, project=statements.project)
        policy_statement(written, statements)
        found = self._accounting.describe(statement, written) | {"totalBytesProcessedAccuracy": "PRECISE"}
        schema = self._schema_of(statement, statements, written)
        if schema is not None:
            found["schema"] = {"fields": schema}
        if statement.target is not None and statement.kind in DDL_OPERATIONS:
            found |= definition_statistics(DDL_OPERATIONS[statement.kind], statement.target)
        if query.get("destinationTable") and statement.is_query:
            target = TableName.of(query["destinationTable"], statements.project)
            self._destinations.check_target(target, Disposition.of(query), statements.location)
        self._accounting.check_billing(query, statement)
        return found

    def _schema_of(self, statement: Statement, statements: Statements, original: Statement) -> list[Field] | None:
        """Return the schema of a statement's result or target, or None. The statement is also checked against the catalog."""
        if statement.is_query:
            duckdb_sql = statements.translate_prepared(statement.sql, original.sql)
            columns = original.with_names(statements.columns(duckdb_sql, original.sql))
            names = unique_names([name for name, _ in columns])
            return [field_of(name, kind) for name, (_, kind) in zip(names, columns, strict=True)]
        body = statement.tree.args.get("expression") if statement.tree is not None else None
        if statement.kind in ("CREATE_TABLE_AS_SELECT", "CREATE_VIEW") and isinstance(body, exp.Query):
            query = read_statement(body.sql(dialect="bigquery"), project=statements.project)
            return self._schema_of(query, statements, query)
        if statement.kind in DML_TYPES and statement.kind != "TRUNCATE_TABLE":
            self._plan(statement, statements, original.sql)
            return self._destinations.fields(statement.target) if statement.target is not None else None
        if statement.kind == "CREATE_TABLE":
            return ddl_result_schema_fields(statement.sql, statements.project, statements.context)
        if not statement.kind:
            # An unknown statement: the translator raises the error.
            statements.translate_prepared(statement.sql, original.sql)
        return None

    def _plan(self, statement: Statement, statements: Statements, original: str) -> None:
        duckdb_sql = statements.translate_prepared(statement.sql, original)
        bound, values = statements.bind(duckdb_sql)
        try:
            self._destinations.engine.execute(f"EXPLAIN {bound}", values).fetchall()
        except Exception as error:
            raise query_error(error, sql=original, duckdb_sql=duckdb_sql, location=statements.location) from error
