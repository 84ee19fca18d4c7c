"""Runs the statements of BigQuery ML about models and external tables, and writes external tables into the catalog."""

from __future__ import annotations

from localcloud.bigquery.ml.models.statements import ModelStatement
from localcloud.bigquery.ml.objects.statements import CreateObjectTable, ObjectTableStatement
from localcloud.bigquery.ml.service import ModelResult
from localcloud.bigquery.queries.definitions.table_options import apply_options, kept_values
from localcloud.bigquery.queries.statements import Statements


def run_model_statement(statement: ModelStatement | ObjectTableStatement, statements: Statements) -> ModelResult:
    """Run a statement about a model or an external table. Raises ``QueryError`` if it fails."""
    if isinstance(statement, CreateObjectTable):
        # A wrong value must not leave the table behind.
        kept_values(statement.options, statements)
    result = statements.learning.execute(statement, statements, dry_run=False)
    if isinstance(statement, CreateObjectTable) and result.ddl_operation != "SKIP":
        created = statements.destinations.get(statement.table)
        if created is not None:
            statements.context.catalog.update_table(created.model_copy(update={"table_type": "EXTERNAL"}))
        apply_options(dict(statement.options), statement.table, statements)
    return result
