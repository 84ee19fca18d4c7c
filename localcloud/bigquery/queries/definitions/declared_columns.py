"""Rejects a CREATE TABLE whose list of columns is not valid, before the engine creates the table.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#column_name_and_column_schema
"""

from __future__ import annotations

from contextlib import suppress

import duckdb
from sqlglot import exp

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.checks.assigned_types import (
    is_assignable,
    is_literal_assignable,
    literal_type,
    shown_type,
)
from localcloud.bigquery.sql.reading.tokens import parsed
from localcloud.bigquery.sql.tables.lengths import declared_settings
from localcloud.bigquery.sql.tables.partition_clauses import clustering_of, declared_columns
from localcloud.bigquery.tables.columns.field_settings import merged_settings
from localcloud.bigquery.tables.writing.schema_checks import check_clustering, check_fields


def declared_fields(create: exp.Expr | None, statements: Statements) -> list[Field]:
    """Return the REST fields of the columns that a CREATE TABLE declares; none without a list of columns and types."""
    listed = ", ".join(f"CAST(NULL AS {kind}) AS `{name}`" for name, kind in declared_columns(create))
    fields = [column.field for column in statements.describe(f"SELECT {listed}")] if listed else []
    return merged_settings(fields, declared_settings(create))


def check_declared_columns(create: exp.Create, statements: Statements) -> None:
    """Raise ``QueryError`` if a name is declared twice, an option is not valid, or a default or a query has another type."""
    _reject_unsupported(create)
    columns = [each for each in create.this.expressions if isinstance(each, exp.ColumnDef)]
    names: set[str] = set()
    for column in columns:
        if column.name.lower() in names:
            raise QueryError(f"Duplicate column name {column.name} in CREATE TABLE", location="query")
        names.add(column.name.lower())
    defaults = {
        name: str(settings["defaultValueExpression"])
        for name, settings in declared_settings(create).items()
        if "defaultValueExpression" in settings
    }
    query = create.expression if isinstance(create.expression, exp.Query) else None
    has_lengths = create.this.find(exp.DataTypeParam) is not None
    if not defaults and query is None and not has_lengths:
        return
    fields = declared_fields(create, statements)
    if has_lengths:
        check_fields(fields)
    for field in fields:
        if field["name"].lower() in defaults:
            check_default(defaults[field["name"].lower()], field, statements)
    if query is not None and fields:
        _check_query(query, fields, statements)


def check_declared_clustering(create: exp.Create, statements: Statements) -> None:
    """Raise ``QueryError`` if a CREATE TABLE has a CLUSTER BY of columns that a table cannot be clustered by."""
    clustering = clustering_of(create)
    if clustering is None:
        return
    fields = declared_fields(create, statements)
    if not fields and isinstance(create.expression, exp.Query):
        fields = [column.field for column in statements.describe(create.expression.sql(dialect="bigquery"))]
    names = {f["name"].lower() for f in fields}
    for name in clustering.fields:
        if names and name.lower() not in names:
            raise QueryError(f"Unrecognized name: {name}", location="query")
    if fields:
        check_clustering(clustering.fields, fields)


def _reject_unsupported(create: exp.Create) -> None:
    """Raise ``QueryError`` for what a table may have in BigQuery, and not here."""
    what = None
    if create.find(exp.CollateProperty, exp.CollateColumnConstraint) is not None:
        what = "COLLATE is"
    elif create.find(exp.GeneratedAsIdentityColumnConstraint, exp.ComputedColumnConstraint) is not None:
        what = "Generated columns are"
    if what is not None:
        raise QueryError(f"{what} not supported by the local BigQuery.", reason="notImplemented", location="query")


def check_default(expression: str, field: Field, statements: Statements) -> None:
    """Raise ``QueryError`` if the default value of a column has another type than the column."""
    tree = parsed(f"SELECT {expression}")
    value = tree.expressions[0] if isinstance(tree, exp.Select) and len(tree.expressions) == 1 else None
    if value is None or isinstance(value, (exp.Array, exp.Tuple, exp.Struct)):
        return
    kind = literal_type(value)
    if kind is not None:
        valid, given = is_literal_assignable(kind, field), kind
    else:
        described = statements.describe(f"SELECT {expression}")[0].field
        valid, given = is_assignable(described, field), shown_type(described)
    if not valid:
        raise QueryError(
            f"Column default expression has type {given} which cannot be assigned to column type {shown_type(field)}",
            location="query",
        )


def _check_query(query: exp.Query, fields: list[Field], statements: Statements) -> None:
    text = query.sql(dialect="bigquery")
    if statements.model_uses.are_in(text):
        return
    types: list[Field] = []
    # The engine does not read the type of a STRUCT without names, whose fields correspond by position anyway.
    with suppress(duckdb.Error):
        types = [column.field for column in statements.describe(text)]
    if types and len(types) != len(fields):
        raise QueryError(
            f"The number of columns in the column definition list ({len(fields)}) does not match the number of columns "
            f"produced by the query ({len(types)})",
            location="query",
        )
    select = query
    while isinstance(select, (exp.SetOperation, exp.Subquery)):
        select = select.this
    written = select.expressions if isinstance(select, exp.Select) and len(select.expressions) == len(types) else None
    for number, (given, field) in enumerate(zip(types, fields, strict=False)):
        projection = written[number].unalias() if written is not None else None
        kind = None if projection is None else literal_type(projection)
        is_open = isinstance(projection, (exp.Array, exp.Tuple, exp.Struct)) or kind == ""
        if not is_open and not is_assignable(given, field):
            raise QueryError(
                f"Column '{field['name']}' has type {shown_type(field)} which cannot be coerced from query output type "
                f"{shown_type(given)}",
                location="query",
            )
