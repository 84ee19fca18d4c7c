"""Calls about BigQuery's tables: what they are, how long they are kept, and their deletion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from google.cloud import bigquery

from shared.checks.identifiers import TableName
from shared.cloud.bigquery import BIGQUERY
from shared.errors import Rejected

# How the id of a partition is written: https://docs.cloud.google.com/bigquery/docs/managing-partitioned-table-data
PARTITION_IDS: Mapping[str, tuple[str, str]] = {
    "HOUR": ("%Y%m%d%H", "2026013107"),
    "DAY": ("%Y%m%d", "20260131"),
    "MONTH": ("%Y%m", "202601"),
    "YEAR": ("%Y", "2026"),
}
RANGE = "RANGE"


@dataclass(frozen=True)
class Partitioning:
    """How a table is divided into partitions."""

    unit: str
    """``HOUR``, ``DAY``, ``MONTH`` or ``YEAR``, or ``RANGE`` for ranges of whole numbers."""
    column: str | None = None
    """The column whose values decide; None for the time at which rows are written."""
    numbers: range = range(0)
    """The first numbers of all ranges."""

    @classmethod
    def of(cls, resource: Mapping[str, Any]) -> Self | None:
        """Return the partitioning of a table, given as a Table resource; None if it has none."""
        if by_time := resource.get("timePartitioning"):
            return cls(str(by_time.get("type") or "DAY"), by_time.get("field"))
        if by_number := resource.get("rangePartitioning"):
            numbers = by_number.get("range") or {}
            start, end, interval = (int(numbers.get(name) or 0) for name in ("start", "end", "interval"))
            return cls(RANGE, by_number.get("field"), range(start, end, interval or 1))
        return None

    @property
    def example(self) -> str:
        """The id of a partition."""
        return str(self.numbers.start) if self.unit == RANGE else PARTITION_IDS.get(self.unit, ("", "20260131"))[1]

    def has(self, partition: str) -> bool:
        """Return whether a partition may have this id."""
        if self.unit == RANGE:
            return partition.removeprefix("-").isdecimal() and int(partition) in self.numbers
        form, example = PARTITION_IDS.get(self.unit, ("", ""))
        if not form:  # BigQuery may have further units
            return True
        try:
            datetime.strptime(partition, form)
        except ValueError:
            return False
        return len(partition) == len(example)


@dataclass(frozen=True)
class TableFacts:
    """What BigQuery says of a table or view."""

    kind: str
    """``TABLE``, ``VIEW``, ``MATERIALIZED_VIEW``, ``EXTERNAL`` or ``SNAPSHOT``."""
    rows: int
    """The number of rows; 0 for a view."""
    columns: tuple[Mapping[str, Any], ...]
    """The columns, each as a TableFieldSchema."""
    partitioning: Partitioning | None = None
    """How it is divided into partitions; None if it is not."""
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
            partitioning=Partitioning.of(resource),
            # The older place of the field is beside the column of the partitions.
            needs_filter=bool(resource.get("requirePartitionFilter") or by_time.get("requirePartitionFilter")),
        )

    def has_rows(self, table: TableName, column: Mapping[str, Any], field: str) -> bool:
        """Return whether a table, or a partition of it, has rows.

        The list of rows takes the id of a partition after a `$`, and needs no filter on partitions:
        https://docs.cloud.google.com/bigquery/docs/managing-partitioned-table-data

        Args:
            table: The table, or the partition.
            column: The column to read, as a TableFieldSchema.
            field: The field of the request that a rejection is about.

        Raises:
            Rejected: BigQuery refuses the call, for example because the rows may not be read.
            TryLater: BigQuery does not answer.
        """
        with BIGQUERY.call(field=field) as options:
            schema = [bigquery.SchemaField.from_api_repr(dict(column))]
            rows = self._client.list_rows(str(table), selected_fields=schema, max_results=1, **options)
            return next(iter(rows), None) is not None

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
