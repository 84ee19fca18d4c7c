"""CREATE TABLE AS and CREATE VIEW, as far as they go another way than bqemulator's."""

from __future__ import annotations

import re
from typing import Any

from bqemulator.catalog.ddl_sync import sync_created_table, sync_created_view
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.statement import Statement, TableName, read_statement
from localcloud.bigquery.tables.destinations import Destinations

_BODY = re.compile(r"\bAS\s+(?=[(]|SELECT\b|WITH\b|FROM\b)", re.IGNORECASE)
_SQL_NAME = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def created_table(statement: Statement) -> TableName | None:
    """Return the table that a CREATE TABLE AS makes; None if it is temporary or its columns are declared."""
    create = statement.tree
    if statement.kind != "CREATE_TABLE_AS_SELECT" or not isinstance(create, exp.Create):
        return None
    properties = create.args.get("properties")
    temporary = properties is not None and properties.find(exp.TemporaryProperty)
    return None if temporary or not isinstance(create.this, exp.Table) else statement.target


def operation_on(create: exp.Create, target: TableName, destinations: Destinations) -> str:
    """Return what a CREATE does to its target: ``CREATE``, ``REPLACE``, or ``SKIP`` because it is there.

    Raises:
        QueryError: It is there, and the statement allows for neither.
    """
    if destinations.get(target) is None:
        return "CREATE"
    if create.args.get("exists"):
        return "SKIP"
    if create.args.get("replace"):
        return "REPLACE"
    raise QueryError(f"Already Exists: Table {target}", reason="duplicate")


def query_of(statement: Statement, create: exp.Create, project: str) -> Statement:
    """Return the query of a CREATE ... AS, as the client wrote it where it can be found in the text."""
    body = create.expression.sql(dialect="bigquery")
    for match in _BODY.finditer(statement.sql):
        query = read_statement(statement.sql[match.end() :], project=project)
        if query.tree is not None and query.tree.sql(dialect="bigquery") == body:
            return query
    return read_statement(body, project=project)


def enter_table(create: exp.Create, target: TableName, statements: Statements, destinations: Destinations) -> None:
    """Enter into the catalog what the head of a CREATE TABLE AS says of its table: description, partitioning, ..."""
    head = create.copy()
    head.set("expression", exp.select("1"))
    sync_created_table(head.sql(dialect="bigquery"), statements.project, statements.context)
    destinations.tidy(target)


def create_model_view(
    statement: Statement, statements: Statements, destinations: Destinations
) -> tuple[str, TableName]:
    """Make a view whose query uses models; return the operation and the view.

    DuckDB gets a view of the same columns without rows, to know them by: whoever reads the view has its query put in
    its place (``Statements.prepare``).

    Raises:
        QueryError: The view is there already, or its query is not valid.
    """
    create = statement.tree
    if not isinstance(create, exp.Create) or statement.target is None:
        raise QueryError("Syntax error: CREATE VIEW needs a name with a dataset, and a query")
    operation = operation_on(create, statement.target, destinations)
    if operation != "SKIP":
        query = query_of(statement, create, statements.project)
        fields = [column.field for column in statements.describe(query.sql)]
        columns = ", ".join(f"CAST(NULL AS {_sql_type(f)}) AS `{f['name']}`" for f in fields)
        head = create.copy()
        head.set("expression", exp.maybe_parse(f"SELECT {columns} LIMIT 0", dialect="bigquery"))
        statements.execute(head.sql(dialect="bigquery"), statement.sql)
        sync_created_view(statement.sql, statements.project, statements.context)
        destinations.describe_view(statement.target, fields)
    return operation, statement.target


def _sql_type(f: Field) -> str:
    """Return the GoogleSQL type of a field."""
    name = _SQL_NAME.get(f["type"], f["type"])
    if name == "RECORD":
        name = "STRUCT<" + ", ".join(f"`{child['name']}` {_sql_type(child)}" for child in f["fields"]) + ">"
    return f"ARRAY<{name}>" if f.get("mode") == "REPEATED" else name


def outcome_of(operation: str, target: TableName) -> dict[str, Any]:
    """Return what ``statistics.query`` says of a definition."""
    return {"ddlOperationPerformed": operation, "ddlTargetTable": target.reference()}
