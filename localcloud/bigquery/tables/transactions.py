"""A transaction: its statements change copies of the tables, which replace the rows of the tables at the end.

So other jobs see the changes when the transaction is committed, and an error that a handler catches leaves it open.
https://cloud.google.com/bigquery/docs/transactions
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import duckdb
from bqemulator.domain.events import TableDataChanged

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.sql.reading.statement import TableName, read_statement
from localcloud.bigquery.tables.columns.field_settings import definitions, rest_fields
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.partitions import Partitions, settle
from localcloud.bigquery.tables.writing.destinations import Destinations, target_parts

_PREFIX = "_transaction_"


@dataclass(frozen=True)
class _Copy:
    """A copy of a table.

    Attributes:
        name: The name of the copy, whose schema in the engine is hidden.
        before: The fingerprint of the rows of the table when the copy was made.
    """

    name: TableName
    before: tuple[Any, ...]


class Transaction:
    """An open transaction."""

    def __init__(self, destinations: Destinations) -> None:
        """Begin a transaction that has changed nothing yet."""
        self._destinations = destinations
        self._engine: Engine = destinations.engine
        self._id = uuid.uuid4().hex
        self._copies: dict[TableName, _Copy] = {}
        self._temporary: dict[str, str] = {}

    def before_change(self, table: TableName | None, temporary: str | None) -> None:
        """Copy a table before its first change; ``temporary`` is the engine's name of a temporary table."""
        if table is not None and table not in self._copies:
            self._copy(table)
        elif table is None and temporary is not None and temporary not in self._temporary:
            # Only this job or session sees the table, so its rows are kept and the table itself is changed.
            kept = f"_before_{uuid.uuid4().hex}"
            self._engine.connection.execute(f'CREATE TEMP TABLE "{kept}" AS SELECT * FROM {temporary}')
            self._temporary[temporary] = kept

    def _copy(self, table: TableName) -> None:
        existing = self._destinations.get(table)
        if existing is None:
            return
        name = TableName(f"{_PREFIX}{self._id}__{table.project}", table.dataset, table.table)
        schema = name.quoted.partition(".")[0]
        before = self._fingerprint(table)
        self._engine.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        self._engine.execute(f"CREATE TABLE {name.quoted} ({definitions(rest_fields(existing))})")
        settle(self._engine, name, Partitions.of(existing))
        # Not by the engine's own method, which would note the rows as written by the job.
        self._engine.connection.execute(f"INSERT INTO {name.quoted} BY NAME SELECT * FROM {table.quoted}")
        self._copies[table] = _Copy(name, before)

    def _fingerprint(self, table: TableName) -> tuple[Any, ...]:
        """Return what tells whether other jobs have changed the rows of a table."""
        row = self._engine.execute(
            f"SELECT count(*), sum(hash(changed)::HUGEINT) FROM {table.quoted} AS changed"
        ).fetchone()
        return tuple(row or ())

    def redirected(self, duckdb_sql: str) -> str:
        """Return translated SQL that reads and changes the copies."""
        for table, copy in self._copies.items():
            duckdb_sql = duckdb_sql.replace(table.quoted, copy.name.quoted)
        return duckdb_sql

    def check_views(self, tables: Iterable[TableName]) -> None:
        """Raise ``QueryError`` if a view, which the engine reads as it is, shows a table that the transaction has changed."""
        for name in tables:
            meta = self._destinations.get(name)
            if meta is None or meta.table_type != "VIEW" or not meta.view_query:
                continue
            shown = read_statement(meta.view_query, project=name.project).tables
            for table in shown:
                if table in self._copies:
                    raise QueryError(
                        f"Reading the view {name} after a change of {table} in a transaction is not supported by the local "
                        "BigQuery: read the table, or commit first",
                        reason="notImplemented",
                        location="query",
                    )
            self.check_views(shown)

    def commit(self) -> None:
        """Replace the rows of the tables by those of the copies, all at once.

        Raises:
            QueryError: Another job has changed a table in the meantime. The transaction is then rolled back.
        """
        try:
            with self._engine.transaction():
                for table, copy in self._copies.items():
                    if self._destinations.get(table) is None or self._fingerprint(table) != copy.before:
                        raise QueryError(
                            f"Transaction is aborted due to concurrent update against table {table}.", location="query"
                        )
                    self._engine.execute(f"DELETE FROM {table.quoted}")
                    self._engine.execute(f"INSERT INTO {table.quoted} BY NAME SELECT * FROM {copy.name.quoted}")
        except QueryError:
            self.roll_back()
            raise
        context = self._destinations.context
        for table in self._copies:
            context.snapshots.drop_snapshots_for_table(*target_parts(table), include_user=False)
            context.events.publish(TableDataChanged(*target_parts(table)))
        self._drop()

    def roll_back(self) -> None:
        """Undo the changes, also after the job is stopped."""
        connection = self._engine.connection
        for table, kept in self._temporary.items():
            connection.execute("BEGIN")
            connection.execute(f"DELETE FROM {table}")
            connection.execute(f'INSERT INTO {table} SELECT * FROM "{kept}"')
            connection.execute("COMMIT")
        self._drop()

    def _drop(self) -> None:
        connection = self._engine.connection
        for kept in self._temporary.values():
            connection.execute(f'DROP TABLE "{kept}"')
        for schema in {copy.name.quoted.partition(".")[0] for copy in self._copies.values()}:
            connection.execute(f"DROP SCHEMA {schema} CASCADE")
        self._copies, self._temporary = {}, {}


class Transactions:
    """The transactions of a job, or of a session, one after another.

    Attributes:
        active: The open transaction, or None.
    """

    def __init__(self, *, of_session: bool) -> None:
        """Start without a transaction; one of a session stays open when a job ends."""
        self._of_session = of_session
        self.active: Transaction | None = None

    def end_of_job(self) -> None:
        """Roll back a transaction that a job has left open."""
        if not self._of_session:
            self.end()

    def end(self) -> None:
        """Roll back the open transaction, if there is one."""
        ended, self.active = self.active, None
        if ended is not None:
            ended.roll_back()


def drop_abandoned_copies(engine: Engine) -> None:
    """Drop the copies of the transactions of an earlier process."""
    found = engine.execute(
        "SELECT DISTINCT schema_name FROM duckdb_schemas() WHERE starts_with(schema_name, ?)", [_PREFIX]
    ).fetchall()
    for (schema,) in found:
        with suppress(duckdb.Error):
            engine.execute(f'DROP SCHEMA "{schema}" CASCADE')
