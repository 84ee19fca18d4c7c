"""Keeps jobs on disk once they have ended, so that they survive a restart.

A job is written down before anybody can see that it is DONE. If the process is killed before that, its changes may be in
the database although nothing is written down here; the mark that was committed with them (``Engine.transaction``) tells
it, and the job is entered as the one that made them. A job without a mark has changed nothing and is forgotten.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import duckdb

from localcloud.base.sqlite_file import open_database, transaction
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import field_of
from localcloud.bigquery.job.job_records import job_of, record_of
from localcloud.bigquery.job.jobs import Job, Rows, milliseconds
from localcloud.bigquery.queries.accounting import Accounting
from localcloud.bigquery.sql.statement import DML_TYPES, TableName, read_statement
from localcloud.bigquery.tables.results import (
    HIDDEN_DATASETS,
    NO_ROWS,
    AnonymousTables,
    KeptRows,
    RowsInMemory,
    RowsInTable,
)

if TYPE_CHECKING:
    from localcloud.bigquery.tables.engine import Engine

# https://cloud.google.com/bigquery/docs/managing-jobs
HISTORY = timedelta(days=180)
_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    project TEXT NOT NULL, location TEXT NOT NULL, id TEXT NOT NULL, created INTEGER NOT NULL, record TEXT NOT NULL,
    PRIMARY KEY (project, location, id)) WITHOUT ROWID;
"""


class JobJournal(Protocol):
    """What is told of jobs to whoever keeps them."""

    def jobs(self, now: datetime) -> list[Job]:
        """Return the jobs that were kept, in the order of their creation."""
        ...

    def save(self, jobs: Iterable[Job]) -> None:
        """Keep jobs that have ended, all of them or none."""
        ...

    def remove(self, jobs: Iterable[Job]) -> None:
        """Forget jobs."""
        ...

    def close(self) -> None:
        """Write out what is left."""
        ...


class NoJournal:
    """Keeps nothing: jobs that live in memory."""

    def jobs(self, now: datetime) -> list[Job]:
        return []

    def save(self, jobs: Iterable[Job]) -> None:
        pass

    def remove(self, jobs: Iterable[Job]) -> None:
        pass

    def close(self) -> None:
        pass


class DiskJournal:
    """A SQLite file; each call is one transaction."""

    def __init__(self, directory: Path, engine: Engine, anonymous: AnonymousTables) -> None:
        """Open or create the file in ``directory``.

        Args:
            directory: Where the database is kept.
            engine: Reads the rows of destination tables, and has the marks.
            anonymous: Had the rows of other queries, which are gone after a restart.
        """
        self._engine = engine
        self._anonymous = anonymous
        self._lock = threading.Lock()
        self._database = open_database(directory / "jobs.sqlite", _TABLE)

    def jobs(self, now: datetime) -> list[Job]:
        self._database.execute("DELETE FROM jobs WHERE created < ?", (milliseconds(now - HISTORY),))
        self._enter_marked()
        return [
            self._with_rows(job_of(record), record["rows"])
            for record in map(json.loads, self._records("SELECT record FROM jobs ORDER BY created"))
        ]

    def save(self, jobs: Iterable[Job]) -> None:
        rows = [
            (*_key(job), milliseconds(job.created), json.dumps(record_of(job) | {"rows": _described(job.result)}))
            for job in jobs
        ]
        with self._lock, transaction(self._database):
            self._database.executemany("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?, ?, ?)", rows)

    def remove(self, jobs: Iterable[Job]) -> None:
        with self._lock, transaction(self._database):
            self._database.executemany(
                "DELETE FROM jobs WHERE project = ? AND location = ? AND id = ?", map(_key, jobs)
            )

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def _records(self, sql: str) -> Iterable[str]:
        return (record for (record,) in self._database.execute(sql))

    def _enter_marked(self) -> None:
        """Keep the jobs whose changes are there although the process ended before they were written down."""
        marked = {_key(job): job for job in map(job_of, self._engine.begin_marks())}
        known = set(self._database.execute("SELECT project, location, id FROM jobs"))
        for key, job in marked.items():
            if key not in known:
                _conclude(job, self._engine)
                self.save([job])
        self._engine.clear_marks()

    def _with_rows(self, job: Job, described: dict[str, Any] | None) -> Job:
        """Give a job its rows back, as far as its destination table is kept."""
        destination = job.configuration.get("query", {}).get("destinationTable") or {}
        match described:
            case {"kept": "table", "fields": fields} if not destination["datasetId"].startswith(HIDDEN_DATASETS):
                job.result = RowsInTable(fields, self._engine, TableName.of(destination, job.key.project))
            case {"kept": "fields", "fields": fields}:
                job.result = RowsInMemory(fields, NO_ROWS.table)
            case {}:
                job.result = KeptRows(self._anonymous.name_for(job.key), self._anonymous)
        return job


def _key(job: Job) -> tuple[str, str, str]:
    return job.key.project, job.key.location, job.key.id


def _described(rows: Rows | None) -> dict[str, Any] | None:
    """Return how the rows of a job can be had again."""
    match rows:
        case None:
            return None
        case RowsInTable(fields=fields):
            return {"kept": "table", "fields": fields}
        case RowsInMemory(fields=fields, total=0):
            return {"kept": "fields", "fields": fields}
        case _:
            return {"kept": "nothing"}


def _conclude(job: Job, engine: Engine) -> None:
    """Make a job DONE of which only its mark is known, with what can be told of it."""
    ended = job.started or job.created
    kind = str(job.configuration["jobType"]).lower()
    details = job.configuration[kind]
    rows = str(job.written or 0)
    if job.scripted:
        error = QueryError("The process ended while the script ran; what its statements did stays.", reason="stopped")
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
            job.statistics = Accounting.of_job(job, ended, query, written=job.written, children=None)
            job.result = NO_ROWS
            if details.get("destinationTable"):
                name = TableName.of(details["destinationTable"], job.key.project)
                with suppress(duckdb.CatalogException):  # dropped since
                    described = engine.execute(f"DESCRIBE {name.quoted}").fetchall()
                    job.result = RowsInTable([field_of(*row[:2]) for row in described], engine, name)
            elif statement.target is not None:
                details["destinationTable"] = statement.target.reference()
    job.finish(ended)


def open_journal(directory: Path | None, engine: Engine, anonymous: AnonymousTables) -> JobJournal:
    """Return the journal in ``directory``; without one, what keeps nothing."""
    return NoJournal() if directory is None else DiskJournal(directory, engine, anonymous)
