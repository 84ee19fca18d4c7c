"""Object tables: the objects under some URIs as the rows of a table, with their content in the pseudo-column ``data``.

A table that is always empty stands for an object table in the database, so that it is listed, described and dropped as
any other; what makes it an object table is kept in its comment, and where a query names it, the objects themselves
are put in its place.

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

import pyarrow as pa

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.session import Session
from localcloud.bigquery.ml.functions import Functions
from localcloud.bigquery.ml.importing import split_uri
from localcloud.bigquery.ml.statements import CreateMode, OptionValue, take_options
from localcloud.bigquery.sql.tokens import Cursor
from localcloud.storage.errors import NotFound as NoObject
from localcloud.storage.resources import StoredObject
from localcloud.storage.store import ObjectStore

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
_MARK = "object table "
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
        """The name in GoogleSQL."""
        return f"`{self.project}`.`{self.dataset}`.`{self.table}`"

    @property
    def duckdb(self) -> str:
        """The name in DuckDB, which has one schema per dataset."""
        return f'"{self.project}__{self.dataset}"."{self.table}"'


@dataclass(frozen=True)
class CreateObjectTable:
    """A CREATE EXTERNAL TABLE statement that makes an object table."""

    path: TablePath
    mode: CreateMode
    uris: tuple[str, ...]
    connection: str


def table_path(parts: tuple[str, ...], project: str, default_dataset: str | None) -> TablePath:
    """Return the table that a name of one to three parts means. Raises ``QueryError`` if it has no dataset."""
    if len(parts) == 1 and default_dataset is not None:
        parts = (*default_dataset.split("."), *parts)
    if len(parts) == 1:
        raise QueryError(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).', reason="invalid")
    return TablePath(".".join(parts[:-2]) or project, parts[-2], parts[-1])


def parse_object_table(sql: str, *, project: str, default_dataset: str | None) -> CreateObjectTable | None:
    """Return the statement that makes an object table, or None if ``sql`` is another.

    Raises:
        QueryError: It makes an object table, but is not valid.
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
    """Tell whether there is a table or view of that name."""
    found = session.connection.execute(
        "SELECT count(*) FROM information_schema.tables WHERE table_schema = ? AND table_name = ?",
        [f"{path.project}__{path.dataset}", path.table],
    ).fetchone()
    return bool(found and found[0])


class ObjectTables:
    """The object tables of a database, over the local Cloud Storage."""

    def __init__(self, store: ObjectStore, functions: Functions, names: Path | None) -> None:
        """Give object tables the objects of ``store``.

        Args:
            store: Where the objects are.
            functions: Where the functions that read them are kept.
            names: The file that remembers which names may be of object tables, or None.
        """
        self._store = store
        self._functions = functions
        self._names_file = names
        self._names: set[str] = set(json.loads(names.read_text())) if names is not None and names.is_file() else set()
        self._lock = threading.Lock()

    def mentioned(self, sql: str) -> bool:
        """Tell whether ``sql`` may name an object table, by a quick look."""
        return any(name in sql for name in self._names)

    def _remember(self, name: str) -> None:
        with self._lock:
            # A new set, so that nobody reads one that changes.
            self._names = self._names | {name}
            if self._names_file is not None:
                self._names_file.write_text(json.dumps(sorted(self._names)))

    def create(self, statement: CreateObjectTable, session: Session) -> str:
        """Make an object table; return what was done: ``CREATE``, ``REPLACE`` or ``SKIP``. Raises ``QueryError``."""
        path = statement.path
        session.dataset_location(path.project, path.dataset)
        there = table_exists(path, session)
        if there and statement.mode is CreateMode.IF_NOT_EXISTS:
            return "SKIP"
        if there and statement.mode is CreateMode.CREATE:
            raise QueryError(f"Already Exists: Table {path.project}:{path.dataset}.{path.table}", reason="duplicate")
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
        session.run(f"CREATE OR REPLACE TABLE {path.sql} ({columns})")
        kept = json.dumps({"uris": statement.uris, "connection": statement.connection}).replace("'", "''")
        session.connection.execute(f"COMMENT ON TABLE {path.duckdb} IS '{_MARK}{kept}'")
        self._remember(path.table)
        return "REPLACE" if there else "CREATE"

    def present(self, session: Session) -> dict[TablePath, tuple[str, ...]]:
        """Return the object tables there are, and their URIs."""
        rows = session.connection.execute(
            "SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE starts_with(comment, ?)", [_MARK]
        ).fetchall()
        tables = {}
        for schema, table, comment in rows:
            project, _, dataset = schema.partition("__")
            tables[TablePath(project, dataset, table)] = tuple(json.loads(comment.removeprefix(_MARK))["uris"])
        return tables

    def query(self, uris: tuple[str, ...], session: Session, *, with_data: bool) -> str:
        """Return a subquery in GoogleSQL that gives the objects as they are when it runs.

        Args:
            uris: Where the objects are.
            session: The job that will run it.
            with_data: Whether it has the pseudo-column ``data`` too.
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
            except NoObject:
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
        bucket, name = split_object(uri)
        try:
            with self._store.open(self._store.get(bucket, name, generation)) as content:
                return content.read()
        except NoObject as error:
            raise QueryError(f"Not found: {uri} changed while it was read.", reason="notFound") from error


def split_object(uri: str) -> tuple[str, str]:
    """Return the bucket and the name of an object."""
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
