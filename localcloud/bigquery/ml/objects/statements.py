"""Parses the statements that create and drop object tables.

https://cloud.google.com/bigquery/docs/object-tables
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#drop_external_table_statement
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.importing import split_uri
from localcloud.bigquery.ml.models.options import OptionValue, take_options
from localcloud.bigquery.ml.models.statements import CreateMode
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.reading.tokens import Cursor

_SOURCE = frozenset({"OBJECT_METADATA", "URIS"})
_KEPT = frozenset({"DESCRIPTION", "FRIENDLY_NAME", "LABELS", "EXPIRATION_TIMESTAMP"})
# There is no cache here: each query lists the objects.
# https://cloud.google.com/bigquery/docs/metadata-caching-external-tables
_CACHE = frozenset({"MAX_STALENESS", "METADATA_CACHE_MODE"})
_CACHE_MODES = ("AUTOMATIC", "MANUAL")
_CREATE = re.compile(r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?EXTERNAL\s+TABLE\b", re.IGNORECASE)
_DROP = re.compile(r"\s*DROP\s+EXTERNAL\s+TABLE\b", re.IGNORECASE)


@dataclass(frozen=True)
class CreateObjectTable:
    """A CREATE EXTERNAL TABLE statement for an object table.

    Attributes:
        table: The table.
        mode: What happens if the table exists.
        uris: The objects.
        connection: The connection.
        options: The options that the catalog of tables keeps, with their names in upper case.
    """

    table: TableName
    mode: CreateMode
    uris: tuple[str, ...]
    connection: str
    options: Mapping[str, OptionValue] = field(default_factory=dict)


@dataclass(frozen=True)
class DropExternalTable:
    """A DROP EXTERNAL TABLE statement."""

    table: TableName
    if_exists: bool


ObjectTableStatement = CreateObjectTable | DropExternalTable


def table_name(parts: tuple[str, ...], project: str, default_dataset: str | None) -> TableName:
    """Return the table that a name of one to three parts refers to.

    Raises:
        QueryError: The name has no dataset, and there is no default dataset.
    """
    if len(parts) == 1 and default_dataset is not None:
        parts = (*default_dataset.split("."), *parts)
    if len(parts) == 1:
        raise QueryError(f'Table "{parts[0]}" must be qualified with a dataset (e.g. dataset.table).', reason="invalid")
    return TableName(".".join(parts[:-2]) or project, parts[-2], parts[-1])


def parse_object_table(sql: str, *, project: str, default_dataset: str | None) -> ObjectTableStatement | None:
    """Return the statement in ``sql`` if it creates an object table or drops an external table; None for any other.

    Raises:
        QueryError: It is such a statement and is not valid.
    """
    if _DROP.match(sql) is not None:
        return _drop(Cursor(sql), project, default_dataset)
    if _CREATE.match(sql) is None:
        return None
    if not re.search(r"\bobject_metadata\b", sql, re.IGNORECASE):
        return None  # an external table over files
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
    _check_names(options)
    kept = {name: value for name, value in options.items() if name in _KEPT}
    return CreateObjectTable(table_name(parts, project, default_dataset), mode, _uris(options), connection, kept)


def _drop(cursor: Cursor, project: str, default_dataset: str | None) -> DropExternalTable:
    for word in ("DROP", "EXTERNAL", "TABLE"):
        cursor.expect_word(word)
    if_exists = cursor.take_words("IF", "EXISTS")
    parts, _ = cursor.take_path()
    cursor.expect_end()
    return DropExternalTable(table_name(parts, project, default_dataset), if_exists)


def _check_names(options: Mapping[str, OptionValue]) -> None:
    for name in options:
        if name not in _SOURCE | _KEPT | _CACHE:
            raise QueryError(f"Unknown option: {name.lower()}", location="query")
    cached = str(options.get("METADATA_CACHE_MODE", _CACHE_MODES[0])).upper()
    if cached not in _CACHE_MODES:
        raise QueryError(f"Option metadata_cache_mode must be AUTOMATIC or MANUAL, not {cached}.", location="query")


def _uris(options: Mapping[str, OptionValue]) -> tuple[str, ...]:
    if str(options.get("OBJECT_METADATA")).upper() != "SIMPLE":
        raise QueryError("The only value of option object_metadata is 'SIMPLE'.", location="query")
    uris = options.get("URIS")
    if not isinstance(uris, list) or not uris or not all(isinstance(uri, str) for uri in uris):
        raise QueryError("Option uris must be an array of Cloud Storage URIs.", location="query")
    for uri in uris:
        split_uri(str(uri), "URI")
    return tuple(str(uri) for uri in uris)
