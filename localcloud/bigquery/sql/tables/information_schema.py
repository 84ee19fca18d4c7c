"""The views of INFORMATION_SCHEMA: which there are, and those of a region, which are those of all its datasets.

https://cloud.google.com/bigquery/docs/information-schema-intro
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.sql.reading.tokens import paths

OF_PROJECTS = frozenset({"SCHEMATA"})
OF_DATASETS = frozenset({"COLUMNS", "MATERIALIZED_VIEWS", "PARTITIONS", "ROUTINES", "TABLES", "TABLE_OPTIONS", "VIEWS"})
# bqemulator has this view, BigQuery has not.
_NOWHERE = "ROW_ACCESS_POLICIES"
_REGION = re.compile(r"region-(?P<location>[\w-]+)", re.IGNORECASE)

Datasets = Callable[[str, str], Iterable[str]]
"""Returns the datasets of a project that are in a location."""


def with_datasets(
    sql: str, project: str, default: str | None, location: str, datasets: Datasets, others: Iterable[str] = ()
) -> str:
    """Return GoogleSQL in which every view is of a dataset: that of a region is a query of the views of its datasets.

    Args:
        sql: One statement.
        project: The project of names without one.
        default: The dataset of names without one (``project.dataset`` or ``dataset``), or None.
        location: The location of the job.
        datasets: Finds the datasets of a region.
        others: The names of further views, which are replaced before.

    Raises:
        NotFound: BigQuery does not have a view.
        QueryError: A view is not supported here, or has no dataset.
    """
    if "INFORMATION_SCHEMA" not in sql.upper():
        return sql
    edits = []
    for parts, start, end in paths(sql):
        if len(parts) > 1 and parts[-2].upper() == "INFORMATION_SCHEMA":
            if parts[-1].upper() == _NOWHERE:
                owner = "" if len(parts) > 3 else f"{project}:"
                raise NotFound(f"Not found: Table {owner}{'.'.join(parts)} was not found in location {location}")
            query = _query(parts, project, default, datasets, others)
            if query:
                edits.append((start, end, query))
    for start, end, query in reversed(edits):
        sql = sql[:start] + query + sql[end:]
    return sql


def _query(parts: tuple[str, ...], project: str, default: str | None, datasets: Datasets, others: Iterable[str]) -> str:
    """Return the query in place of a view; empty if the view remains."""
    view = parts[-1].upper()
    if view not in OF_PROJECTS | OF_DATASETS:
        views = ", ".join(sorted({*OF_PROJECTS, *OF_DATASETS, *others}))
        raise QueryError(
            f"INFORMATION_SCHEMA.{view} is not supported by the local BigQuery, which has {views}",
            reason="notImplemented",
        )
    if view in OF_PROJECTS:
        return ""
    if len(parts) == 2:
        if default is None:
            raise QueryError(
                f'Table "INFORMATION_SCHEMA.{view}" must be qualified with a dataset (e.g. dataset.table).',
                location="query",
            )
        return f"{'.'.join(f'`{part}`' for part in default.rsplit('.', 1))}.INFORMATION_SCHEMA.{view}"
    region = _REGION.fullmatch(parts[-3])
    if region is None:
        return ""
    owner = parts[-4] if len(parts) > 3 else project
    # A dataset that does not exist has the columns of the view, and no rows.
    names = sorted(datasets(owner, region["location"])) or ["none"]
    return (
        "(" + " UNION ALL ".join(f"SELECT * FROM `{owner}`.`{name}`.INFORMATION_SCHEMA.{view}" for name in names) + ")"
    )
