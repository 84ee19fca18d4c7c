"""CREATE TABLE AS, and CREATE VIEW over models, where they differ from bqemulator."""

from __future__ import annotations

import re
from typing import Any

from bqemulator.catalog.ddl_sync import sync_created_table, sync_created_view
from bqemulator.catalog.models import RangePartitioning, TableMeta, TimePartitioning
from bqemulator.jobs.routine_ddl import classify_create_routine, resolve_create_routine_operation
from bqemulator.scripting.ast import CreateFunctionStmt
from bqemulator.scripting.parser import parse_script
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import plain_name
from localcloud.bigquery.base.type_names import sql_type
from localcloud.bigquery.queries.changes.assignments import completed_change
from localcloud.bigquery.queries.changes.foreign_clauses import reject_foreign_clauses
from localcloud.bigquery.queries.definitions.declared_columns import (
    check_declared_clustering,
    check_declared_columns,
    declared_fields,
)
from localcloud.bigquery.queries.definitions.keys import check_keys, declared_keys
from localcloud.bigquery.queries.definitions.materialized_views import plain_materialized_view
from localcloud.bigquery.queries.definitions.table_options import without_options
from localcloud.bigquery.queries.definitions.table_types import check_target
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.columns import column_names
from localcloud.bigquery.sql.reading.draft import Draft
from localcloud.bigquery.sql.reading.statement import Statement, TableName, read_statement
from localcloud.bigquery.sql.reading.statement_types import VIEW_TYPES
from localcloud.bigquery.sql.structs.positions import query_by_position
from localcloud.bigquery.sql.structs.value_tables import expanded, name_columns, unnamed, value_of
from localcloud.bigquery.sql.tables.column_types import column_types
from localcloud.bigquery.sql.tables.lengths import declared_settings
from localcloud.bigquery.sql.tables.partition_clauses import clustering_of, partitioning_of
from localcloud.bigquery.tables.columns.field_settings import has_nested_lengths, has_settings, schema_of
from localcloud.bigquery.tables.columns.keys import Keys, set_keys
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.rebuilding import rebuild
from localcloud.bigquery.tables.writing.schema_checks import reject_duplicates

_GUARDED_SNAPSHOT = re.compile(r"\s*CREATE\s+SNAPSHOT\s+TABLE\s+(?P<guard>IF\s+NOT\s+EXISTS\s+)", re.IGNORECASE)
_BODY = re.compile(r"\bAS\s+(?=[(]|SELECT\b|WITH\b|FROM\b)", re.IGNORECASE)


def created_table(statement: Statement) -> TableName | None:
    """Return the table that a CREATE TABLE AS creates; None if it is temporary."""
    is_permanent = statement.kind == "CREATE_TABLE_AS_SELECT" and not statement.is_temporary
    return statement.target if is_permanent and isinstance(statement.tree, exp.Create) else None


def operation_on(create: exp.Create, target: TableName, destinations: Destinations) -> str:
    """Return the operation of a CREATE: ``CREATE``, ``REPLACE``, or ``SKIP`` if the target exists.

    Raises:
        QueryError: The target exists, and the statement has neither OR REPLACE nor IF NOT EXISTS.
    """
    if destinations.get(target) is None:
        return "CREATE"
    if create.args.get("exists"):
        return "SKIP"
    if create.args.get("replace"):
        return "REPLACE"
    raise QueryError(f"Already Exists: Table {target}", reason="duplicate")


def query_of(statement: Statement, create: exp.Create, project: str) -> Statement:
    """Return the query of a CREATE ... AS, in the client's own words if they can be found in the text."""
    body = create.expression.sql(dialect="bigquery")
    for match in _BODY.finditer(statement.sql):
        query = read_statement(statement.sql[match.end() :], project=project)
        if query.tree is not None and query.tree.sql(dialect="bigquery") == body:
            return query
    return read_statement(body, project=project)


