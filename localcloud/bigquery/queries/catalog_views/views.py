"""Replaces the views that the engine does not have by temporary tables with their rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
from bqemulator.catalog.models import DatasetMeta

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import quote
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.queries.catalog_views.columns import COLUMNS, OF_JOBS, OF_PROJECTS
from localcloud.bigquery.queries.catalog_views.jobs import job_rows
from localcloud.bigquery.queries.catalog_views.tables import dataset_rows, routine_rows, table_rows
from localcloud.bigquery.sql.reading.tokens import paths
from localcloud.bigquery.sql.tables.information_schema import OF_DATASETS
from localcloud.bigquery.tables.writing.destinations import Destinations

_MAY_CONCERN = re.compile(r"INFORMATION_SCHEMA|__TABLES", re.IGNORECASE)
_REGION = re.compile(r"region-(?P<location>[\w-]+)", re.IGNORECASE)
_DEFINES = re.compile(r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:MATERIALIZED\s+)?VIEW\b", re.IGNORECASE)

Jobs = Callable[[], Iterable[Job]]
"""Returns all jobs in the order of their creation."""


class CatalogViews:
    """The views that one job reads."""

    def __init__(self, destinations: Destinations, jobs: Jobs, *, project: str, location: str, user: str) -> None:
        """Create the views.

        Args:
            destinations: The tables.
            jobs: Returns the jobs.
            project: The project of names without one.
            location: The location of the job.
            user: The e-mail address of the caller.
        """
        self._destinations = destinations
        self._catalog = destinations.context.catalog
        self._jobs = jobs
        self._project = project
        self._location = location
        self._user = user

    def replaced(self, sql: str, default_dataset: str | None) -> str:
        """Return a statement with temporary tables in place of the views.

        Raises:
            NotFound: The dataset of a view does not exist.
            QueryError: A view has no dataset, or the statement defines a view over it.
        """
        if _MAY_CONCERN.search(sql) is None:
            return sql
        edits: list[tuple[int, int, str]] = []
        for parts, start, end in paths(sql):
            view = parts[-1].upper()
            is_schema = len(parts) > 1 and parts[-2].upper() == "INFORMATION_SCHEMA"
            if is_schema and view in OF_DATASETS and len(parts) > 2:
                self._datasets(view, parts[:-2])  # a dataset that does not exist has no views
            if view not in COLUMNS or is_schema == view.startswith("__"):
                continue
            if _DEFINES.match(sql):
                if view in OF_DATASETS:
                    continue  # bqemulator inlines its own rows whenever the new view is read
                raise QueryError(
                    f"Views over {view} are not supported by the local BigQuery",
                    reason="notImplemented",
                    location="query",
                )
            scope = parts[:-2] if is_schema else parts[:-1]
            edits.append((start, end, self._table(view, scope, default_dataset)))
        for start, end, name in reversed(edits):
            sql = f"{sql[:start]}`{name}`{sql[end:]}"
        return sql

    def _table(self, view: str, scope: tuple[str, ...], default_dataset: str | None) -> str:
        """Create a temporary table with the rows of a view, and return its name."""
        if not scope and view not in OF_PROJECTS:
            if default_dataset is None:
                name = view if view.startswith("__") else f"INFORMATION_SCHEMA.{view}"
                raise QueryError(
                    f'Table "{name}" must be qualified with a dataset (e.g. dataset.table).', location="query"
                )
            scope = tuple(default_dataset.rsplit(".", 1))
        name = "_".join(("_view", view.strip("_").lower(), *scope)).replace("-", "_")
        schema = pa.schema(list(COLUMNS[view].items()))
        columns = set(schema.names)
        rows = [{key: value for key, value in row.items() if key in columns} for row in self._rows(view, scope)]
        connection = self._destinations.engine.connection
        connection.register("_view_rows", pa.Table.from_pylist(rows, schema))
        try:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {quote(name)} AS SELECT * FROM _view_rows")
        finally:
            connection.unregister("_view_rows")
        return name

    def _rows(self, view: str, scope: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        if view in OF_JOBS:
            region = _REGION.fullmatch(scope[-1]) if scope else None
            location = (region["location"] if region else self._location).lower()
            project = scope[-2] if len(scope) > 1 else self._project
            yield from job_rows(
                job
                for job in self._jobs()
                if job.key.project == project
                and job.key.location.lower() == location
                and (view != "JOBS_BY_USER" or job.user == self._user)
            )
            return
        for dataset in self._datasets(view, scope):
            if view == "SCHEMATA_OPTIONS":
                yield from dataset_rows(dataset)
            elif view in ("PARAMETERS", "ROUTINE_OPTIONS"):
                for routine in self._catalog.list_routines(dataset.project_id, dataset.dataset_id):
                    yield from routine_rows(view, routine)
            else:
                for table in self._catalog.list_tables(dataset.project_id, dataset.dataset_id):
                    yield from table_rows(view, table, self._destinations)

    def _datasets(self, view: str, scope: tuple[str, ...]) -> list[DatasetMeta]:
        region = _REGION.fullmatch(scope[-1]) if scope else None
        project = scope[-2] if len(scope) > 1 else self._project
        if region is None and scope and not (view in OF_PROJECTS and len(scope) == 1 and scope[0] == self._project):
            dataset = self._catalog.get_dataset(project, scope[-1])
            if dataset is None:
                raise NotFound(f"Not found: Dataset {project}:{scope[-1]} was not found in location {self._location}")
            return [dataset]
        location = (region["location"] if region else self._location).lower()
        return [
            dataset
            for dataset in self._catalog.list_datasets(project)
            if dataset.location.lower() == location and not dataset.dataset_id.startswith("_")
        ]
