"""Carries out CREATE TABLE LIKE, COPY and CLONE: the new table has the columns, options, partitions and keys of another one.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_table_like
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_table_copy
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#create_table_clone_statement
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from bqemulator.catalog.etag import generate_etag
from bqemulator.catalog.models import RangePartitioning, TableMeta, TimePartitioning
from sqlglot import exp

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.ml.models.options import OptionValue, take_options
from localcloud.bigquery.ml.objects.statements import table_name
from localcloud.bigquery.queries.definitions.table_options import apply_options, check_options
from localcloud.bigquery.queries.definitions.tables import completed
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.reading.statement import TableName, read_statement
from localcloud.bigquery.sql.reading.tokens import Cursor, parsed
from localcloud.bigquery.sql.tables.partition_clauses import clustering_of, declared_types, partitioning_of, take_layout
from localcloud.bigquery.tables.catalog import NEVER
from localcloud.bigquery.tables.columns.field_settings import definitions, rest_fields
from localcloud.bigquery.tables.columns.keys import keys_of, set_keys
from localcloud.bigquery.tables.partitions import Partitions, settle
from localcloud.bigquery.tables.writing.destinations import target_parts

_MAY_CONCERN = re.compile(r"\bTABLE\b[^(]*?\b(?:LIKE|COPY|CLONE)\b", re.IGNORECASE)
_CLAUSES = ("PARTITION BY", "PARTITION", "CLUSTER BY", "CLUSTER", "OPTIONS", "AS")


@dataclass(frozen=True)
class CopiedTable:
    """A statement that creates a table from another one.

    Attributes:
        target: The new table.
        source: The other table.
        replaces: Whether it replaces an existing table.
        guarded: Whether it leaves an existing table as it is.
        copies_rows: Whether the new table has the rows of the other one.
        is_clone: Whether the statement is CREATE TABLE CLONE.
        moment: The expression of FOR SYSTEM_TIME AS OF, or None.
        layout: PARTITION BY and CLUSTER BY as written; empty to take those of the other table.
        options: The options that differ from those of the other table.
        query: The query of the rows after LIKE, or None.
    """

    target: TableName
    source: TableName
    replaces: bool
    guarded: bool
    copies_rows: bool
    is_clone: bool = False
    moment: str | None = None
    layout: str = ""
    options: dict[str, OptionValue] = field(default_factory=dict)
    query: str | None = None

    @property
    def kind(self) -> str:
        """The type of the statement."""
        return "CREATE_TABLE" if self.query is None else "CREATE_TABLE_AS_SELECT"


def copied_table(sql: str, statements: Statements) -> CopiedTable | None:
    """Return a CREATE TABLE LIKE, COPY or CLONE, or None for any other statement. Raises ``QueryError`` if it is not valid."""
    if _MAY_CONCERN.search(sql) is None:
        return None
    cursor = Cursor(sql)
    if not cursor.take_words("CREATE"):
        return None
    replaces = cursor.take_words("OR", "REPLACE")
    if not cursor.take_words("TABLE"):
        return None
    guarded = cursor.take_words("IF", "NOT", "EXISTS")
    target, _ = cursor.take_path()
    verb = cursor.take()
    if not verb.is_word("LIKE", "COPY", "CLONE"):
        return None
    source, _ = cursor.take_path()
    moment = _moment(cursor) if not verb.is_word("LIKE") else None
    layout = take_layout(cursor)
    options = take_options(cursor) if cursor.take_words("OPTIONS") else {}
    check_options(options)
    query = None
    if verb.is_word("LIKE") and cursor.take_words("AS"):
        start = cursor.peek()
        query = sql[start.start if start else len(sql) :].strip().rstrip(";")
    else:
        cursor.expect_end()
    named = statements.project, statements.default_dataset
    return CopiedTable(
        table_name(target, *named),
        table_name(source, *named),
        replaces,
        guarded,
        not verb.is_word("LIKE"),
        verb.is_word("CLONE"),
        moment,
        layout,
        options,
        query,
    )


def _moment(cursor: Cursor) -> str | None:
    if not cursor.take_words("FOR", "SYSTEM_TIME"):
        return None
    cursor.expect_word("AS")
    cursor.expect_word("OF")
    return _text_until_clause(cursor)


def _text_until_clause(cursor: Cursor) -> str:
    first = last = cursor.take()
    depth = first.is_symbol("(") - first.is_symbol(")")
    while (token := cursor.peek()) is not None and not token.is_symbol(";"):
        if depth == 0 and token.is_word(*_CLAUSES):
            break
        depth += token.is_symbol("(") - token.is_symbol(")")
        last = cursor.take()
    return cursor.sql[first.start : last.end]


def create_copied_table(copied: CopiedTable, statements: Statements) -> str:
    """Create the table and return the operation: ``CREATE``, ``REPLACE`` or ``SKIP``.

    Raises:
        NotFound: The other table or the dataset does not exist.
        QueryError: The table exists, or a clause is not valid.
    """
    destinations = statements.destinations
    source = destinations.get(copied.source)
    if source is None:
        raise NotFound(f"Not found: Table {copied.source} was not found in location {statements.location}")
    destinations.reject_external(copied.source)
    copied.target.check()
    statements.dataset_location(copied.target.project, copied.target.dataset)
    for name, meta in ((copied.source, source), (copied.target, destinations.get(copied.target))):
        if meta is not None and meta.table_type not in ("TABLE", "CLONE", "SNAPSHOT"):
            raise QueryError(
                f"{name} is not allowed for this operation because it is currently a {meta.table_type}.",
                location="query",
            )
    with destinations.writing(copied.target):
        existing = destinations.get(copied.target)
        if existing is not None and copied.guarded:
            return "SKIP"
        if existing is not None and not copied.replaces:
            raise QueryError(f"Already Exists: Table {copied.target}", reason="duplicate")
        if copied.copies_rows and copied.source == copied.target:
            return "REPLACE"
        _create(copied, source, existing, statements)
    return "CREATE" if existing is None else "REPLACE"


def _create(copied: CopiedTable, source: TableMeta, existing: TableMeta | None, statements: Statements) -> None:
    catalog, engine, target = statements.context.catalog, statements.engine, copied.target
    entry = _entry(copied, source, statements)
    keys = keys_of(engine, copied.source)
    try:
        with engine.transaction():
            engine.execute(f"CREATE OR REPLACE TABLE {target.quoted} ({definitions(rest_fields(source))})")
            settle(engine, target, Partitions.of(entry))
            set_keys(engine, target, keys)
            if existing is None:
                catalog.create_table(entry)
            else:
                catalog.update_table(entry.model_copy(update={"expiration_time": entry.expiration_time or NEVER}))
            apply_options(copied.options, target, statements)
            if copied.copies_rows and copied.moment is None:
                engine.execute(f"INSERT INTO {target.quoted} BY NAME SELECT * FROM {copied.source.quoted}")
            elif copied.copies_rows:
                moment = f"{copied.source.sql} FOR SYSTEM_TIME AS OF {copied.moment}"
                statements.run(f"INSERT INTO {target.sql} SELECT * FROM {moment}")
            elif copied.query is not None:
                insert = read_statement(
                    statements.qualify(f"INSERT INTO {target.sql} {copied.query}"), project=statements.project
                )
                statements.run(completed(insert, statements).sql)
    except BaseException:
        if existing is None:
            catalog.delete_table(*target_parts(target), not_found_ok=True)
        else:
            catalog.update_table(existing)
        raise
    statements.context.snapshots.drop_snapshots_for_table(*target_parts(target), include_user=False)


def _entry(copied: CopiedTable, source: TableMeta, statements: Statements) -> TableMeta:
    now = statements.context.clock.now()
    project, dataset, table = target_parts(copied.target)
    changes: dict[str, Any] = {
        "project_id": project,
        "dataset_id": dataset,
        "table_id": table,
        "table_type": "CLONE" if copied.is_clone else "TABLE",
        "base_table": ".".join(target_parts(copied.source)) if copied.is_clone else None,
        "snapshot_time": now if copied.is_clone else None,
        "creation_time": now,
        "last_modified_time": now,
        "etag": generate_etag(project, dataset, table, str(now)),
    }
    if copied.layout:
        tree = parsed(f"CREATE TABLE t ({_columns(source)}) {copied.layout}")
        if not isinstance(tree, exp.Create):
            raise QueryError(f"Syntax error in {copied.layout}", location="query")
        found = partitioning_of(tree, declared_types(tree))
        changes["time_partitioning"] = found if isinstance(found, TimePartitioning) else None
        changes["range_partitioning"] = found if isinstance(found, RangePartitioning) else None
        changes["clustering"] = clustering_of(tree)
    return source.model_copy(update=changes)


def _columns(source: TableMeta) -> str:
    return ", ".join(f"`{each.name}` {each.type}" for each in source.schema_.fields if not each.fields)
