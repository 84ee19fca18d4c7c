"""Keeps ended jobs on disk, so that they survive a restart.

A job is saved before its state is DONE. If the process is killed before that, the job's changes may be in the database
while the journal has no record of the job. The mark that was committed with the changes (``Engine.transaction``) shows
this after the restart: the job is then saved as DONE. A job without a mark has changed nothing and is dropped.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import duckdb

from localcloud.base.background import Trouble
from localcloud.base.sqlite_file import JournalFile
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import field_of
from localcloud.bigquery.job.job_records import job_of, record_of
from localcloud.bigquery.job.jobs import Job, Rows, milliseconds
from localcloud.bigquery.queries.accounting import Accounting
from localcloud.bigquery.sql.reading.statement import TableName, read_statement
from localcloud.bigquery.sql.reading.statement_types import DML_TYPES
from localcloud.bigquery.tables.engine import Engine
from localcloud.bigquery.tables.partitions import split_decorator, visible_columns
from localcloud.bigquery.tables.results import (
    HIDDEN_DATASETS,
    NO_ROWS,
    AnonymousTables,
    KeptRows,
    RowsInMemory,
    RowsInTable,
)

# https://cloud.google.com/bigquery/docs/managing-jobs
HISTORY = timedelta(days=180)
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    project TEXT NOT NULL, location TEXT NOT NULL, id TEXT NOT NULL, created INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (project, location, id)) WITHOUT ROWID;
"""


class JobJournal(Protocol):
    """The store of ended jobs."""

    def jobs(self, now: datetime) -> list[Job]:
        """Return the saved jobs of the last ``HISTORY``, in the order of their creation."""
        ...

    def save(self, jobs: Iterable[Job]) -> None:
        """Save ended jobs in one transaction."""
        ...

    def remove(self, jobs: Iterable[Job]) -> None:
        """Remove jobs."""
        ...

    def close(self) -> None:
        """Close the store."""
        ...


class NoJournal(JobJournal):
    """Keeps nothing: the jobs are in memory only."""

    def jobs(self, now: datetime) -> list[Job]:
        """Return no jobs."""
        return []

    def save(self, jobs: Iterable[Job]) -> None:
        """Do nothing."""

    def remove(self, jobs: Iterable[Job]) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


class DiskJournal(JobJournal):
    """A SQLite file; each call is one transaction.

    A full disk does not keep a job from its end: its record is stored once there is room again. If the process is killed
    before that, the job's mark shows after the restart what it has changed.
    """

    def __init__(self, directory: Path, engine: Engine, anonymous: AnonymousTables) -> None:
        """Open or create the file in ``directory``.

        Args:
            directory: The folder of the file.
            engine: Reads destination tables, and keeps the marks.
            anonymous: The anonymous tables, whose rows do not survive a restart.
        """
        self._engine = engine
        self._anonymous = anonymous
        self._lock = threading.Lock()
        trouble = Trouble(logging.getLogger(__name__), "the journal of BigQuery's jobs")
        self._file = JournalFile(directory / "jobs.sqlite", _TABLE, trouble=trouble)
        self._database = self._file.database

    def jobs(self, now: datetime) -> list[Job]:
        """Return the saved and the marked jobs of the last ``HISTORY``, in the order of their creation."""
        self._database.execute("DELETE FROM jobs WHERE created < ?", (milliseconds(now - HISTORY),))
        self._save_marked()
        return [
            self._with_rows(job_of(record), record["rows"])
            for record in map(json.loads, self._records("SELECT record FROM jobs ORDER BY created"))
        ]

    def save(self, jobs: Iterable[Job]) -> None:
        """Save ended jobs in one transaction."""
        rows = [
            (*_key(job), milliseconds(job.created), json.dumps(record_of(job) | {"rows": _described(job.result)}))
            for job in jobs
        ]
        sql = "INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)"
        with self._lock:
            self._file.write(lambda database: database.executemany(sql, rows))

    def remove(self, jobs: Iterable[Job]) -> None:
        """Remove jobs in one transaction."""
        keys = [_key(job) for job in jobs]
        sql = "DELETE FROM jobs WHERE project = ? AND location = ? AND id = ?"
        with self._lock:
            self._file.write(lambda database: database.executemany(sql, keys))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def _records(self, sql: str) -> Iterable[str]:
        return (record for (record,) in self._database.execute(sql))

    def _save_marked(self) -> None:
        """Save the jobs that committed changes in a process that was killed before it saved them."""
        marked = {_key(job): job for job in map(job_of, self._engine.start_marking())}
        known = set(self._database.execute("SELECT project, location, id FROM jobs"))
        for key, job in marked.items():
            if key not in known:
                _conclude(job, self._engine)
                self.save([job])
        self._engine.clear_marks()

    def _with_rows(self, job: Job, described: dict[str, Any] | None) -> Job:
        """Set the rows of a restored job, if its destination table still exists."""
        destination = job.configuration.get("query", {}).get("destinationTable") or {}
        match described:
            case {"kept": "table", "fields": fields, **details} if not destination["datasetId"].startswith(
                HIDDEN_DATASETS
            ):
                name, _ = split_decorator(TableName.of(destination, job.key.project))
                job.result = RowsInTable(fields, self._engine, name, str(details.get("where", "")))
            case {"kept": "fields", "fields": fields}:
                job.result = RowsInMemory(fields, NO_ROWS.table)
            case {}:
                job.result = KeptRows(self._anonymous.name_for(job.key), self._anonymous)
        return job


