"""Gives a table another name, for ALTER TABLE RENAME TO.

https://cloud.google.com/bigquery/docs/reference/standard-sql/data-definition-language#alter_table_rename_to_statement
"""

from __future__ import annotations

from bqemulator.catalog.etag import generate_etag

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.writing.destinations import Destinations, target_parts


def rename(destinations: Destinations, table: TableName, name: str) -> None:
    """Give a table another name in its dataset.

    Raises:
        NotFound: The table does not exist.
        QueryError: It is not a table, or there is another one of that name.
    """
    target = TableName(table.project, table.dataset, name)
    target.check()
    with destinations.writing(table), destinations.writing(target):
        existing = destinations.get(table)
        if existing is None:
            raise NotFound(f"Not found: Table {table}")
        if existing.table_type not in ("TABLE", "CLONE"):
            raise QueryError(
                f"ALTER TABLE RENAME TO is not supported for {existing.table_type} {table}", reason="invalid"
            )
        if destinations.get(target) is not None:
            raise QueryError(f"Already Exists: Table {target}", reason="duplicate")
        destinations.engine.execute(f"ALTER TABLE {table.quoted} RENAME TO {quote(name)}")
        now = destinations.context.clock.now()
        changes = {
            "table_id": name,
            "last_modified_time": now,
            "etag": generate_etag(*target_parts(target), str(now)),
        }
        destinations.context.snapshots.drop_snapshots_for_table(*target_parts(table), include_user=False)
        destinations.context.catalog.create_table(existing.model_copy(update=changes))
        destinations.context.catalog.delete_table(*target_parts(table))
