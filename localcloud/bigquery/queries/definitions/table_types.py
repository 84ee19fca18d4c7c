"""Rejects a DROP or ALTER of a table or view of another type than the statement names, which the engine carries out.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#drop_view_statement
"""

from __future__ import annotations

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.tables.destinations import Destinations

# The types of the tables and views that a statement can drop or alter.
_TYPES = {
    "ALTER_VIEW": ("VIEW",),
    "DROP_MATERIALIZED_VIEW": ("MATERIALIZED_VIEW",),
    "DROP_TABLE": ("TABLE", "EXTERNAL"),
    "DROP_VIEW": ("VIEW",),
}


def check_type(statement: Statement, destinations: Destinations) -> None:
    """Raise ``QueryError`` if the target of a statement has a type that the statement cannot drop or alter."""
    types = _TYPES.get(statement.kind)
    existing = None if statement.target is None or types is None else destinations.get(statement.target)
    if existing is not None and types is not None and existing.table_type not in types:
        raise QueryError(
            f"{statement.target} is not allowed for this operation because it is currently a {existing.table_type}.",
            location="query",
        )
