"""Object tables: tables whose rows are objects in Cloud Storage, with their content in the pseudo-column ``data``.

In the database an object table is an empty table, so it is listed, described and dropped like any other table. The
comment of the table holds the URIs. A query that names the table gets a subquery over the objects instead.

https://cloud.google.com/bigquery/docs/object-table-introduction
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.session import Session
from localcloud.bigquery.ml.models.importing import split_uri
from localcloud.bigquery.ml.models.statements import CreateMode
from localcloud.bigquery.ml.objects.statements import CreateObjectTable, DropExternalTable
from localcloud.bigquery.ml.predicting.functions import Functions
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.files.stored_definitions import FILES_PREFIX
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import NotFound as ObjectNotFound
from localcloud.storage.rules.resources import StoredObject

COLUMNS = {
    "uri": "STRING",
    "generation": "INT64",
    "content_type": "STRING",
    "size": "INT64",
    "md5_hash": "STRING",
    "updated": "TIMESTAMP",
    "metadata": "ARRAY<STRUCT<name STRING, value STRING>>",
}
_ROW = pa.struct(
    {
        "uri": pa.string(),
        "generation": pa.int64(),
        "content_type": pa.string(),
        "size": pa.int64(),
        "md5_hash": pa.string(),
        "updated": pa.timestamp("us", "UTC"),
        "metadata": pa.list_(pa.struct({"name": pa.string(), "value": pa.string()})),
    }
)
_ROW_TYPE = (
    "STRUCT(uri VARCHAR, generation BIGINT, content_type VARCHAR, size BIGINT, md5_hash VARCHAR, updated TIMESTAMPTZ, "
    'metadata STRUCT("name" VARCHAR, "value" VARCHAR)[])[]'
)
_COMMENT_PREFIX = "object table "


def table_exists(table: TableName, session: Session) -> bool:
    """Return whether a table or view exists."""
    found = session.connection.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
        [f"{table.project}__{table.dataset}", table.table],
    ).fetchone()
    return bool(found and found[0])


def _is_external(table: TableName, session: Session) -> bool:
    found = session.connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ?",
        [f"{table.project}__{table.dataset}", table.table],
    ).fetchone()
    return found is not None and str(found[0]).startswith((_COMMENT_PREFIX, FILES_PREFIX))


class ObjectTables:
    """The object tables of a database."""

    def __init__(self, store: ObjectStore, functions: Functions, names: Path | None) -> None:
        """Open the object tables.

        Args:
            store: The Cloud Storage that holds the objects.
            functions: The registered DuckDB functions.
            names: The file with the names of all object tables that ever existed, or None.
        """
        self._store = store
        self._functions = functions
        self._names_file = names
        self._names: set[str] = set(json.loads(names.read_text())) if names is not None and names.is_file() else set()
        self._lock = threading.Lock()

    def may_be_named_in(self, sql: str) -> bool:
        """Return False if ``sql`` cannot name an object table. This check is fast."""
        return any(name in sql for name in self._names)

    def _remember(self, name: str) -> None:
        with self._lock:
            # A new set, because other threads may be iterating over the old one.
            self._names = self._names | {name}
            if self._names_file is not None:
                self._names_file.write_text(json.dumps(sorted(self._names)))

    def create(self, statement: CreateObjectTable, session: Session, *, dry_run: bool) -> str:
        """Create an object table; return the DDL operation: ``CREATE``, ``REPLACE`` or ``SKIP``.

        Args:
            statement: The statement.
            session: The job that runs it.
            dry_run: Whether to check the statement without running it.

        Raises:
            QueryError: The dataset or a bucket does not exist, or the table exists and is not to be replaced.
        """
        table = statement.table
        session.dataset_location(table.project, table.dataset)
        exists = table_exists(table, session)
        if exists and statement.mode is CreateMode.IF_NOT_EXISTS:
            return "SKIP"
        if exists and statement.mode is CreateMode.CREATE:
            raise QueryError(f"Already Exists: Table {table}", reason="duplicate")
        if exists and self.external_data(table, session.connection) is None:
            raise QueryError(
                f"{table} is not allowed for this operation because it is currently a TABLE.", reason="invalid"
            )
        for uri in statement.uris:
            self._require_bucket(uri)
        if not dry_run:
            self._define(statement, session)
        return "REPLACE" if exists else "CREATE"

    def _define(self, statement: CreateObjectTable, session: Session) -> None:
        table = statement.table
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        session.run(f"CREATE OR REPLACE TABLE {table.sql} ({columns})")
        definition = json.dumps({"uris": statement.uris, "connection": statement.connection}).replace("'", "''")
        session.connection.execute(f"COMMENT ON TABLE {table.quoted} IS '{_COMMENT_PREFIX}{definition}'")
        self._remember(table.table)

    def _require_bucket(self, uri: str) -> None:
        """Raise ``QueryError`` if the bucket of a URI does not exist."""
        bucket, _ = split_uri(uri, "URI")
        try:
            self._store.bucket(bucket)
        except ObjectNotFound as error:
            raise _not_readable(bucket) from error

    def drop(self, statement: DropExternalTable, session: Session, *, dry_run: bool) -> str:
        """Drop an external table and keep its objects; return the DDL operation: ``DROP`` or ``SKIP``.

        https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#drop_external_table_statement

        Args:
            statement: The statement.
            session: The job that runs it.
            dry_run: Whether to check the statement without running it.

        Raises:
            QueryError: The table does not exist, or is not an external table.
        """
        table = statement.table
        if _is_external(table, session):
            if not dry_run:
                session.run(f"DROP TABLE {table.sql}")
            return "DROP"
        if table_exists(table, session):
            raise QueryError(
                f"Cannot drop {table} which has type TABLE. An external table was expected.", location="query"
            )
        if statement.if_exists:
            return "SKIP"
        raise NotFound(f"Not found: Table {table} was not found in location {session.location}")

    def external_data(self, table: TableName, connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
        """Return the ``externalDataConfiguration`` of an object table, or None if ``table`` is not one.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#ExternalDataConfiguration
        """
        if table.table not in self._names:
            return None
        found = connection.execute(
            "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ? AND starts_with(comment, ?)",
            [f"{table.project}__{table.dataset}", table.table, _COMMENT_PREFIX],
        ).fetchone()
        if found is None:
            return None
        definition = json.loads(found[0].removeprefix(_COMMENT_PREFIX))
        return {
            "sourceUris": definition["uris"],
            "objectMetadata": "SIMPLE",
            "connectionId": definition["connection"],
            "autodetect": False,
        }

    def uris_by_table(self, session: Session) -> dict[TableName, tuple[str, ...]]:
        """Return the existing object tables and their URIs."""
        rows = session.connection.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE starts_with(comment, ?)",
            [_COMMENT_PREFIX],
        ).fetchall()
        tables = {}
        for schema, table, comment in rows:
            project, _, dataset = schema.partition("__")
            tables[TableName(project, dataset, table)] = tuple(
                json.loads(comment.removeprefix(_COMMENT_PREFIX))["uris"]
            )
        return tables

    def subquery(self, uris: tuple[str, ...], session: Session, *, with_data: bool) -> str:
        """Return a GoogleSQL subquery that lists the objects at the time when it runs.

        Args:
            uris: The URIs of the objects, which may end with a wildcard.
            session: The job that runs the query.
            with_data: Whether to add the pseudo-column ``data``.
        """
        literals = ", ".join("'" + uri.replace("\\", "\\\\").replace("'", "\\'") + "'" for uri in uris)
        listing = self._functions.register(session.connection, "ml_objects", self._listing, ["VARCHAR[]"], _ROW_TYPE)
        columns = ", ".join(f"o.{name} AS {name}" for name in COLUMNS)
        if with_data:
            content = self._functions.register(
                session.connection, "ml_object_content", self._contents, ["VARCHAR", "BIGINT"], "BLOB"
            )
            columns += f", {content}(o.uri, o.generation) AS data"
        return f"(SELECT {columns} FROM UNNEST({listing}([{literals}])) AS o)"

    def _listing(self, patterns: pa.Array) -> pa.Array:
        rows = [[_row(stored) for stored in self._objects(uris)] for uris in patterns.to_pylist()]
        return pa.array(rows, pa.list_(_ROW))

    def _objects(self, uris: Iterable[str]) -> list[StoredObject]:
        found: dict[tuple[str, str], StoredObject] = {}
        for uri in uris:
            self._require_bucket(uri)
            bucket, pattern = split_uri(uri, "URI")
            try:
                if pattern.endswith("*"):
                    objects = self._store.list(bucket, pattern[:-1])
                else:
                    objects = [self._store.get(bucket, pattern)]
            except ObjectNotFound:
                continue
            found |= {(bucket, stored.name): stored for stored in objects if not stored.name.endswith("/")}
        return list(found.values())

    def _contents(self, uris: pa.Array, generations: pa.Array) -> pa.Array:
        contents = [
            self._content(uri, generation)
            for uri, generation in zip(uris.to_pylist(), generations.to_pylist(), strict=True)
        ]
        return pa.array(contents, pa.binary())

    def _content(self, uri: str, generation: int) -> bytes:
        bucket, name = split_object_uri(uri)
        try:
            with self._store.open(self._store.get(bucket, name, generation)) as content:
                return content.read()
        except ObjectNotFound as error:
            raise QueryError(f"Not found: {uri} changed during the query.", reason="notFound") from error


def _not_readable(bucket: str) -> QueryError:
    """Return BigQuery's error for a bucket that does not exist, which it does not tell from one that it may not read."""
    return QueryError(
        f"Access Denied: BigQuery BigQuery: Permission denied while globbing file pattern. Permission "
        f"'storage.objects.list' denied on bucket {bucket} (or it may not exist).",
        reason="accessDenied",
    )


def split_object_uri(uri: str) -> tuple[str, str]:
    """Return the bucket and the object name of a URI."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


def _row(stored: StoredObject) -> dict[str, Any]:
    return {
        "uri": f"gs://{stored.bucket}/{stored.name}",
        "generation": stored.generation,
        "content_type": stored.content_type,
        "size": stored.size,
        "md5_hash": base64.b64decode(stored.md5).hex() if stored.md5 else None,
        "updated": stored.updated,
        "metadata": [{"name": name, "value": value} for name, value in sorted(stored.metadata.items())],
    }
