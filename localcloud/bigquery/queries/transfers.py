"""Load, extract and copy jobs."""

from __future__ import annotations

from typing import Any

import duckdb

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.queries.files.copies import Copies
from localcloud.bigquery.queries.files.loads import Loads
from localcloud.bigquery.queries.queries import QueryJobs
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.files.csv_records import delimiter_of
from localcloud.bigquery.tables.files.exporting import Export, export
from localcloud.bigquery.tables.partitions import VISIBLE_COLUMNS, Partitions, split_decorator
from localcloud.bigquery.tables.row_access import sees_all_rows
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition
from localcloud.storage.objects.store import ObjectStore


class TransferJobs:
    """Runs load, extract and copy jobs."""

    def __init__(self, destinations: Destinations, store: ObjectStore, queries: QueryJobs) -> None:
        """Create the runner; ``queries`` exports and copies models."""
        self._loads = Loads(destinations, store)
        self._copies = Copies(destinations, self._rows_of)
        self._destinations = destinations
        self._queries = queries
        self._engine: Engine = destinations.engine
        self._store = store

    def run(self, job: Job) -> None:
        """Run a load, extract or copy job on the calling thread's cursor. Raises ``QueryError``."""
        match job.configuration["jobType"]:
            case "LOAD":
                self._load(job, job.configuration["load"])
            case "EXTRACT":
                self._extract(job, job.configuration["extract"])
            case _:
                self._copy(job, job.configuration["copy"])

    def _load(self, job: Job, options: dict[str, Any]) -> None:
        if not (options.get("destinationTable") or {}).get("tableId"):
            raise QueryError("Load configuration must specify a destination table", reason="invalid")
        target = TableName.of(options["destinationTable"], job.key.project)
        disposition = Disposition.of(options, write="WRITE_APPEND")
        loaded = self._loads.load(target, disposition, options, location=job.key.location, upload=job.upload)
        job.statistics, job.warnings = {"load": loaded.statistics}, loaded.problems

    # Extract

    def _extract(self, job: Job, options: dict[str, Any]) -> None:
        uris = options.get("destinationUris") or ([options["destinationUri"]] if options.get("destinationUri") else [])
        if not uris:
            raise QueryError("Extract configuration must specify at least one destination URI", reason="invalid")
        if len(uris) > 1:
            raise QueryError(
                "Extract job: more than one destinationUri is not supported by the local BigQuery.",
                reason="notImplemented",
            )
        model = options.get("sourceModel")
        if model:
            self._queries.export_model(job, model, uris[0])
            job.statistics = {"extract": {"destinationUriFileCounts": ["1"]}}
            return
        source = TableName.of(options["sourceTable"], job.key.project)
        rows = self._rows_of(source, job.key.location)
        if not sees_all_rows(self._destinations.context, split_decorator(source)[0], job.user):
            raise QueryError(
                f"Extract job: the part of {source} that row access policies leave is not supported by the local BigQuery. "
                "Use EXPORT DATA.",
                reason="notImplemented",
            )
        target = Export(
            uris[0],
            (options.get("destinationFormat") or "CSV").upper(),
            options.get("compression"),
            options.get("printHeader", True),
            delimiter_of(options) or ",",
        )
        try:
            export(self._engine, self._store, rows, None, target)
        except duckdb.Error as error:
            raise query_error(error, location=job.key.location) from error
        job.statistics = {"extract": {"destinationUriFileCounts": ["1"]}}

    def _rows_of(self, name: TableName, location: str, *, columns: str = VISIBLE_COLUMNS) -> str:
        """Return DuckDB's query of the rows of a table, or of a partition such as ``table$20260101``.

        Raises:
            NotFound: The table does not exist.
            QueryError: The table does not have such a partition.
        """
        table, partition = split_decorator(name)
        self._destinations.reject_external(table)
        existing = self._destinations.get(table)
        if existing is None:
            raise NotFound(f"Not found: Table {name} was not found in location {location}")
        if existing.table_type in ("VIEW", "MATERIALIZED_VIEW"):
            raise QueryError(
                f"{table} is not allowed for this operation because it is currently a {existing.table_type}.",
                reason="invalid",
            )
        if partition is None:
            return f"SELECT {columns} FROM {table.quoted}"
        partitions = Partitions.of(existing)
        if partitions is None:
            raise QueryError(
                f"Cannot read partition information from a table that is not partitioned: {name}", reason="invalid"
            )
        partitions.check_id(table, partition)
        return f"SELECT {columns} FROM {table.quoted} WHERE {partitions.condition(partition)}"

    # Copy

    def _copy(self, job: Job, options: dict[str, Any]) -> None:
        references = options.get("sourceTables") or [options.get("sourceTable") or {}]
        if not all(reference.get("tableId") for reference in references):
            raise QueryError("Copy configuration must specify a source table", reason="invalid")
        sources = [TableName.of(reference, job.key.project) for reference in references]
        for source in sources:
            self._destinations.reject_external(split_decorator(source)[0])
        target = TableName.of(options["destinationTable"], job.key.project)
        replacing = Disposition.of(options).write == "WRITE_TRUNCATE"
        rows = 0
        if not (len(sources) == 1 and self._queries.copy_model(job, sources[0], target, replacing=replacing)):
            rows = self._copies.copy(job, sources, target, options)
        job.statistics = {"copy": {"copiedRows": str(rows), "copiedLogicalBytes": "0"}}
