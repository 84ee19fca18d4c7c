"""What one running job works with: its own DuckDB cursor, and GoogleSQL translated for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from localcloud.bigquery.base.errors import NotFound

if TYPE_CHECKING:
    import duckdb

    from localcloud.bigquery.queries.statements import Statements


@dataclass(frozen=True)
class Column:
    """A result column: its name and its REST ``TableFieldSchema`` (name, type, mode, fields)."""

    name: str
    field: dict[str, Any]


class Session:
    """One job at work.

    Attributes:
        project: The project that the job runs in, which two-part names are of.
        default_dataset: ``project.dataset`` or ``dataset`` that one-part names are of, or None.
        job_id: The job's id.
        location: Where it runs, as ``US``.
        connection: The job's own DuckDB cursor. Interrupting it ends what it runs.
        statements: What translates and runs statements for the job.
        cancelled: Set when the job was cancelled or ran out of time; long work outside DuckDB looks at it.
    """

    def __init__(
        self,
        *,
        project: str,
        default_dataset: str | None,
        job_id: str,
        location: str,
        connection: duckdb.DuckDBPyConnection,
        statements: Statements,
        locate: Callable[[str, str], str | None],
        cancelled: threading.Event | None = None,
    ) -> None:
        self.project = project
        self.default_dataset = default_dataset
        self.job_id = job_id
        self.location = location
        self.connection = connection
        self.cancelled = cancelled or threading.Event()
        self.statements = statements
        self._locate = locate

    def translate(self, sql: str) -> str:
        """Return the DuckDB SQL that one statement of GoogleSQL without ML functions becomes, table names resolved.

        Raises:
            QueryError: The statement can't be parsed or translated.
        """
        return self.statements.translate(sql)

    def bind(self, duckdb_sql: str) -> tuple[str, list[Any] | None]:
        """Return translated SQL, and the values of the job's query parameters in it."""
        return self.statements.bind(duckdb_sql)

    def describe(self, sql: str) -> list[Column]:
        """Return the result columns of a GoogleSQL query without running it.

        Raises:
            QueryError: It is no valid query, or names what is not there.
        """
        return [Column(field["name"], field) for field in self.statements.describe(sql)]

    def run(self, sql: str) -> None:
        """Run a GoogleSQL statement through the ordinary pipeline, inside this job.

        Raises:
            QueryError: It failed.
        """
        self.statements.run(sql)

    def dataset_location(self, project: str, dataset: str) -> str:
        """Return where a dataset is, as ``US``. Raises ``NotFound``."""
        location = self._locate(project, dataset)
        if location is None:
            raise NotFound(f"Not found: Dataset {project}:{dataset}")
        return location
