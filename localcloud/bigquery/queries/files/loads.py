"""Loads files into a table, for load jobs and LOAD DATA statements."""

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

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.sql.errors.wording import plain
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.destinations import Destinations
from localcloud.bigquery.tables.dispositions import Disposition
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.exporting import split_uri
from localcloud.bigquery.tables.file_database import file_database
from localcloud.bigquery.tables.loading import Files, schema_of
from localcloud.bigquery.tables.partitions import split_decorator
from localcloud.storage.objects.errors import NotFound as NoObject
from localcloud.storage.objects.store import ObjectStore

_GZIP = b"\x1f\x8b"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


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
    ) -> dict[str, str]:
        """Write the rows of files into a table.

        Args:
            target: The table.
            disposition: How to write the table.
            options: The REST ``JobConfigurationLoad``.
            location: The location of the job.
            upload: The uploaded file, which is removed; None loads the objects of ``sourceUris``.

        Returns:
            The ``statistics.load`` of a job.

        Raises:
            QueryError: A file does not exist or does not match the table, or the table can't be written.
        """
        self._destinations.check_target(target, disposition, location)
        existing = self._destinations.get(split_decorator(target)[0])
        with self._files(upload, options) as paths:
            replaces = disposition.write == "WRITE_TRUNCATE" and "$" not in target.table
            fields = self._fields(options, existing, replaces=replaces)
            files = Files(paths, (options.get("sourceFormat") or "CSV").upper(), options, fields)
            try:
                rows, bad = self._write(files, target, disposition, location)
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
        return {
            "inputFiles": str(len(sizes)),
            "inputFileBytes": str(sum(sizes)),
            "outputRows": str(rows),
            "outputBytes": str(sum(sizes)),
            "badRecords": str(bad),
        }

    def _write(self, files: Files, target: TableName, disposition: Disposition, location: str) -> tuple[int, int]:
        """Write the rows of files into a table; return their number and the number of bad rows.

        Raises:
            QueryError: A row is not valid, or does not match the table.
            duckdb.Error: The engine can't read the files.
        """
        if not files.need_text:
            try:
                return self._write_rows(files, target, disposition, location), 0
            except duckdb.Error as error:
                if not files.may_be_text or isinstance(error, duckdb.InterruptException):
                    raise
                self._engine.reject_stopped()
                # It finds the row, or reads values that the engine does not know.
                files.text_rows().check()
        return self._write_text(files, target, disposition, location)

    def _write_text(self, files: Files, target: TableName, disposition: Disposition, location: str) -> tuple[int, int]:
        rows, relation = files.text_rows(), f"loaded_{uuid.uuid4().hex}"
        rows.check()
        self._engine.connection.register(relation, rows)
        try:
            written = self._destinations.write(target, files.text_source(relation), disposition, location=location)
        finally:
            self._engine.connection.unregister(relation)
        return written, rows.bad

    def _write_rows(self, files: Files, target: TableName, disposition: Disposition, location: str) -> int:
        """Write the rows of files as the engine reads them. Raises ``QueryError`` or ``duckdb.Error``."""
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
    def _fields(options: dict[str, Any], existing: TableMeta | None, *, replaces: bool) -> tuple[Field, ...] | None:
        """Return the fields of the rows: those of the job, else of the table; None to detect them in the files."""
        given = schema_of(options)
        if given is not None:
            return tuple(given)
        keeps = not replaces and not options.get("autodetect")
        if (
            existing is not None
            and keeps
            and existing.schema_.fields
            and ((options.get("sourceFormat") or "CSV").upper() in ("CSV", "NEWLINE_DELIMITED_JSON"))
        ):
            return tuple(_table_to_rest(existing)["schema"]["fields"])
        return None

    @contextmanager
    def _files(self, upload: Path | None, options: dict[str, Any]) -> Iterator[tuple[Path, ...]]:
        """Yield the paths of the files: the uploaded file, or copies of the objects in the buckets."""
        if upload is not None:
            path = upload
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
