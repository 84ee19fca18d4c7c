"""Partitions of tables: the ids of partitions, the rows of each, and partitioning in REST resources.

A table that is partitioned by ingestion time has a column ``_PARTITIONTIME`` in DuckDB, whose default value is the current
partition. It is not in the table's schema (``sql/tables/pseudo_columns.py``).
https://cloud.google.com/bigquery/docs/partitioned-tables
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bqemulator.catalog.models import RangePartitioning, TableMeta, TimePartitioning

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_DATE, PARTITION_TIME
from localcloud.bigquery.tables.engine import Engine

VISIBLE_COLUMNS = f"COLUMNS(name -> name <> '{PARTITION_TIME}')"
"""All columns of a table in DuckDB but the hidden one, in place of ``*``."""
NULL_PARTITION, UNPARTITIONED = "__NULL__", "__UNPARTITIONED__"
# https://cloud.google.com/bigquery/docs/managing-partitioned-table-data#partition_decorators
_FORMATS = {
    "HOUR": ("%Y%m%d%H", "YYYYMMDDHH"),
    "DAY": ("%Y%m%d", "YYYYMMDD"),
    "MONTH": ("%Y%m", "YYYYMM"),
    "YEAR": ("%Y", "YYYY"),
}
_UNIT_BY_LENGTH = {10: "HOUR", 8: "DAY", 6: "MONTH", 4: "YEAR"}
Layout = TimePartitioning | RangePartitioning


@dataclass(frozen=True)
class Partitions:
    """The partitions of a table."""

    layout: Layout

    @classmethod
    def of(cls, table: TableMeta | None) -> Partitions | None:
        """Return the partitions of a table, or None if it has none."""
        if table is None or table.table_type in ("VIEW", "MATERIALIZED_VIEW"):
            return None
        # The time partitioning of a table with integer ranges holds only whether queries need a filter.
        layout = table.range_partitioning or table.time_partitioning
        return None if layout is None else cls(layout)

    @property
    def unit(self) -> str:
        """The unit of time, or ``RANGE``."""
        return self.layout.type if isinstance(self.layout, TimePartitioning) else "RANGE"

    @property
    def ingested(self) -> bool:
        """Whether the rows are partitioned by the time at which they arrive."""
        return self.layout.field is None

    @property
    def column(self) -> str:
        """The name of the column in DuckDB."""
        return self.layout.field or PARTITION_TIME

    @property
    def filter_columns(self) -> tuple[str, ...]:
        """The columns of which a query needs a filter, if the table requires one, in BigQuery's order."""
        return ("_PARTITION_LOAD_TIME", PARTITION_DATE, PARTITION_TIME) if self.ingested else (self.column,)

    @property
    def specification(self) -> str:
        """The partitioning in BigQuery's error messages, such as ``interval(type:day,field:d)``."""
        if isinstance(self.layout, RangePartitioning):
            span = f"start:{self.layout.start},end:{self.layout.end},interval:{self.layout.interval}"
            return f"range(field:{self.layout.field},{span})"
        named = "" if self.ingested else f",field:{self.column}"
        return f"interval(type:{self.unit.lower()}{named})"

    def id_sql(self) -> str:
        """Return DuckDB's expression of the partition id of a row."""
        column = quote(self.column)
        if isinstance(self.layout, RangePartitioning):
            start, end, interval = self.layout.start, self.layout.end, self.layout.interval
            return (
                f"CASE WHEN {column} IS NULL THEN '{NULL_PARTITION}' "
                f"WHEN {column} < {start} OR {column} >= {end} THEN '{UNPARTITIONED}' "
                f"ELSE CAST({start} + ({column} - ({start})) // {interval} * {interval} AS VARCHAR) END"
            )
        nothing = UNPARTITIONED if self.ingested else NULL_PARTITION
        return f"coalesce(strftime({column}, '{_FORMATS[self.unit][0]}'), '{nothing}')"

    def condition(self, partition: str) -> str:
        """Return DuckDB's condition for the rows of one partition, whose id has passed ``check_id``."""
        return f"{self.id_sql()} = '{partition}'"

    def check_id(self, table: TableName, partition: str) -> None:
        """Reject the id of a partition that the table cannot have. Raises ``QueryError``."""
        if partition == UNPARTITIONED or (partition == NULL_PARTITION and not self.ingested):
            return
        if isinstance(self.layout, RangePartitioning):
            start, interval = self.layout.start, self.layout.interval
            whole = re.fullmatch(r"-?\d+", partition) is not None
            if whole and start <= int(partition) < self.layout.end and (int(partition) - start) % interval == 0:
                return
            form = f"the start of a range: {start}, {start + interval}, ..."
        else:
            pattern, form = _FORMATS[self.unit]
            if partition.isdigit() and len(partition) == len(form) and _is_time(partition, pattern):
                return
        raise QueryError(f"Invalid partition ID {partition!r} of table {table}. It must be {form}", reason="invalid")

    def time_of(self, partition: str | None) -> str:
        """Return DuckDB's expression of the time of a partition by ingestion time; of the current one for None.

        Raises:
            QueryError: The partition is one that cannot be written.
        """
        if partition is None:
            return f"date_trunc('{self.unit.lower()}', now())"
        if partition in (UNPARTITIONED, NULL_PARTITION):
            raise QueryError(f"Cannot write to the partition {partition}", reason="invalid")
        moment = datetime.strptime(partition, _FORMATS[self.unit][0])
        return f"TIMESTAMPTZ '{moment:%Y-%m-%d %H:%M:%S}+00'"


def _is_time(partition: str, pattern: str) -> bool:
    try:
        datetime.strptime(partition, pattern)
    except ValueError:
        return False
    return True


