"""The interface between a running job and BigQuery ML: a DuckDB cursor, and GoogleSQL translated for it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb

from localcloud.bigquery.base.call_statistics import CallStatistics
from localcloud.bigquery.base.schema import Field


@dataclass(frozen=True)
class Column:
    """A result column: its name and its REST ``TableFieldSchema`` (name, type, mode, fields)."""

    name: str
    field: Field


class Session(Protocol):
    """One running job.

    Attributes:
        project: The project of the job, and of table names without a project.
        default_dataset: The dataset of table names without one (``project.dataset`` or ``dataset``), or None.
        location: The location of the job, such as ``US``.
        cancelled: Set when the job is cancelled or times out. Long work outside DuckDB checks it.
        model_calls: The calls of functions over generative models, which BigQuery ML adds.
    """

    project: str
    default_dataset: str | None
    location: str
    cancelled: threading.Event
    model_calls: list[CallStatistics]

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The job's own DuckDB cursor. Interrupting it ends the statement that it runs."""
        ...

    def translate(self, sql: str) -> str:
        """Return the DuckDB SQL of one GoogleSQL statement without ML functions, with resolved table names.

        Raises:
            QueryError: The statement can't be parsed or translated.
        """
        ...

    def bind(self, duckdb_sql: str) -> tuple[str, list[Any] | None]:
        """Return translated SQL, and the values of the job's query parameters in it."""
        ...

    def describe(self, sql: str) -> list[Column]:
        """Return the result columns of a GoogleSQL query without running it.

        Raises:
            QueryError: The query is not valid, or names something that does not exist.
        """
        ...

    def run(self, sql: str) -> None:
        """Run a GoogleSQL statement inside this job, as if the client had sent it.

        Raises:
            QueryError: The statement failed.
        """
        ...

    def dataset_location(self, project: str, dataset: str) -> str:
        """Return the location of a dataset, such as ``US``.

        Raises:
            NotFound: The dataset does not exist.
        """
        ...