def completed(statement: Statement, statements: Statements) -> Statement:
    """Return a statement with the columns that it does not name, where DuckDB or bqemulator need them.

    Raises:
        QueryError: A list of columns and the query have different numbers of columns, or a column has no name, or that of
            another one; or the statement is about a table of another type.
    """
    check_target(statement, statements)
    reject_foreign_clauses(statement)
    if (
        isinstance(statement.tree, exp.Create)
        and statement.tree.args.get("replace")
        and statement.tree.args.get("exists")
    ):
        raise QueryError("CREATE statement cannot have both OR REPLACE and IF NOT EXISTS", location="query")
    if isinstance(statement.tree, (exp.Insert, exp.Query)):
        statement = _with_columns_of_rows(statement, statements)
    if statement.kind == "CREATE_SNAPSHOT_TABLE":
        return _plain_snapshot(statement, statements)
    if statement.kind == "CREATE_MATERIALIZED_VIEW":
        statement = read_statement(without_options(statement.sql), project=statements.project)
        return plain_materialized_view(statement, statements)
    tree = statement.tree
    if isinstance(tree, (exp.Insert, exp.Merge, exp.Update)):
        return completed_change(statement, statements)
    if isinstance(tree, exp.Select) and value_of(tree) is not None:
        return _with_columns_of_value(statement, tree, statements)
    if not isinstance(tree, exp.Create):
        return statement
    if statement.kind in ("CREATE_TABLE", "CREATE_TABLE_AS_SELECT"):
        check_declared_clustering(tree, statements)
    if not isinstance(tree.this, exp.Schema):
        _check_column_names(statement, tree, statements)
        return statement
    if statement.kind in ("CREATE_TABLE", "CREATE_TABLE_AS_SELECT"):
        check_declared_columns(tree, statements)
    if (keys := declared_keys(statement, statements)) != Keys():
        check_keys(keys, schema_of(declared_fields(tree, statements)).fields, statements.destinations)
    if isinstance(tree.expression, exp.Subquery):
        tree = tree.copy()
        tree.set("expression", tree.expression.unnest())
        statement = read_statement(tree.sql(dialect="bigquery"), project=statements.project)
    is_view = statement.kind == "CREATE_VIEW"
    if not is_view and (statement.kind != "CREATE_TABLE_AS_SELECT" or tree.expression.find(exp.Star) is None):
        return _with_coerced_query(statement, tree) if statement.kind == "CREATE_TABLE_AS_SELECT" else statement
    query = query_of(statement, tree, statements.project)
    names, listed = [column.name for column in statements.describe(query.sql)], tree.this.expressions
    listed = [column.name for column in listed if isinstance(column, (exp.ColumnDef, exp.Identifier, exp.Column))]
    if len(listed) != len(names):
        raise QueryError(
            f"The number of columns in the column definition list ({len(listed)}) does not match the number of columns "
            f"produced by the query ({len(names)})",
            location="query",
        )
    columns = [
        exp.alias_(exp.column(exp.to_identifier(name, quoted=True)), given, quoted=True)
        for name, given in zip(names, listed, strict=True)
    ]
    head = tree.copy()
    if is_view:
        head.set("this", tree.this.this.copy())
    head.set("expression", exp.select(*columns).from_(tree.expression.copy().subquery()))
    named = read_statement(head.sql(dialect="bigquery"), project=statements.project)
    return named if is_view else _with_coerced_query(named, head)


def _with_columns_of_rows(statement: Statement, statements: Statements) -> Statement:
    """Return a statement whose tables of values have columns."""
    if statement.tree is None or not any(select.args.get("kind") for select in statement.tree.find_all(exp.Select)):
        return statement
    types = column_types(statement.sql, project_id=statements.project, catalog=statements.context.catalog)
    draft = Draft(statement.sql, types)
    name_columns(draft)
    return read_statement(draft.text, project=statements.project)


def _with_columns_of_value(statement: Statement, select: exp.Select, statements: Statements) -> Statement:
    """Return a query for a query AS VALUE, by the type of its value."""
    column = statements.describe(statement.sql)[0].field
    is_struct = column["type"] == "RECORD" and column["mode"] != "REPEATED"
    shown = expanded(select) if is_struct else unnamed(select)
    return read_statement(shown.sql(dialect="bigquery"), project=statements.project)


