"""Load, extract and copy jobs."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import duckdb
from bqemulator.api.routes.tables import _table_to_rest
from bqemulator.catalog.models import TableMeta
from bqemulator.jobs.executor import execute_copy_job

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.queries.queries import QueryJobs
from localcloud.bigquery.sql.failures import query_error
from localcloud.bigquery.sql.statement import TableName
from localcloud.bigquery.sql.wording import plain
from localcloud.bigquery.tables.destinations import Destinations, Disposition, Source
from localcloud.bigquery.tables.engine import Engine, complete
from localcloud.bigquery.tables.exporting import Export, export, split_uri
from localcloud.bigquery.tables.file_database import file_database
from localcloud.bigquery.tables.loading import Files, schema_of
from localcloud.storage.errors import NotFound as NoObject
from localcloud.storage.store import ObjectStore

_GZIP = b"\x1f\x8b"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class TransferJobs:
    """Runs load, extract and copy jobs."""

    def __init__(self, destinations: Destinations, store: ObjectStore, queries: QueryJobs) -> None:
        """Create the runner; ``queries`` exports and copies models."""
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

    # Load

    def _load(self, job: Job, options: dict[str, Any]) -> None:
        if not (options.get("destinationTable") or {}).get("tableId"):
            raise QueryError("Load configuration must specify a destination table", reason="invalid")
        target = TableName.of(options["destinationTable"], job.key.project)
        disposition = Disposition.of(options, write="WRITE_APPEND")
        self._destinations.check_target(target, disposition, job.key.location)
        existing = self._destinations.get(target)
        with self._files(job, options) as paths:
            fields = self._fields(options, existing, disposition)
            files = Files(paths, (options.get("sourceFormat") or "CSV").upper(), options, fields)
            try:
                rows = self._write(files, target, disposition, job.key.location)
            except duckdb.Error as error:
                if isinstance(error, duckdb.InterruptException):
                    raise
                self._engine.reject_stopped()
                message = str(error).split("\n")[0]
                for path in paths:
                    message = message.replace(str(path), path.name.partition("-")[2] or "the file")
                raise QueryError(
                    f"Error while reading data, error message: {plain(message)}", reason="invalid"
                ) from error
            sizes = [path.stat().st_size for path in paths]
        job.statistics = {
            "load": {
                "inputFiles": str(len(sizes)),
                "inputFileBytes": str(sum(sizes)),
                "outputRows": str(rows),
                "outputBytes": str(sum(sizes)),
                "badRecords": "0",
            }
        }

    def _write(self, files: Files, target: TableName, disposition: Disposition, location: str) -> int:
        """Write the rows of files into a table and return their number. Raises ``QueryError`` or ``duckdb.Error``."""
        relation = f"loaded_{uuid.uuid4().hex}"
        with file_database(files=files.paths, avro=files.format == "AVRO") as database:
            rows = files.rows(database)
            self._engine.connection.register(relation, rows)
            try:
                source = files.source(rows, relation)
                return self._destinations.write(target, source, disposition, location=location)
            finally:
                self._engine.connection.unregister(relation)

    @staticmethod
    def _fields(
        options: dict[str, Any], existing: TableMeta | None, disposition: Disposition
    ) -> tuple[Field, ...] | None:
        """Return the fields of the rows: those of the job, else of the table; None to detect them in the files."""
        given = schema_of(options)
        if given is not None:
            return tuple(given)
        keeps = disposition.write != "WRITE_TRUNCATE" and not options.get("autodetect")
        if (
            existing is not None
            and keeps
            and existing.schema_.fields
            and ((options.get("sourceFormat") or "CSV").upper() in ("CSV", "NEWLINE_DELIMITED_JSON"))
        ):
            return tuple(_table_to_rest(existing)["schema"]["fields"])
        return None

    @contextmanager
    def _files(self, job: Job, options: dict[str, Any]) -> Iterator[tuple[Path, ...]]:
        """Yield the paths of the job's files: the uploaded file, or copies of the objects in the buckets."""
        if job.upload is not None:
            path = job.upload
            with path.open("rb") as content:
                compressed = content.read(2) == _GZIP
            if compressed:  # DuckDB recognises a compressed file by its name
                path = path.rename(path.with_suffix(".gz"))
            try:
                yield (path,)
            finally:
                path.unlink(missing_ok=True)
            return
        uris = options.get("sourceUris") or []
        if not uris:
            raise QueryError("Load configuration must specify at least one source URI", reason="invalid")
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            yield tuple(self._fetch(uris, Path(folder)))

    def _fetch(self, uris: list[str], folder: Path) -> Iterator[Path]:
        numbers = itertools.count()
        for uri in uris:
            bucket, pattern = split_uri(uri)
            try:
                if "*" in pattern:
                    prefix = pattern.split("*")[0]
                    found = [o for o in self._store.list(bucket, prefix) if fnmatchcase(o.name, pattern)]
                else:
                    found = [self._store.get(bucket, pattern)]
            except NoObject as error:
                raise NotFound(f"Not found: URI {uri}") from error
            if not found:
                raise NotFound(f"Not found: Files {uri}")
            for stored in found:
                # The engine recognises a compressed file by its suffix, but reads `*` in a name as a wildcard, and the file
                # system refuses a long one.
                name = _UNSAFE.sub("_", Path(stored.name).name)[-100:]
                path = folder / f"{next(numbers):06d}-{name}"
                with self._store.open(stored) as content, path.open("wb") as copy:
                    shutil.copyfileobj(content, copy)
                yield path

    # Extract

    def _extract(self, job: Job, options: dict[str, Any]) -> None:
        uris = options.get("destinationUris") or ([options["destinationUri"]] if options.get("destinationUri") else [])
        if not uris:
            raise QueryError("Extract configuration must specify at least one destination URI", reason="invalid")
        model = options.get("sourceModel")
        if model:
            self._queries.export_model(job, model, uris[0])
            job.statistics = {"extract": {"destinationUriFileCounts": ["1"]}}
            return
        source = TableName.of(options["sourceTable"], job.key.project)
        if self._destinations.get(source) is None:
            raise NotFound(f"Not found: Table {source} was not found in location {job.key.location}")
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
