"""Checks what a query of a message reads and calls, also through views and routines, before it runs."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from shared.checks.access import check_readable
from shared.checks.identifiers import (
    ModelName,
    RoutineName,
    TableName,
    is_object_name,
)
from shared.checks.query_guard import check_definition, names_in, paid_call
from shared.cloud.bigquery import BigQueryJobs
from shared.cloud.query_jobs import Analysis
from shared.errors import Rejected
from shared.settings import Settings

# "Queries that reference more than 50 tables will not have a complete list":
# https://docs.cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobStatistics2
MOST_TABLES_LISTED = 50
# Views can be nested to 16 levels: https://docs.cloud.google.com/bigquery/quotas#view_limits
MOST_DEFINITIONS = 200
_POSITION = re.compile(r"(?<=\bat \[)\d+(?=:\d+\])")


def analyse_checked(
    query: str,
    dry_run: Callable[[], Analysis],
    bigquery: BigQueryJobs,
    settings: Settings,
    field: str,
    *,
    inside: str = "",
) -> Analysis:
    """Run a statement dry, and check its query against ``READABLE_DATASETS``, and that it calls no remote model.

    Args:
        query: The query of the message, which the guard accepted.
        dry_run: Runs the statement dry that contains the query.
        bigquery: The calls to BigQuery, for the definitions of views and routines.
        settings: The settings.
        field: The field of the message.
        inside: The statement, which has the query on lines of its own.

    Returns:
        The result of the dry run.

    Raises:
        Rejected: The query is not valid, reads a dataset that it may not read, or asks a model of another service for each
            row. Lines in the message are those of the query.
    """
    models = _Models(bigquery, settings, field)
    models.check(query)
    try:
        analysis = dry_run()
    except Rejected as error:
        problem = error.problem
        raise Rejected(_placed(problem.message, query, inside), field=problem.field, code=problem.code) from error
    _check_datasets(analysis, settings, field)
    models.check_behind([*analysis.tables, *analysis.routines])
    return analysis


def _placed(message: str, query: str, inside: str) -> str:
    """Return BigQuery's message about a statement with the lines of the query that it contains."""
    before, found, _ = inside.partition(query)
    above = before.count("\n")
    if not found or not above:
        return message
    last = above + query.count("\n") + 1
    return _POSITION.sub(lambda line: str(int(line[0]) - above) if above < int(line[0]) <= last else line[0], message)


def _check_datasets(analysis: Analysis, settings: Settings, field: str) -> None:
    if settings.readable_datasets and len(analysis.tables) >= MOST_TABLES_LISTED:
        raise Rejected(
            f"the query reads {MOST_TABLES_LISTED} tables or more, of which BigQuery does not list all, so READABLE_DATASETS "
            "can't be checked; read fewer tables",
            field=field,
            code="dataset_not_allowed",
        )
    for table in analysis.tables:
        check_readable(table.project, table.dataset, settings, field)
    for routine in analysis.routines:
        check_readable(routine.project, routine.dataset, settings, field)


class _Models:
    """Looks for remote models that a query calls, also in the definitions of the views and routines that it uses.

    https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-remote-model
    """

    def __init__(self, bigquery: BigQueryJobs, settings: Settings, field: str) -> None:
        self._bigquery = bigquery
        self._allowed = settings.allow_ai_functions
        self._project = settings.google_cloud_project
        self._field = field
        self._seen: set[TableName | RoutineName] = set()

    def check(self, query: str) -> None:
        """Raise ``Rejected`` if a query calls a remote model."""
        if not self._allowed:
            self.check_behind(self._named(query, self._project))

    def check_behind(self, names: Iterable[TableName | RoutineName]) -> None:
        """Raise ``Rejected`` if one of these views or routines calls a remote model."""
        if self._allowed:
            return
        pending = deque(names)
        while pending:
            name = pending.popleft()
            if name in self._seen:
                continue
            self._seen.add(name)
            if len(self._seen) > MOST_DEFINITIONS:
                raise Rejected(
                    f"the query uses more than {MOST_DEFINITIONS} tables, views and routines, directly or through others",
                    field=self._field,
                    code="invalid_query",
                )
            if isinstance(name, TableName):
                definition, what = self._bigquery.view_query(name), f"the view {name}"
            else:
                definition, what = self._bigquery.routine_body(name), f"the routine {name}"
            if definition:
                check_definition(definition, field=self._field, of=what)
                pending.extend(self._named(definition, name.project, f" in {what}"))

    def _named(self, text: str, project: str, place: str = "") -> list[TableName | RoutineName]:
        """Return the tables and routines that a text names. Raises ``Rejected`` if it names a remote model."""
        names = names_in(text, field=self._field)
        for parts in _full_names(names.models, project):
            model = ModelName(*parts)
            if self._bigquery.remote_endpoint(model):
                raise paid_call(f"the remote model {model}{place}", self._field)
        tables = [TableName(*parts) for parts in _full_names(names.tables, project)]
        return [*tables, *(RoutineName(*parts) for parts in _full_names(names.routines, project))]


def _full_names(paths: Iterable[tuple[str, ...]], project: str) -> Iterator[tuple[str, str, str]]:
    """Yield project, dataset and name of the objects with these paths. Paths that BigQuery has no object for are left out."""
    for path in paths:
        full = (project, *path) if len(path) == 2 else (".".join(path[:-2]), *path[-2:])
        if is_object_name(*full):
            yield full[0], full[1], full[2]
