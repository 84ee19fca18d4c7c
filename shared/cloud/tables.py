"""Calls about BigQuery's tables: what they are, how long they are kept, and their deletion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from google.cloud import bigquery

from shared.checks.identifiers import TableName
from shared.cloud.bigquery import BIGQUERY
from shared.errors import Rejected


@dataclass(frozen=True)
class TableFacts:
    """What BigQuery says of a table or view."""

    kind: str
    """``TABLE``, ``VIEW``, ``MATERIALIZED_VIEW``, ``EXTERNAL`` or ``SNAPSHOT``."""
    rows: int
    """The number of rows; 0 for a view."""
    columns: tuple[Mapping[str, Any], ...]
    """The columns, each as a TableFieldSchema."""
    is_partitioned: bool = False
    """Whether the table has partitions, by time or by a range of numbers."""
    needs_filter: bool = False
    """Whether BigQuery reads the table only with a filter on its partitions."""


class Tables:
    """The calls about tables that the functions make."""

    def __init__(self, client: bigquery.Client) -> None:
        """Create the service."""
        self._client = client

    def describe(self, table: TableName, field: str | None = None) -> TableFacts | None:
        """Return what a table is, or None if there is no such table.

        Args:
            table: The table. A partition after a `$` is left out.
            field: The field of the request that a rejection is about.

        Raises:
            Rejected: BigQuery refuses the call, for example because the table may not be read.
            TryLater: BigQuery does not answer.
        """
        try:
            with BIGQUERY.call(field=field) as options:
                found = self._client.get_table(str(table).partition("$")[0], **options)
        except Rejected as error:
            if error.problem.code == "notFound":
                return None
            raise
        columns = tuple(column.to_api_repr() for column in found.schema)
        resource = found.to_api_repr()
        by_time = resource.get("timePartitioning") or {}
        return TableFacts(
            str(found.table_type or "TABLE"),
            int(found.num_rows or 0),
            columns,
            is_partitioned=bool(by_time or resource.get("rangePartitioning")),
            # The older place of the field is beside the column of the partitions.
            needs_filter=bool(resource.get("requirePartitionFilter") or by_time.get("requirePartitionFilter")),
        )

    def keep_until(self, table: TableName, moment: datetime) -> None:
        """Let BigQuery delete a table at ``moment``; a table that does not exist is left out."""
        resource = bigquery.Table(str(table))
        resource.expires = moment
        try:
            with BIGQUERY.call() as options:
                self._client.update_table(resource, ["expires"], **options)
        except Rejected as error:
            if error.problem.code != "notFound":
                raise

    def delete(self, table: TableName) -> None:
        """Delete a table, if it exists."""
        with BIGQUERY.call() as options:
            self._client.delete_table(str(table), not_found_ok=True, **options)