def _with_coerced_query(statement: Statement, create: exp.Create) -> Statement:
    """Return a CREATE TABLE AS whose query has the STRUCTs of the declared columns."""
    declared = [each.args.get("kind") for each in create.this.expressions if isinstance(each, exp.ColumnDef)]
    if not any(kind is not None and kind.find(exp.ColumnDef) for kind in declared):
        return statement
    changed = create.copy()
    if not query_by_position(changed.expression, declared):
        return statement
    return read_statement(changed.sql(dialect="bigquery"), project=statement.project)


def _check_column_names(statement: Statement, create: exp.Create, statements: Statements) -> None:
    """Check that the columns of a CREATE ... AS have names, and different ones. Raises ``QueryError``."""
    query = create.expression
    if statement.kind not in ("CREATE_VIEW", "CREATE_TABLE_AS_SELECT") or not isinstance(query, exp.Query):
        return
    kind = "VIEW" if statement.kind == "CREATE_VIEW" else "TABLE"

    def columns_of(source: exp.Expr) -> list[str]:
        return list(statements.columns_of(source)) if isinstance(source, exp.Table) else []

    names: set[str] = set()
    for number, name in enumerate(column_names(query, columns_of), 1):
        if not name:
            raise QueryError(f"CREATE {kind} columns must be named, but column {number} has no name", location="query")
        if name.lower() in names:
            raise QueryError(f"CREATE {kind} has columns with duplicate name {name}", location="query")
        names.add(name.lower())


def register_table(create: exp.Create, target: TableName, statements: Statements, destinations: Destinations) -> None:
    """Write the options of a CREATE TABLE AS (description, partitioning, ...) into the catalog."""
    head = create.copy()
    if isinstance(head.this, exp.Schema):
        head.set("this", head.this.this.copy())
    head.set("expression", exp.select("1"))
    sync_created_table(head.sql(dialect="bigquery"), statements.project, statements.context)


def finish_table(statement: Statement, statements: Statements) -> None:
    """Correct a table that was created or changed: the types and settings of its columns, its keys and its partitioning."""
    destinations, target = statements.destinations, statement.target
    if target is None:
        return
    destinations.tidy(target)
    settings = declared_settings(statement.tree)
    destinations.set_columns(target, settings)
    fields = destinations.fields(target)
    declared = [each for each in fields if each["name"].lower() in settings]
    # The engine takes no checks with a new column, and none of fields of STRUCTs from bqemulator.
    if has_settings(declared) if statement.kind == "ALTER_TABLE" else any(map(has_nested_lengths, declared)):
        rebuild(destinations, target, fields)
    keys = declared_keys(statement, statements)
    if keys != Keys():
        set_keys(statements.engine, target, keys)
    if isinstance(statement.tree, exp.Create):
        destinations.set_layout(target, _declared_layout(statement.tree, statements))


def describe_columns(written: Statement, statements: Statements) -> None:
    """Give the columns of a new view the descriptions in its list of columns."""
    if written.kind == "CREATE_VIEW" and written.target is not None:
        statements.destinations.set_columns(written.target, declared_settings(written.tree))


def _plain_snapshot(statement: Statement, statements: Statements) -> Statement:
    """Return a CREATE SNAPSHOT TABLE as bqemulator reads it: without OPTIONS, and without IF NOT EXISTS for a new table."""
    sql = without_options(statement.sql)
    guarded = _GUARDED_SNAPSHOT.match(sql)
    if guarded is not None and _existing(statement.target, statements.destinations) is None:
        sql = sql[: guarded.start("guard")] + sql[guarded.end() :]
    return read_statement(sql, project=statements.project)


def exists_already(statement: Statement, destinations: Destinations) -> bool:
    """Return whether a CREATE TABLE, SNAPSHOT TABLE or VIEW IF NOT EXISTS has nothing to do."""
    create = statement.tree
    if statement.kind == "CREATE_SNAPSHOT_TABLE":
        is_guarded = _GUARDED_SNAPSHOT.match(statement.sql) is not None
    elif isinstance(create, exp.Create) and statement.kind in (
        "CREATE_TABLE",
        "CREATE_TABLE_AS_SELECT",
        *VIEW_TYPES,
    ):
        is_guarded = bool(create.args.get("exists"))
    else:
        return False
    return is_guarded and _existing(statement.target, destinations) is not None