def _key(job: Job) -> tuple[str, str, str]:
    return job.key.project, job.key.location, job.key.id


def _described(rows: Rows | None) -> dict[str, Any] | None:
    """Return where the rows of a job are, so that ``_with_rows`` finds them again."""
    match rows:
        case None:
            return None
        case RowsInTable(fields=fields, where=where):
            return {"kept": "table", "fields": fields, "where": where}
        case RowsInMemory(fields=fields, total=0):
            return {"kept": "fields", "fields": fields}
        case _:
            return {"kept": "nothing"}


def _conclude(job: Job, engine: Engine) -> None:
    """Change a marked job to DONE, with the statistics that its mark allows."""
    ended = job.started or job.created
    kind = str(job.configuration["jobType"]).lower()
    details = job.configuration[kind]
    rows = str(job.written or 0)
    if job.scripted:
        message = "The process ended while the script ran. The changes of its statements are kept."
        error = QueryError(message, reason="stopped")
        job.finish(ended, error)
        return
    match kind:
        case "load":
            job.statistics = {"load": {"outputRows": rows, "badRecords": "0"}}
        case "copy":
            job.statistics = {"copy": {"copiedRows": rows, "copiedLogicalBytes": "0"}}
        case _:
            statement = read_statement(details["query"], project=job.key.project)
            query = {"statementType": statement.kind}
            if statement.kind in DML_TYPES:
                query["numDmlAffectedRows"] = rows
            job.statistics = Accounting.job_statistics(job, ended, query, written=job.written, children=None)
            job.result = NO_ROWS
            if details.get("destinationTable"):
                name, partition = split_decorator(TableName.of(details["destinationTable"], job.key.project))
                if partition is None:
                    with suppress(duckdb.CatalogException):  # dropped since
                        fields = [field_of(*column) for column in visible_columns(engine, name)]
                        job.result = RowsInTable(fields, engine, name)
            elif statement.target is not None:
                details["destinationTable"] = statement.target.reference()
    job.finish(ended)


def open_journal(directory: Path | None, engine: Engine, anonymous: AnonymousTables) -> JobJournal:
    """Return the journal in ``directory``, or one that keeps nothing without a directory."""
    return NoJournal() if directory is None else DiskJournal(directory, engine, anonymous)
