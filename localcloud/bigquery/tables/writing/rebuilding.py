"""Builds a table again with other columns, because DuckDB does not change the type of a column that has a check."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import nullcontext

from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.columns.field_settings import definitions, schema_of
from localcloud.bigquery.tables.columns.keys import keys_of, set_keys
from localcloud.bigquery.tables.partitions import Partitions, settle
from localcloud.bigquery.tables.writing.destinations import Destinations


def rebuild(destinations: Destinations, table: TableName, fields: Sequence[Field]) -> None:
    """Give an existing table the columns of REST fields; its rows are converted by the names of the columns."""
    engine, copy = destinations.engine, f"_rebuilt_{uuid.uuid4().hex}"
    with destinations.writing(table):
        existing = destinations.get(table)
        if existing is None:
            return
        entry = existing.model_copy(
            update={"schema_": schema_of(fields), "last_modified_time": destinations.context.clock.now()}
        )
        with nullcontext() if engine.in_transaction else engine.transaction():
            keys = keys_of(engine, table)
            engine.execute(f'CREATE TEMP TABLE "{copy}" AS SELECT * FROM {table.quoted}')
            engine.execute(f"CREATE OR REPLACE TABLE {table.quoted} ({definitions(fields)})")
            settle(engine, table, Partitions.of(entry))
            engine.execute(f'INSERT INTO {table.quoted} BY NAME SELECT * FROM "{copy}"')
            engine.execute(f'DROP TABLE "{copy}"')
            set_keys(engine, table, keys)
        destinations.context.catalog.update_table(entry)
