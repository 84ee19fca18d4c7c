"""Load, extract and copy jobs."""

from __future__ import annotations

from typing import Any

import duckdb
from bqemulator.api.routes.tables import _table_to_rest
from bqemulator.jobs.executor import execute_copy_job

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.queries.loads import Loads
from localcloud.bigquery.queries.queries import QueryJobs
from localcloud.bigquery.sql.failures import query_error
from localcloud.bigquery.sql.statement import TableName
from localcloud.bigquery.tables.destinations import Destinations, Disposition, Source
from localcloud.bigquery.tables.engine import Engine, complete
from localcloud.bigquery.tables.exporting import Export, export
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
        job.statistics = {"load": loaded}

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
        if self._destinations.get(source) is None:
            raise NotFound(f"Not found: Table {source} was not found in location {job.key.location}")
        if not sees_all_rows(self._destinations.context, source, job.user):
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
            export(self._engine, self._store, f"SELECT * FROM {source.quoted}", None, target)
        except duckdb.Error as error:
            raise query_error(error, location=job.key.location) from error
        job.statistics = {"extract": {"destinationUriFileCounts": ["1"]}}

    # Copy

    def _copy(self, job: Job, options: dict[str, Any]) -> None:
        references = options.get("sourceTables") or [options.get("sourceTable") or {}]
        if not all(reference.get("tableId") for reference in references):
            raise QueryError("Copy configuration must specify a source table", reason="invalid")
        if options.get("operationType", "COPY") not in ("COPY", "OPERATION_TYPE_UNSPECIFIED"):
            complete(execute_copy_job(job.key.project, job.key.id, job.configuration, self._destinations.context))
            return
        sources = [TableName.of(reference, job.key.project) for reference in references]
        target = TableName.of(options["destinationTable"], job.key.project)
        replacing = Disposition.of(options).write == "WRITE_TRUNCATE"
        if len(sources) == 1 and self._queries.copy_model(job, sources[0], target, replacing=replacing):
            job.statistics = {"copy": {"copiedRows": "0", "copiedLogicalBytes": "0"}}
            return
        for source in sources:
            if self._destinations.get(source) is None:
                raise NotFound(f"Not found: Table {source} was not found in location {job.key.location}")
            check_all_rows(self._destinations.context, source, job.user)
        first = self._destinations.get(sources[0])
        fields = tuple(_table_to_rest(first).get("schema", {}).get("fields", [])) if first is not None else ()
        sql = " UNION ALL BY NAME ".join(f"SELECT * FROM {source.quoted}" for source in sources)
        described = self._engine.execute(f"DESCRIBE {sql}").fetchall()
        rows = self._destinations.write(
            target,
            Source(sql, None, tuple((row[0], row[1]) for row in described), fields or None),
            Disposition.of(options),
            location=job.key.location,
        )
        job.statistics = {"copy": {"copiedRows": str(rows), "copiedLogicalBytes": "0"}}
