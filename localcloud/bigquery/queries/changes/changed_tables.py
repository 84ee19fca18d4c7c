"""Finds the table that a statement changes, which is in the catalog, or is a temporary table of the engine."""

from __future__ import annotations

from bqemulator.catalog.models import TableMeta
from sqlglot import exp

from localcloud.bigquery.base.schema import field_of
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.tables.columns.field_settings import schema_of


def changed_table(statement: Statement, statements: Statements) -> TableMeta | None:
    """Return the table that a statement changes, or None if it does not exist. That of a temporary one has its columns only."""
    if statement.target is not None:
        return statements.destinations.get(statement.target)
    node = statement.tree.find(exp.Table) if isinstance(statement.tree, (exp.Insert, exp.Merge, exp.Update)) else None
    if node is None or node.db:
        return None
    found = statements.engine.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'temp' AND lower(table_name) = lower(?) "
        "ORDER BY column_index",
        [node.name],
    ).fetchall()
    if not found:
        return None
    now = statements.context.clock.now()
    return TableMeta(
        project_id=statements.project,
        dataset_id="",
        table_id=node.name,
        schema=schema_of([field_of(name, kind) for name, kind in found]),
        creation_time=now,
        last_modified_time=now,
        etag="",
    )
