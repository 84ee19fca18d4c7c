"""Object tables: tables whose rows are objects in Cloud Storage, with their content in the pseudo-column ``data``.

In the database an object table is an empty table, so it is listed, described and dropped like any other table. The
comment of the table holds the URIs. A query that names the table gets a subquery over the objects instead.

https://cloud.google.com/bigquery/docs/object-table-introduction
"""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Session
from localcloud.bigquery.ml.functions import Functions
from localcloud.bigquery.ml.importing import split_uri
from localcloud.bigquery.ml.statements import CreateMode, OptionValue, take_options
from localcloud.bigquery.sql.tokens import Cursor
from localcloud.storage.objects.errors import NotFound as ObjectNotFound
from localcloud.storage.objects.resources import StoredObject
from localcloud.storage.objects.store import ObjectStore

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
_OPTIONS = frozenset({"OBJECT_METADATA", "URIS", "MAX_STALENESS", "METADATA_CACHE_MODE", "DESCRIPTION", "LABELS"})
_HEAD = re.compile(r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?EXTERNAL\s+TABLE\b", re.IGNORECASE)


@dataclass(frozen=True)
class TablePath:
    """The full name of a table."""

    project: str
    dataset: str
    table: str

    @property
    def sql(self) -> str:
        """The table's name in GoogleSQL."""
        return f"`{self.project}`.`{self.dataset}`.`{self.table}`"

    @property
    def duckdb(self) -> str:
        """The table's name in DuckDB, which has a schema for each dataset."""
        return f'"{self.project}__{self.dataset}"."{self.table}"'


@dataclass(frozen=True)
class CreateObjectTable:
    """A CREATE EXTERNAL TABLE statement for an object table."""

    path: TablePath
    mode: CreateMode
    uris: tuple[str, ...]
    connection: str


def table_path(parts: tuple[str, ...], project: str, default_dataset: str | None) -> TablePath:
    """Return the table that a name of one to three parts refers to.

    Raises:
        QueryError: The name has no dataset, and there is no default dataset.
    """
    if len(parts) == 1 and default_dataset is not None:
        parts = (*default_dataset.split("."), *parts)
    if len(parts) == 1:
        raise QueryError(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).', reason="invalid")
    return TablePath(".".join(parts[:-2]) or project, parts[-2], parts[-1])


def parse_object_table(sql: str, *, project: str, default_dataset: str | None) -> CreateObjectTable | None:
    """Return the statement in ``sql`` if it creates an object table, or None if it is another statement.

    Raises:
        QueryError: The statement creates an object table and is not valid.
    """
    if _HEAD.match(sql) is None or not re.search(r"\bobject_metadata\b", sql, re.IGNORECASE):
        return None
    cursor = Cursor(sql)
    cursor.expect_word("CREATE")
    mode = CreateMode.REPLACE if cursor.take_words("OR", "REPLACE") else CreateMode.CREATE
    cursor.expect_word("EXTERNAL")
    cursor.expect_word("TABLE")
    if cursor.take_words("IF", "NOT", "EXISTS"):
        mode = CreateMode.IF_NOT_EXISTS
    parts, _ = cursor.take_path()
    connection = ""
    if cursor.take_words("WITH"):
        cursor.expect_word("CONNECTION")
        connection = "DEFAULT" if cursor.take_words("DEFAULT") else ".".join(cursor.take_path()[0])
    cursor.expect_word("OPTIONS")
    options = take_options(cursor)
    cursor.expect_end()
    if not connection:
        raise QueryError("An object table needs a connection: WITH CONNECTION is missing.", location="query")
    return CreateObjectTable(table_path(parts, project, default_dataset), mode, _uris(options), connection)


def _uris(options: dict[str, OptionValue]) -> tuple[str, ...]:
    for name in options:
        if name not in _OPTIONS:
            raise QueryError(f"Unknown option: {name.lower()}", location="query")
    if str(options.get("OBJECT_METADATA")).upper() != "SIMPLE":
        raise QueryError("The only value of option object_metadata is 'SIMPLE'.", location="query")
    uris = options.get("URIS")
    if not isinstance(uris, list) or not uris or not all(isinstance(uri, str) for uri in uris):
        raise QueryError("Option uris must be an array of Cloud Storage URIs.", location="query")
    for uri in uris:
        split_uri(str(uri))
    return tuple(str(uri) for uri in uris)


def table_exists(path: TablePath, session: Session) -> bool:
    """Return whether a table or view exists."""
    found = session.connection.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
        [f"{path.project}__{path.dataset}", path.table],
    ).fetchone()
    return bool(found and found[0])


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

    def create(self, statement: CreateObjectTable, session: Session) -> str:
        """Create an object table; return the DDL operation: ``CREATE``, ``REPLACE`` or ``SKIP``.

        Raises:
            QueryError: The dataset does not exist, or the table exists and is not to be replaced.
        """
        path = statement.path
        session.dataset_location(path.project, path.dataset)
        exists = table_exists(path, session)
        if exists and statement.mode is CreateMode.IF_NOT_EXISTS:
            return "SKIP"
        if exists and statement.mode is CreateMode.CREATE:
            raise QueryError(f"Already Exists: Table {path.project}:{path.dataset}.{path.table}", reason="duplicate")
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        session.run(f"CREATE OR REPLACE TABLE {path.sql} ({columns})")
        definition = json.dumps({"uris": statement.uris, "connection": statement.connection}).replace("'", "''")
        session.connection.execute(f"COMMENT ON TABLE {path.duckdb} IS '{_COMMENT_PREFIX}{definition}'")
        self._remember(path.table)
        return "REPLACE" if exists else "CREATE"

    def external_data(self, path: TablePath, connection: duckdb.DuckDBPyConnection) -> dict[str, Any] | None:
        """Return the ``externalDataConfiguration`` of an object table, or None if ``path`` is not one.

        https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#ExternalDataConfiguration
        """
        if path.table not in self._names:
            return None
        found = connection.execute(
            "SELECT comment FROM duckdb_tables() WHERE schema_name = ? AND table_name = ? AND starts_with(comment, ?)",
            [f"{path.project}__{path.dataset}", path.table, _COMMENT_PREFIX],
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

    def uris_by_table(self, session: Session) -> dict[TablePath, tuple[str, ...]]:
        """Return the existing object tables and their URIs."""
        rows = session.connection.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE starts_with(comment, ?)",
            [_COMMENT_PREFIX],
        ).fetchall()
        tables = {}
        for schema, table, comment in rows:
            project, _, dataset = schema.partition("__")
            tables[TablePath(project, dataset, table)] = tuple(
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
            bucket, pattern = split_uri(uri)
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
