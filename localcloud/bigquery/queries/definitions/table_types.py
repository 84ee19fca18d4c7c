"""Rejects statements whose target exists already, does not exist, or has another type, in BigQuery's words.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#drop_view_statement
"""

from __future__ import annotations

from sqlglot import exp

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import Statement
from localcloud.bigquery.sql.reading.statement_types import DML_TYPES

# The types of the tables and views that a statement can drop, alter, replace or change.
_TYPES = {
    "ALTER_VIEW": ("VIEW",),
    "CREATE_TABLE": ("TABLE", "CLONE"),
    "CREATE_TABLE_AS_SELECT": ("TABLE", "CLONE"),
    "CREATE_VIEW": ("VIEW",),
    "DROP_MATERIALIZED_VIEW": ("MATERIALIZED_VIEW",),
    "DROP_TABLE": ("TABLE", "EXTERNAL", "CLONE"),
    "DROP_VIEW": ("VIEW",),
} | dict.fromkeys(DML_TYPES, ("TABLE", "CLONE", "EXTERNAL", "SNAPSHOT"))  # the others say so themselves


def check_target(statement: Statement, statements: Statements) -> None:
    """Check the target of a statement.

    Raises:
        NotFound: The dataset of a new table does not exist, or a table to drop does not exist.
        QueryError: The table exists already, or has a type that the statement cannot drop, alter, replace or change.
    """
    target, tree = statement.target, statement.tree
    types = _TYPES.get(statement.kind)
    if target is None or types is None:
        return
    existing = statements.destinations.get(target)
    guarded = tree is not None and bool(tree.args.get("exists"))
    if existing is None:
        if statement.kind.startswith("CREATE") and not target.dataset.startswith("_"):
            dataset = statements.context.catalog.get_dataset(target.project, target.dataset)
            if dataset is None:
                name = f"{target.project}:{target.dataset}"
                raise NotFound(f"Not found: Dataset {name} was not found in location {statements.location}")
        if statement.kind == "DROP_VIEW" and not guarded:
            raise NotFound(f"Not found: Table {target} was not found in location {statements.location}")
        return
    if isinstance(tree, exp.Create):
        if guarded:
            return
        if not tree.args.get("replace"):
            raise QueryError(f"Already Exists: Table {target}", reason="duplicate")
    if existing.table_type not in types:
        raise QueryError(
            f"{target} is not allowed for this operation because it is currently a {existing.table_type}.",
            location="query",
        )
