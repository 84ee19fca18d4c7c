"""External tables over files in Cloud Storage: a query of one reads the objects that its URIs have at that time.

In the database an external table is a table with the rows of its files. Its rows are read again when the objects have
changed, before a statement reads the table. The comment of the table holds its definition.

https://cloud.google.com/bigquery/docs/external-data-cloud-storage
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.queries.files.external_definitions import load_options
from localcloud.bigquery.queries.files.loads import Loads
from localcloud.bigquery.sql.reading.statement import TableName, read_statement
from localcloud.bigquery.tables.columns.field_settings import definitions
from localcloud.bigquery.tables.files.stored_definitions import FILES_PREFIX, stored_definition
from localcloud.bigquery.tables.results import AnonymousTables
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition
from localcloud.bigquery.tables.writing.schema_checks import check_fields
from localcloud.storage.objects.store import ObjectStore

Objects = tuple[tuple[str, int], ...]


class ExternalTables:
    """The external tables over files of a database."""

    def __init__(self, destinations: Destinations, anonymous: AnonymousTables, store: ObjectStore) -> None:
        """Find the external tables of ``destinations`` whose files are objects in ``store``."""
        self._destinations = destinations
        self._engine = destinations.engine
        self._anonymous = anonymous
        self._loads = Loads(destinations, store)
        self._lock = threading.RLock()
        self._read: dict[TableName, Objects] = {}
        rows = self._engine.execute(
            "SELECT split_part(schema_name, '__', 1), substr(schema_name, strpos(schema_name, '__') + 2), table_name "
            "FROM duckdb_tables() WHERE starts_with(comment, ?)",
            [FILES_PREFIX],
        ).fetchall()
        self._names = {TableName(project, dataset, table) for project, dataset, table in rows}

    def create(self, table: TableName, definition: Mapping[str, Any], *, location: str) -> None:
        """Create or replace an external table.

        Args:
            table: The table.
            definition: The REST ``ExternalDataConfiguration``.
            location: The location of the job.

        Raises:
            NotFound: The dataset does not exist in ``location``, or there are no files and no schema.
            QueryError: The definition or a file is not valid.
        """
        options = load_options(definition)
        fields = (options.get("schema") or {}).get("fields")
        with self._lock, self._destinations.writing(table):
            disposition = Disposition(write="WRITE_TRUNCATE", redefines=True, external=True)
            self._destinations.check_target(table, disposition, location)
            existing, objects = self._destinations.get(table), None
            if fields:
                check_fields(fields)
                self._engine.execute(f"CREATE OR REPLACE TABLE {table.quoted} ({definitions(fields)})")
                self._destinations.register(table, fields, 0, existing=existing)
            else:
                objects = self._loads.objects(options)
                self._loads.load(table, disposition, options, location=location)
            text = json.dumps(definition).replace("'", "''")
            self._engine.execute(f"COMMENT ON TABLE {table.quoted} IS '{FILES_PREFIX}{text}'")
            created = self._destinations.get(table)
            assert created is not None
            self._destinations.context.catalog.update_table(created.model_copy(update={"table_type": "EXTERNAL"}))
            self._names = self._names | {table}
            self._read.pop(table, None)
            if objects is not None:
                self._read[table] = objects

    def definition(self, table: TableName) -> dict[str, Any] | None:
        """Return the REST ``ExternalDataConfiguration`` of an external table over files; None for any other table."""
        return stored_definition(self._engine, table) if table in self._names else None

    def refresh(self, sql: str, project: str) -> None:
        """Read the files of the external tables again that a statement reads, if they have changed.

        Raises:
            NotFound: There are no such files.
            QueryError: A file is not valid, or the statement is in a transaction.
        """
        for table in self._used(sql, project, set()) if self._names else ():
            definition = self.definition(table)
            if definition is not None:
                self._refresh(table, definition)

    def _refresh(self, table: TableName, definition: Mapping[str, Any]) -> None:
        options = load_options(definition)
        with self._lock:
            objects = self._loads.objects(options)
            if self._read.get(table) == objects:
                return
            if self._engine.in_transaction:
                raise QueryError(
                    f"Reading the external table {table} in this statement is not supported by the local BigQuery",
                    reason="notImplemented",
                    location="query",
                )
            dataset = self._destinations.context.catalog.get_dataset(table.project, table.dataset)
            location = "US" if dataset is None else dataset.location
            disposition = Disposition(write="WRITE_TRUNCATE_DATA", external=True)
            with self._engine.use(self._engine.cursor()):
                self._loads.load(table, disposition, options, location=location)
            self._read[table] = objects

    def _used(self, sql: str, project: str, seen: set[TableName]) -> Iterator[TableName]:
        """Yield the external tables over files that a query reads, also those that its views read."""
        for table in read_statement(sql, project=project).tables:
            if table in seen:
                continue
            seen.add(table)
            if table in self._names:
                yield table
            elif (found := self._destinations.get(table)) is not None and found.view_query:
                yield from self._used(found.view_query, table.project, seen)

    def define_temporary(self, name: str, definition: Mapping[str, Any], *, project: str, location: str) -> None:
        """Create a temporary table with the rows of files on the calling thread's cursor.

        Raises:
            NotFound: There are no such files.
            QueryError: The definition or a file is not valid.
        """
        dataset = "_anonymous_external_" + "".join(c if c.isalnum() else "_" for c in location.lower())
        loaded = TableName(project, dataset, f"external_{uuid.uuid4().hex}")
        self._anonymous.ensure_dataset(project, dataset, location)
        options = load_options(definition)
        try:
            self._loads.load(loaded, Disposition(write="WRITE_TRUNCATE"), options, location=location)
            self._engine.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS SELECT * FROM {loaded.quoted}")
        finally:
            self._engine.execute(f"DROP TABLE IF EXISTS {loaded.quoted}")
            self._destinations.context.catalog.delete_table(project, dataset, loaded.table, not_found_ok=True)

    def require_missing_or_external(self, table: TableName) -> bool:
        """Return whether an external table exists. Raises ``QueryError`` if the name is that of another table."""
        existing = self._destinations.get(table)
        if existing is not None and existing.table_type != "EXTERNAL":
            raise QueryError(
                f"{table} is not allowed for this operation because it is currently a {existing.table_type}.",
                reason="invalid",
            )
        if self._destinations.context.catalog.get_dataset(table.project, table.dataset) is None:
            raise NotFound(f"Not found: Dataset {table.project}:{table.dataset}")
        return existing is not None
