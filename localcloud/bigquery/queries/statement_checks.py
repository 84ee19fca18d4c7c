"""Rejects statements that are wrong in ways that the translation does not find.

These are names of tables, columns that two tables have, partitions, UPDATE without WHERE and changes of external tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sqlglot import exp

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.sql.checks.ambiguity import (
    reject_ambiguous,
    reject_ambiguous_aliases,
    reject_ambiguous_replacements,
    reject_hidden_columns,
)
from localcloud.bigquery.sql.checks.from_clauses import reject_clauses_without_from
from localcloud.bigquery.sql.checks.lateral_aliases import reject_lateral_aliases
from localcloud.bigquery.sql.checks.select_clauses import reject_wrong_clauses
from localcloud.bigquery.sql.checks.set_operators import reject_mixed_operators
from localcloud.bigquery.sql.checks.sources import reject_wrong_sources
from localcloud.bigquery.sql.checks.windows import reject_wrong_windows
from localcloud.bigquery.sql.reading.literals import plain_literals
from localcloud.bigquery.sql.reading.statement import Statement, TableName, read_statement
from localcloud.bigquery.sql.reading.statement_types import DDL_OPERATIONS, DML_TYPES
from localcloud.bigquery.sql.reading.tokens import position, tokens
from localcloud.bigquery.sql.tables.partition_clauses import declared_types, partitioning_of
from localcloud.bigquery.sql.tables.partition_filters import FilterCheck, Required
from localcloud.bigquery.sql.tables.pseudo_columns import check_column_name
from localcloud.bigquery.tables.partitions import Partitions, requires_filter
from localcloud.bigquery.tables.writing.destinations import Destinations

_NAMESPACES = frozenset({"AI", "ML"})
_OF_SNAPSHOTS = frozenset({"CREATE_SNAPSHOT_TABLE", "DROP_SNAPSHOT_TABLE"})
_SNAPSHOT = re.compile(r"\bSNAPSHOT\s+(?=TABLE\b)", re.IGNORECASE)


class StatementChecks:
    """The checks of the statements of one job."""

    def __init__(
        self,
        destinations: Destinations,
        columns_of: Callable[[exp.Table], frozenset[str]],
        *,
        project: str,
        location: str,
    ) -> None:
        """Check against existing tables.

        Args:
            destinations: The tables.
            columns_of: Returns the names of a table's columns in lower case.
            project: The project of table names without one.
            location: The location of the job.
        """
        self._destinations = destinations
        self._catalog = destinations.context.catalog
        self._columns_of = columns_of
        self._project = project
        self._location = location

    def check(self, sql: str) -> None:
        """Check a statement whose tables have all their parts.

        Raises:
            QueryError: The name of a table, a partition or a clause is not valid, a column is ambiguous, or a required
                filter is missing.
            NotFound: A dataset or a table does not exist by this name.
        """
        statement = read_statement(sql, project=self._project)
        self._check_dataset(statement)
        self._check_names(statement)
        if statement.tree is not None:
            reject_mixed_operators(statement.tree)
            reject_wrong_clauses(statement.tree)
            reject_wrong_sources(statement.tree)
            if not isinstance(statement.tree, exp.Create) or statement.tree.kind in ("TABLE", "VIEW"):
                reject_lateral_aliases(sql, statement.tree, self._known_columns)
            reject_wrong_windows(statement.tree)
            reject_clauses_without_from(statement.tree)
            reject_ambiguous_aliases(sql, statement.tree)
            reject_ambiguous_replacements(statement.tree, self._columns_of)
            reject_hidden_columns(sql, statement.tree, self._columns_of)
            if statement.tree.find(exp.Subquery, exp.CTE) is not None:  # a table has no two columns of one name
                reject_ambiguous(sql, statement.tree, self._columns_of)
            self._check_samples(statement.tree)
        self._check_merged(statement)
        _check_where(statement)
        if statement.target is not None and DDL_OPERATIONS.get(statement.kind) == "CREATE":
            self._destinations.reject_model(statement.target)
        if statement.target is not None and (statement.kind in DML_TYPES or statement.kind == "ALTER_TABLE"):
            self._destinations.reject_external(statement.target)
        if (copied := _copied_table(statement, self._project)) is not None:
            self._destinations.reject_external(copied)
            existing = self._destinations.get(copied)
            if existing is not None and existing.table_type == "VIEW":
                raise QueryError(
                    f"{copied} is not allowed for this operation because it is currently a VIEW.", reason="invalid"
                )
        self._check_partitions(statement)

    def _check_samples(self, tree: exp.Expr) -> None:
        """Reject samples of anything but a table, and samples of another kind than ``SYSTEM (n PERCENT)``.

        https://cloud.google.com/bigquery/docs/table-sampling#limitations

        Raises:
            QueryError: A subquery, a common table expression, a view or a call of a table function is sampled, or rows are
                sampled.
        """
        for sample in tree.find_all(exp.TableSample):
            source, method = sample.parent, sample.args.get("method")
            if method is None or method.name.upper() != "SYSTEM" or sample.args.get("percent") is None:
                raise QueryError("TABLESAMPLE supports only SYSTEM (n PERCENT)", location="query")
            if not isinstance(source, exp.Table) or not self._is_table(source):
                raise QueryError("TABLESAMPLE SYSTEM can only be applied directly to tables.", location="query")

    def _is_table(self, source: exp.Table) -> bool:
        if isinstance(source.this, exp.Func) and source.db and source.db.upper() not in _NAMESPACES:
            # A function that does not exist is reported by its name.
            return self._catalog.get_routine(source.catalog or self._project, source.db, source.name) is None
        if not isinstance(source.this, exp.Identifier):
            return False
        if not source.db:
            return all(table.alias.lower() != source.name.lower() for table in source.root().find_all(exp.CTE))
        meta = self._catalog.get_table(source.catalog or self._project, source.db, source.name)
        return meta is None or meta.table_type != "VIEW"

    def _known_columns(self, source: exp.Expr) -> list[str]:
        return list(self._columns_of(source)) if isinstance(source, exp.Table) else []

    def check_places(self, statement: Statement) -> None:
        """Reject a SELECT without columns, and tables of another location.

        Raises:
            NotFound: A dataset is in another location than the job.
            QueryError: A SELECT has no columns.
        """
        if isinstance(statement.tree, exp.Select) and not statement.tree.expressions:
            raise QueryError("Syntax error: SELECT list must not be empty", location="query")
        for name in statement.tables:
            dataset = self._catalog.get_dataset(name.project, name.dataset)
            if dataset is not None and dataset.location.upper() != self._location.upper():
                raise NotFound(
                    f"Not found: Dataset {name.project}:{name.dataset} was not found in location {self._location}"
                )

    def _check_dataset(self, statement: Statement) -> None:
        """Raise ``QueryError`` if a permanent table or view is created, altered or dropped without a dataset.

        The engine would create it, and does nothing for one that does not exist with IF EXISTS.
        """
        tree = statement.tree
        if statement.kind in _OF_SNAPSHOTS and statement.unqualified:
            raise _without_dataset(statement.unqualified[0].name)
        if not isinstance(tree, (exp.Create, exp.Drop, exp.Alter)):
            return
        table = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
        if not isinstance(table, exp.Table) or table.db:
            return
        kind, is_new = tree.args.get("kind"), isinstance(tree, exp.Create)
        if kind in ("TABLE", "VIEW") and not (statement.is_temporary if is_new else self._is_temporary(table.name)):
            raise _without_dataset(table.name)

    def _is_temporary(self, table: str) -> bool:
        found = self._destinations.engine.execute(
            "SELECT 1 FROM duckdb_tables() WHERE temporary AND lower(table_name) = ?", [table.lower()]
        )
        return found.fetchone() is not None

    def _check_names(self, statement: Statement) -> None:
        """Reject tables whose names are not valid, or differ from those of existing ones in their case.

        DuckDB ignores the case of names. BigQuery does not:
        https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#case_sensitivity

        Raises:
            QueryError: A name is not valid.
            NotFound: A dataset or a table has another name.
        """
        catalog = self._catalog
        for name in statement.tables:
            name.check()
            if name == statement.target or catalog.get_table(name.project, name.dataset, name.table) is not None:
                continue
            dataset = catalog.get_dataset(name.project, name.dataset)
            if dataset is None and name.project != self._project and not catalog.list_datasets(name.project):
                # BigQuery does not tell a project that does not exist from one that the caller may not read.
                raise QueryError(
                    f"Access Denied: Table {name}: User does not have permission to query table {name}, or perhaps it "
                    "does not exist.",
                    reason="accessDenied",
                )
            if dataset is None:
                others = {other.dataset_id.lower() for other in catalog.list_datasets(name.project)}
                if name.dataset.lower() in others:
                    raise NotFound(
                        f"Not found: Dataset {name.project}:{name.dataset} was not found in location {self._location}"
                    )
            elif any(
                other.table_id.lower() == name.table.lower()
                for other in catalog.list_tables(name.project, name.dataset)
            ):
                raise NotFound(f"Not found: Table {name} was not found in location {self._location}")

    def _check_merged(self, statement: Statement) -> None:
        """Raise ``NotFound`` if a MERGE is into a table that does not exist, which bqemulator reports without its dataset."""
        if (
            statement.kind == "MERGE"
            and statement.target is not None
            and self._destinations.get(statement.target) is None
        ):
            raise NotFound(f"Not found: Table {statement.target} was not found in location {self._location}")

    def _check_partitions(self, statement: Statement) -> None:
        """Reject a wrong PARTITION BY, and a query without the filter that a table requires. Raises ``QueryError``."""
        tree = statement.tree
        if tree is None:
            return
        if statement.kind in ("CREATE_TABLE", "CREATE_TABLE_AS_SELECT"):
            partitioning_of(tree, declared_types(tree))
            for column in tree.this.find_all(exp.ColumnDef):
                check_column_name(column.name)
        if any(self._requirement(name) is not None for name in statement.tables):
            FilterCheck(self._project, self._requirement).check(tree)

    def _requirement(self, name: TableName) -> Required | exp.Query | None:
        """Return a table that requires a filter, or the query of a view, for the check of filters."""
        meta = self._catalog.get_table(name.project, name.dataset, name.table)
        if meta is None:
            return None
        if meta.table_type == "VIEW" and meta.view_query:
            view = read_statement(plain_literals(meta.view_query), project=name.project).tree
            return view if isinstance(view, exp.Query) else None
        partitions = Partitions.of(meta)
        return Required(name, partitions.filter_columns) if partitions is not None and requires_filter(meta) else None


def _without_dataset(table: str) -> QueryError:
    return QueryError(f'Table "{table}" must be qualified with a dataset (e.g. dataset.table).', location="query")


def _copied_table(statement: Statement, project: str) -> TableName | None:
    """Return the table whose rows a CREATE TABLE COPY, CLONE or a CREATE SNAPSHOT TABLE copies; None for another statement."""
    if statement.kind == "CREATE_SNAPSHOT_TABLE":
        statement = read_statement(_SNAPSHOT.sub("", statement.sql, count=1), project=project)
    clone = statement.tree.find(exp.Clone) if isinstance(statement.tree, exp.Create) else None
    source = None if clone is None else clone.this
    return TableName(source.catalog or project, source.db, source.name) if isinstance(source, exp.Table) else None


def _check_where(statement: Statement) -> None:
    """Reject an UPDATE or DELETE without WHERE, as BigQuery does.

    https://cloud.google.com/bigquery/docs/reference/standard-sql/dml-syntax

    Raises:
        QueryError: The statement has no WHERE clause.
    """
    if isinstance(statement.tree, (exp.Update, exp.Delete)) and statement.tree.args.get("where") is None:
        start = position(statement.sql, tokens(statement.sql)[0].start)
        raise QueryError(f"{statement.kind} must have a WHERE clause at {start}", location="query")
