"""Load, extract and copy jobs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
from bqemulator.api.routes.tables import _table_to_rest
from bqemulator.jobs.executor import execute_copy_job

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.queries.files.loads import Loads
from localcloud.bigquery.queries.queries import QueryJobs
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.sql.tables.partition_clauses import layout_of
from localcloud.bigquery.sql.tables.pseudo_columns import PARTITION_TIME
from localcloud.bigquery.tables.destinations import Destinations
from localcloud.bigquery.tables.dispositions import Disposition, Source
from localcloud.bigquery.tables.engine import Engine, complete
from localcloud.bigquery.tables.files.exporting import Export, export
from localcloud.bigquery.tables.partitions import VISIBLE_COLUMNS, Partitions, split_decorator
from localcloud.bigquery.tables.row_access import check_all_rows, sees_all_rows
from localcloud.storage.objects.store import ObjectStore


class TransferJobs:
    """Runs load, extract and copy jobs."""

    def __init__(self, destinations: Destinations, store: ObjectStore, queries: QueryJobs) -> None:
        """Create the runner; ``queries`` exports and copies models."""
        self._loads = Loads(destinations, store)
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
            options.get("fieldDelimiter") or ",",
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
        if options.get("operationType", "COPY") not in ("COPY", "OPERATION_TYPE_UNSPECIFIED"):
            complete(execute_copy_job(job.key.project, job.key.id, job.configuration, self._destinations.context))
            return
        target = TableName.of(options["destinationTable"], job.key.project)
        replacing = Disposition.of(options).write == "WRITE_TRUNCATE"
        if len(sources) == 1 and self._queries.copy_model(job, sources[0], target, replacing=replacing):
            job.statistics = {"copy": {"copiedRows": "0", "copiedLogicalBytes": "0"}}
            return
        for source in sources:
            check_all_rows(self._destinations.context, split_decorator(source)[0], job.user)
        disposition = Disposition.of(options)
        sql = " UNION ALL BY NAME ".join(self._rows_of(source, job.key.location) for source in sources)
        described = [(row[0], row[1]) for row in self._engine.execute(f"DESCRIBE {sql}").fetchall()]
        first = self._destinations.get(split_decorator(sources[0])[0])
        fields = tuple(_table_to_rest(first).get("schema", {}).get("fields", [])) if first is not None else ()
        # The copy of one table has its partitions.
        partitions = Partitions.of(first) if len(sources) == 1 and "$" not in target.table else None
        if partitions is not None and self._destinations.get(target) is None:
            disposition = replace(disposition, layout=layout_of(partitions.layout))
        timed = partitions is not None and partitions.ingested
        if timed:
            sql = self._rows_of(sources[0], job.key.location, columns=f"{VISIBLE_COLUMNS}, {quote(PARTITION_TIME)}")
        copied = Source(sql, None, tuple(described), fields or None, timed=timed)
        rows = self._destinations.write(target, copied, disposition, location=job.key.location)
        job.statistics = {"copy": {"copiedRows": str(rows), "copiedLogicalBytes": "0"}}
