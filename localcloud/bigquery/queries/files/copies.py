"""Runs copy jobs: copies of tables, snapshots, clones and restored tables.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationTableCopy
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from bqemulator.api.routes.tables import _table_to_rest
from bqemulator.catalog.models import TableMeta
from bqemulator.jobs.executor import execute_copy_job

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.partition_clauses import layout_of
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_TIME
from localcloud.bigquery.tables.columns.field_settings import rest_fields
from localcloud.bigquery.tables.engine import complete
from localcloud.bigquery.tables.partitions import VISIBLE_COLUMNS, Partitions, split_decorator
from localcloud.bigquery.tables.row_access import check_all_rows
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition, Source
from localcloud.bigquery.tables.writing.schema_checks import updated_schema

RowsOf = Callable[..., str]
_COPIED = ("description", "friendly_name", "labels", "clustering")


class Copies:
    """Copies tables on the calling thread's cursor."""

    def __init__(self, destinations: Destinations, rows_of: RowsOf) -> None:
        """Create the copier; ``rows_of`` returns DuckDB's query of the rows of a table."""
        self._destinations = destinations
        self._engine = destinations.engine
        self._rows_of = rows_of

    def copy(self, job: Job, sources: Sequence[TableName], target: TableName, options: dict[str, Any]) -> int:
        """Copy tables and return the number of rows.

        Args:
            job: The job.
            sources: The tables, or partitions of tables.
            target: The table, or a partition.
            options: The REST ``JobConfigurationTableCopy``.

        Raises:
            NotFound: A table does not exist.
            QueryError: A table can't be copied, or the target can't be written.
        """
        location = job.key.location
        if options.get("operationType", "COPY") not in ("COPY", "OPERATION_TYPE_UNSPECIFIED"):
            return self._operate(job, target, options)
        if options.get("destinationExpirationTime"):
            raise QueryError("destinationExpirationTime needs the operationType SNAPSHOT or CLONE.", reason="invalid")
        for source in sources:
            check_all_rows(self._destinations.context, split_decorator(source)[0], job.user)
        disposition = Disposition.of(options)
        sql = " UNION ALL BY NAME ".join(self._rows_of(source, location) for source in sources)
        described = [(row[0], row[1]) for row in self._engine.execute(f"DESCRIBE {sql}").fetchall()]
        first = self._table(sources[0])
        fields = self._fields(sources, first)
        # The copy of one table has its partitions and its description.
        alone = len(sources) == 1 and "$" not in target.table
        partitions = Partitions.of(first) if alone else None
        is_new = alone and (self._destinations.get(target) is None or disposition.write == "WRITE_TRUNCATE")
        if partitions is not None and self._destinations.get(target) is None:
            disposition = replace(disposition, layout=layout_of(partitions.layout))
        timed = partitions is not None and partitions.ingested
        if timed:
            sql = self._rows_of(sources[0], location, columns=f"{VISIBLE_COLUMNS}, {quote(PARTITION_TIME)}")
        copied = Source(sql, None, tuple(described), fields, timed=timed)
        rows = self._destinations.write(target, copied, disposition, location=location)
        if is_new:
            self._update(target, {name: getattr(first, name) for name in _COPIED})
        return rows

    def _operate(self, job: Job, target: TableName, options: dict[str, Any]) -> int:
        """Make a snapshot or a clone, or restore a table."""
        complete(execute_copy_job(job.key.project, job.key.id, job.configuration, self._destinations.context))
        if options.get("destinationExpirationTime"):
            self._update(target, {"expiration_time": _moment(str(options["destinationExpirationTime"]))})
        return self._destinations.count(target)

    def _update(self, table: TableName, changes: dict[str, Any]) -> None:
        self._destinations.context.catalog.update_table(self._table(table).model_copy(update=changes))

    def _table(self, name: TableName) -> TableMeta:
        found = self._destinations.get(split_decorator(name)[0])
        if found is None:
            raise NotFound(f"Not found: Table {name}")
        return found

    def _fields(self, sources: Sequence[TableName], first: TableMeta) -> tuple[dict[str, Any], ...] | None:
        """Return the REST fields of the tables. Raises ``QueryError`` if they differ."""
        fields = rest_fields(first)
        for other in sources[1:]:
            others = _table_to_rest(self._table(other)).get("schema", {}).get("fields", [])
            updated_schema(sources[0], fields, others, frozenset())
        return tuple(fields) or None


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise QueryError(
            f"Invalid value for destinationExpirationTime: {text}. It must be an RFC 3339 time.", reason="invalid"
        ) from error