def _existing(table: TableName | None, destinations: Destinations) -> TableMeta | None:
    return None if table is None else destinations.get(table)


def _declared_layout(create: exp.Create, statements: Statements) -> dict[str, Any]:
    """Return the layout of a new table as the fields of its entry: of its clauses, or of the table that it copies."""
    like = create.find(exp.LikeProperty, exp.Clone)
    if like is not None and isinstance(like.this, exp.Table):
        name = TableName(like.this.catalog or statements.project, like.this.db, like.this.name)
        copied = statements.destinations.get(name)
        if copied is not None:
            return {
                "time_partitioning": copied.time_partitioning,
                "range_partitioning": copied.range_partitioning,
                "clustering": copied.clustering,
            }
    found = partitioning_of(create)
    return {
        "time_partitioning": found if isinstance(found, TimePartitioning) else None,
        "range_partitioning": found if isinstance(found, RangePartitioning) else None,
        "clustering": clustering_of(create),
    }


def create_model_view(
    statement: Statement, statements: Statements, destinations: Destinations
) -> tuple[str, TableName]:
    """Create a view whose query uses models; return the operation and the view.

    DuckDB gets a view with the same columns and without rows. A statement that reads the view has the view's query
    inlined (``Statements.prepare``).

    Raises:
        QueryError: The view exists, its query is not valid, or the view is a materialized one.
    """
    if statement.kind == "CREATE_MATERIALIZED_VIEW":
        # https://cloud.google.com/bigquery/docs/materialized-views-create#query_limitations
        raise QueryError(
            "Materialized view query contains unsupported feature: functions of BigQuery ML, AI functions and table-valued "
            "functions",
            location="query",
        )
    create = statement.tree
    if not isinstance(create, exp.Create) or statement.target is None:
        raise QueryError("Syntax error: CREATE VIEW needs a name with a dataset, and a query")
    operation = operation_on(create, statement.target, destinations)
    if operation != "SKIP":
        query = query_of(statement, create, statements.project)
        if statements.model_uses.reach(query.sql, statement.target):
            raise QueryError(f"The view {statement.target} refers to itself", location="query")
        fields = [column.field for column in statements.describe(query.sql)]
        reject_duplicates([(plain_name(f["name"]), None) for f in fields])
        columns = ", ".join(f"CAST(NULL AS {sql_type(f)}) AS `{f['name']}`" for f in fields)
        head = create.copy()
        head.set("expression", exp.maybe_parse(f"SELECT {columns} LIMIT 0", dialect="bigquery"))
        statements.execute(head.sql(dialect="bigquery"), statement.sql)
        sync_created_view(statement.sql, statements.project, statements.context)
        destinations.describe_view(statement.target, fields)
    return operation, statement.target


def routine_statistics(sql: str, statements: Statements) -> dict[str, Any]:
    """Return the ``statistics.query`` of a statement that creates a function, before it runs; nothing for another one."""
    script = parse_script(sql)
    kind = classify_create_routine(script)
    created = script.statements[0] if script.statements else None
    if not kind or not isinstance(created, CreateFunctionStmt):
        return {}
    found: dict[str, Any] = {"statementType": kind}
    operation = resolve_create_routine_operation(script, statements.project, statements.context)
    name = created.name.replace("`", "")
    if name in statements.conditional_routines and statements.routine_exists(name):
        operation = "SKIP"
    if operation:
        found["ddlOperationPerformed"] = operation
    parts = [part for part in name.split(".") if part]
    if len(parts) in (2, 3):
        project, dataset, routine = parts if len(parts) == 3 else (statements.project, *parts)
        found["ddlTargetRoutine"] = {"projectId": project, "datasetId": dataset, "routineId": routine}
    return found


def definition_statistics(operation: str, target: TableName) -> dict[str, Any]:
    """Return the part of ``statistics.query`` about a definition."""
    return {"ddlOperationPerformed": operation, "ddlTargetTable": target.reference()}
