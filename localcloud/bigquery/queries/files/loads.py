"""Loads files into a table, for load jobs and LOAD DATA statements."""

from __future__ import annotations

import itertools
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import duckdb
from bqemulator.catalog.models import TableMeta

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.sql.errors.wording import plain
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.columns.field_settings import rest_fields
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.files.detection import detect, with_known
from localcloud.bigquery.tables.files.exporting import split_uri
from localcloud.bigquery.tables.files.file_database import file_database
from localcloud.bigquery.tables.files.loading import FORMATS, TEXT_FORMATS, Files, schema_of
from localcloud.bigquery.tables.files.text_rows import TextRows
from localcloud.bigquery.tables.partitions import split_decorator
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.bigquery.tables.writing.dispositions import Disposition
from localcloud.bigquery.tables.writing.schema_checks import check_fields
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import NotFound as NoObject
from localcloud.storage.rules.resources import StoredObject

_GZIP = b"\x1f\x8b"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(frozen=True)
class Loaded:
    """What a load has done.

    Attributes:
        statistics: The ``statistics.load`` of a job.
        problems: The first bad rows that were left out, as in a job's ``status.errors``.
    """

    statistics: dict[str, str]
    problems: list[dict[str, Any]]


class Loads:
    """Loads files on the calling thread's cursor."""

    def __init__(self, destinations: Destinations, store: ObjectStore) -> None:
        """Load files of ``store``."""
        self._destinations = destinations
        self._engine: Engine = destinations.engine
        self._store = store

    def load(
        self,
        target: TableName,
        disposition: Disposition,
        options: dict[str, Any],
        *,
        location: str,
        upload: Path | None = None,
    ) -> Loaded:
        """Write the rows of files into a table.

        Args:
            target: The table.
            disposition: How to write the table.
            options: The REST ``JobConfigurationLoad``.
            location: The location of the job.
            upload: The uploaded file, which is removed; None loads the objects of ``sourceUris``.

        Returns:
            What was loaded.

        Raises:
            QueryError: A file does not exist or does not match the table, or the table can't be written.
        """
        kind = (options.get("sourceFormat") or "CSV").upper()
        if kind not in FORMATS:
            raise QueryError(
                f"Loading {kind} is not supported by the local BigQuery, which loads {', '.join(FORMATS)}.",
                reason="notImplemented",
            )
        self._destinations.check_target(target, disposition, location)
        existing = self._destinations.get(split_decorator(target)[0])
        with self._files(upload, options) as paths:
            replaces = disposition.write == "WRITE_TRUNCATE" and "$" not in target.table
            files = self._described(paths, kind, options, None if replaces else existing)
            try:
                rows, bad = self._write(files, target, disposition, location)
            except duckdb.Error as error:
                if isinstance(error, duckdb.InterruptException):
                    raise
                self._engine.reject_stopped()
                message = str(error).split("\n")[0]
                for path, uri in paths.items():
                    message = message.replace(str(path), uri or "the file")
                raise QueryError(
                    f"Error while reading data, error message: {plain(message)}", reason="invalid"
                ) from error
            size = sum(path.stat().st_size for path in paths)
        statistics = {
            "inputFiles": str(len(paths)),
            "inputFileBytes": str(size),
            "outputRows": str(rows),
            "outputBytes": str(size),
            "badRecords": str(bad.bad if bad is not None else 0),
        }
        return Loaded(statistics, bad.problems if bad is not None else [])

    def _write(
        self, files: Files, target: TableName, disposition: Disposition, location: str
    ) -> tuple[int, TextRows | None]:
        """Write the rows of files into a table; return their number, and the rows if they were read one by one.

        Raises:
            QueryError: A row is not valid, or does not match the table.
            duckdb.Error: The engine can't read the files.
        """
        if files.quick:
            try:
                written = self._write_quickly(files, target, disposition, location)
            except duckdb.Error as error:
                if files.format not in TEXT_FORMATS or isinstance(error, duckdb.InterruptException):
                    raise
                self._engine.reject_stopped()
                written = None
            if written is not None:
                return written, None
        rows, relation = files.text_rows(), f"loaded_{uuid.uuid4().hex}"
        rows.check()
        self._engine.connection.register(relation, rows)
        try:
            return self._destinations.write(target, files.text_source(relation), disposition, location=location), rows
        finally:
            self._engine.connection.unregister(relation)

    def _write_quickly(self, files: Files, target: TableName, disposition: Disposition, location: str) -> int | None:
        """Write the rows of files as the engine reads them; return None if it would read some wrongly.

        Raises:
            QueryError: The rows do not match the table.
            duckdb.Error: The engine can't read the files, or a value does not have its plainest form.
        """
        relation = f"loaded_{uuid.uuid4().hex}"
        with file_database(files=list(files.paths), avro=files.format == "AVRO") as database:
            rows = files.rows(database)
            if rows is None:
                return None
            self._engine.connection.register(relation, rows)
            try:
                source = files.source(rows, relation)
                return self._destinations.write(target, source, disposition, location=location)
            finally:
                self._engine.connection.unregister(relation)

    @staticmethod
    def _described(paths: dict[Path, str], kind: str, options: dict[str, Any], existing: TableMeta | None) -> Files:
        """Return the files with the schema of their rows: that of the job, else of the table, else what is detected.

        Raises:
            QueryError: There is no schema.
        """
        given = schema_of(options)
        known = rest_fields(existing) if existing is not None and existing.schema_.fields else None
        if given is not None:
            check_fields(given)
            return Files(paths, kind, options, tuple(given))
        if kind not in TEXT_FORMATS:
            return Files(paths, kind, options, None)
        if not options.get("autodetect"):
            if known is None:
                raise QueryError("No schema specified on job or table.", reason="invalid")
            return Files(paths, kind, options, tuple(known))
        found = detect(next(iter(paths)), kind, options)
        return Files(paths, kind, found.options, found.fields if known is None else with_known(found, known))

    @contextmanager
    def _files(self, upload: Path | None, options: dict[str, Any]) -> Iterator[dict[Path, str]]:
        """Yield the uploaded file, or copies of the objects in the buckets, each with its URI."""
        if upload is not None:
            path = upload
            with path.open("rb") as content:
                compressed = content.read(2) == _GZIP
            if compressed:  # DuckDB recognises a compressed file by its name
                path = path.rename(path.with_suffix(".gz"))
            try:
                yield {path: ""}
            finally:
                path.unlink(missing_ok=True)
            return
        uris = options.get("sourceUris") or []
        if not uris:
            raise QueryError("Load configuration must specify at least one source URI", reason="invalid")
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            yield dict(self._fetch(uris, Path(folder)))

    def objects(self, options: dict[str, Any]) -> tuple[tuple[str, int], ...]:
        """Return the names and generations of the objects that a load would read. Raises ``NotFound`` if there are none."""
        return tuple(
            (f"{stored.bucket}/{stored.name}", stored.generation)
            for uri in options.get("sourceUris") or ()
            for stored in self._found(uri)
        )

    def _found(self, uri: str) -> list[StoredObject]:
        """Return the objects of a URI. Raises ``NotFound`` if there are none."""
        bucket, pattern = split_uri(uri)
        try:
            if "*" not in pattern:
                return [self._store.get(bucket, pattern)]
            prefix = pattern.split("*")[0]
            found = [o for o in self._store.list(bucket, prefix) if fnmatchcase(o.name, pattern)]
        except NoObject as error:
            raise NotFound(f"Not found: URI {uri}") from error
        if not found:
            raise NotFound(f"Not found: Files {uri}")
        return found

    def _fetch(self, uris: list[str], folder: Path) -> Iterator[tuple[Path, str]]:
        numbers = itertools.count()
        for uri in uris:
            for stored in self._found(uri):
                # The engine recognises a compressed file by its suffix, but reads `*` in a name as a wildcard, and the file
                # system refuses a long one.
                name = _UNSAFE.sub("_", Path(stored.name).name)[-100:]
                path = folder / f"{next(numbers):06d}-{name}"
                with self._store.open(stored) as content, path.open("wb") as copy:
                    shutil.copyfileobj(content, copy)
                yield path, f"gs://{stored.bucket}/{stored.name}"
