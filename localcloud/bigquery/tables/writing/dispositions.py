"""How a job writes its table, and the rows that it writes.

https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationQuery (createDisposition, writeDisposition)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field, columns_of, field_of, quote, stored_type
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_TIME

_LAYOUT = ("timePartitioning", "rangePartitioning", "clustering")


@dataclass(frozen=True)
class Disposition:
    """How a job writes its table.

    Attributes:
        create: ``CREATE_IF_NEEDED`` or ``CREATE_NEVER``.
        write: ``WRITE_EMPTY``, ``WRITE_TRUNCATE``, ``WRITE_TRUNCATE_DATA`` or ``WRITE_APPEND``.
        updates: The ``schemaUpdateOptions``: ``ALLOW_FIELD_ADDITION``, ``ALLOW_FIELD_RELAXATION``.
        layout: ``timePartitioning``, ``rangePartitioning`` and ``clustering`` of a created table, as in the REST resource.
        redefines: Whether the layout replaces that of an existing table, as in CREATE OR REPLACE TABLE.
        external: Whether the table is an external one, which only its own files write.
    """

    create: str = "CREATE_IF_NEEDED"
    write: str = "WRITE_EMPTY"
    updates: frozenset[str] = frozenset()
    layout: dict[str, Any] = field(default_factory=dict)
    redefines: bool = False
    external: bool = False

    @classmethod
    def of(cls, configuration: dict[str, Any], *, write: str = "WRITE_EMPTY") -> Disposition:
        """Return the disposition in a job's configuration.

        Args:
            configuration: The REST configuration of a query, load or copy job.
            write: The default of ``writeDisposition``.

        Raises:
            QueryError: A value is not valid, or ``schemaUpdateOptions`` are given without ``WRITE_APPEND``.
        """
        chosen = cls(
            configuration.get("createDisposition") or "CREATE_IF_NEEDED",
            configuration.get("writeDisposition") or write,
            frozenset(configuration.get("schemaUpdateOptions") or ()),
            {key: configuration[key] for key in _LAYOUT if configuration.get(key)},
        )
        if chosen.create not in ("CREATE_IF_NEEDED", "CREATE_NEVER"):
            raise QueryError(f"Invalid value for createDisposition: {chosen.create}", reason="invalid")
        if chosen.write not in ("WRITE_EMPTY", "WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA", "WRITE_APPEND"):
            raise QueryError(f"Invalid value for writeDisposition: {chosen.write}", reason="invalid")
        of_partition = "$" in str((configuration.get("destinationTable") or {}).get("tableId"))
        if (
            chosen.updates
            and chosen.write != "WRITE_APPEND"
            and not (of_partition and chosen.write == "WRITE_TRUNCATE")
        ):
            raise QueryError(
                "Schema update options should only be specified with WRITE_APPEND disposition, or with WRITE_TRUNCATE "
                "disposition on a table partition.",
                reason="invalid",
            )
        return chosen


@dataclass(frozen=True)
class Source:
    """Rows to write.

    Attributes:
        sql: The DuckDB query of the rows.
        values: The values of its placeholders, or None.
        columns: The name and DuckDB type of each column.
        fields: The REST fields from a load job's schema; None derives them from ``columns``.
        once: Whether the query can run only once.
        stored: The DuckDB types of columns that differ from those of their REST types.
        check: Called when the query has run, before its rows are committed. An exception rolls them back.
        timed: Whether the query has one more column, the times of partitions by ingestion time.
    """

    sql: str
    values: list[Any] | None
    columns: tuple[tuple[str, str], ...]
    fields: tuple[Field, ...] | None = None
    once: bool = False
    stored: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[], None] | None = None
    timed: bool = False

    def schema(self) -> list[Field]:
        """Return the REST fields of the rows."""
        return [dict(f) for f in self.fields] if self.fields else [field_of(*column) for column in self.columns]

    def select(self, time: str | None = None) -> str:
        """Return a query of the columns by position, each cast to the type that the table stores.

        Args:
            time: DuckDB's expression of the time of the rows' partition, or None for a table without such a column.
        """
        aliases = ", ".join(f"c{index}" for index in range(len(self.columns) + self.timed))
        declared = (dict(columns_of(self.fields)) if self.fields else {}) | dict(self.stored)
        parts = []
        for index, (name, kind) in enumerate(self.columns):
            parts.append(f"CAST(c{index} AS {declared.get(name) or stored_type(kind)}) AS {quote(name)}")
        if time is not None:
            parts.append(f"{f'c{len(self.columns)}' if self.timed else time} AS {quote(PARTITION_TIME)}")
        return f"SELECT {', '.join(parts)} FROM ({self.sql}) AS source({aliases})"