def split_decorator(table: TableName) -> tuple[TableName, str | None]:
    """Return the table and the partition of a name such as ``table$20260101``; no partition for other names."""
    name, sign, partition = table.table.partition("$")
    return TableName(table.project, table.dataset, name), partition if sign else None


def requires_filter(table: TableMeta) -> bool:
    """Return whether each query of a table needs a filter of its partitions."""
    return table.time_partitioning is not None and table.time_partitioning.require_partition_filter


# The hidden column


def settle(engine: Engine, table: TableName, partitions: Partitions | None) -> None:
    """Give a table in DuckDB the hidden column, or remove it, as the partitioning needs it."""
    columns = {str(row[0]) for row in engine.execute(f"DESCRIBE {table.quoted}").fetchall()}
    hidden = quote(PARTITION_TIME)
    if partitions is None or not partitions.ingested:
        if PARTITION_TIME in columns:
            engine.execute(f"ALTER TABLE {table.quoted} DROP COLUMN {hidden}")
        return
    if PARTITION_TIME not in columns:
        engine.execute(f"ALTER TABLE {table.quoted} ADD COLUMN {hidden} TIMESTAMPTZ DEFAULT {partitions.time_of(None)}")
    else:
        engine.execute(f"ALTER TABLE {table.quoted} ALTER COLUMN {hidden} SET DEFAULT {partitions.time_of(None)}")


def visible_columns(engine: Engine, table: TableName) -> list[tuple[str, str]]:
    """Return the name and the DuckDB type of each column of a table but the hidden one."""
    described = engine.execute(f"DESCRIBE {table.quoted}").fetchall()
    return [(str(name), str(kind)) for name, kind, *_ in described if name != PARTITION_TIME]


# REST resources


def layout_of_rest(resource: Mapping[str, Any], existing: TableMeta | None) -> dict[str, Any]:
    """Return the fields of a catalog entry for the partitioning in a REST resource.

    Args:
        resource: A table, or the configuration of a job that creates one.
        existing: The table before; it keeps what the resource does not name.

    Raises:
        QueryError: The partitioning is not valid.
    """
    time = existing.time_partitioning if existing is not None else None
    ranges = existing.range_partitioning if existing is not None else None
    given = resource.get("timePartitioning")
    if given and resource.get("rangePartitioning"):
        raise QueryError("Only one of timePartitioning and rangePartitioning should be specified.", reason="invalid")
    if given:
        unit = str(given.get("type") or "").upper()
        if unit not in _FORMATS:
            raise QueryError(
                f"Invalid value for timePartitioning.type: {given.get('type')!r}. It must be one of {', '.join(_FORMATS)}",
                reason="invalid",
            )
        required = given.get("requirePartitionFilter")
        if required is None:
            required = time is not None and time.require_partition_filter
        time = TimePartitioning.model_validate(
            {
                "type": unit,
                "field": given.get("field") or None,
                "expiration_ms": given.get("expirationMs"),
                "require_partition_filter": bool(required),
            }
        )
    if resource.get("rangePartitioning"):
        ranges = _range_of_rest(resource["rangePartitioning"])
    if resource.get("requirePartitionFilter") is not None:
        required = bool(resource["requirePartitionFilter"])
        if time is None and ranges is None and required:
            raise QueryError("requirePartitionFilter can be set only on partitioned tables.", reason="invalid")
        if time is not None or ranges is not None:
            time = (time or TimePartitioning()).model_copy(update={"require_partition_filter": required})
    return {"time_partitioning": time, "range_partitioning": ranges}


def _range_of_rest(given: Mapping[str, Any]) -> RangePartitioning:
    limits = given.get("range") or {}
    try:
        start, end, interval = (int(limits[name]) for name in ("start", "end", "interval"))
    except (KeyError, TypeError, ValueError) as error:
        raise QueryError(
            "rangePartitioning needs a field, and range.start, range.end and range.interval as integers.",
            reason="invalid",
        ) from error
    if not given.get("field") or interval <= 0 or end <= start:
        raise QueryError(
            "rangePartitioning needs a field, a positive range.interval, and a range.end after range.start.",
            reason="invalid",
        )
    return RangePartitioning(field=given["field"], start=start, end=end, interval=interval)


def complete_resource(body: dict[str, Any], table: TableMeta) -> None:
    """Add to a REST table resource of bqemulator what it does not know: integer ranges, snapshots and clones."""
    if table.table_type in ("SNAPSHOT", "CLONE") and table.base_table:
        project, dataset, base = table.base_table.split(".", 2)
        kind = table.table_type.lower()
        body[f"{kind}Definition"] = {
            "baseTableReference": {"projectId": project, "datasetId": dataset, "tableId": base},
            f"{kind}Time": f"{table.snapshot_time or table.creation_time:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
        # https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#Table (type)
        body["type"] = "SNAPSHOT" if kind == "snapshot" else "TABLE"
    if table.range_partitioning is not None:
        found = table.range_partitioning
        body.pop("timePartitioning", None)
        body["rangePartitioning"] = {
            "field": found.field,
            "range": {"start": str(found.start), "end": str(found.end), "interval": str(found.interval)},
        }
    if requires_filter(table):
        body["requirePartitionFilter"] = True


def new_layout(partition: str | None) -> dict[str, Any]:
    """Return the REST layout of a table that a job creates by writing to ``table$partition``: by ingestion time.

    Raises:
        QueryError: The id does not say how the table is partitioned.
    """
    if partition is None:
        return {}
    unit = _UNIT_BY_LENGTH.get(len(partition), "")
    if not unit or not partition.isdigit() or not _is_time(partition, _FORMATS[unit][0]):
        raise QueryError(f"Invalid partition ID {partition!r}. It must have the form YYYYMMDD", reason="invalid")
    return {"timePartitioning": {"type": unit}}
