"""Runs query jobs, and describes them in dry runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from localcloud.bigquery.base.call_statistics import CallStatistics, statistics_of
from localcloud.bigquery.base.errors import NotFound
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.ml.calls import parseable_calls
from localcloud.bigquery.ml.models.statements import ModelReference
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.queries.accounting import Accounting
from localcloud.bigquery.queries.catalog_views.views import Jobs
from localcloud.bigquery.queries.files.external_definitions import check_definition
from localcloud.bigquery.queries.files.external_statements import create_external_table
from localcloud.bigquery.queries.files.external_tables import ExternalTables
from localcloud.bigquery.queries.files.load_statements import LoadStatements, load_statement
from localcloud.bigquery.queries.previews import Previews
from localcloud.bigquery.queries.runs import Outcome, StatementRuns
from localcloud.bigquery.queries.scripts.texts import is_script, script_type
from localcloud.bigquery.queries.statements import Statements
from localcloud.bigquery.sql.checks.duckdb_only import reject_foreign_names
from localcloud.bigquery.sql.checks.refused_clauses import reject_refused_clauses
from localcloud.bigquery.sql.checks.type_names import reject_unknown_types
from localcloud.bigquery.sql.errors.places import in_rewritten
from localcloud.bigquery.sql.pipes.queries import without_pipes
from localcloud.bigquery.sql.reading.called import plain_calls
from localcloud.bigquery.sql.reading.depth import limit_depth
from localcloud.bigquery.sql.reading.literals import plain_literals
from localcloud.bigquery.sql.reading.piped_calls import without_piped_calls
from localcloud.bigquery.sql.reading.routines.conditional import without_conditions
from localcloud.bigquery.sql.reading.routines.javascript import plain_functions
from localcloud.bigquery.sql.reading.routines.options import without_routine_options
from localcloud.bigquery.sql.reading.statement import TableName, read_statement
from localcloud.bigquery.sql.reading.tokens import without_tail
from localcloud.bigquery.sql.reading.with_expressions import without_with_expressions
from localcloud.bigquery.tables.results import AnonymousTables
from localcloud.bigquery.tables.sessions import Sessions, dataset_of_session
from localcloud.bigquery.tables.writing.destinations import Destinations

# The type of a parameter of a function: https://cloud.google.com/bigquery/docs/user-defined-functions#templated-sql-udf-parameters
_ANY_TYPE = re.compile(r"([(,]\s*(?:\w+|`\w+`))\s+ANY\s+TYPE\b", re.IGNORECASE)


class QueryJobs:
    """Runs query jobs and dry runs."""

    def __init__(
        self,
        learning: MachineLearning,
        destinations: Destinations,
        anonymous: AnonymousTables,
        accounting: Accounting,
        loads: LoadStatements,
        runs: StatementRuns,
        jobs: Jobs,
        sessions: Sessions,
        external: ExternalTables,
    ) -> None:
        """Create the runner with the parts of BigQuery that queries use, and all jobs for INFORMATION_SCHEMA."""
        self._jobs = jobs
        self._sessions = sessions
        self._learning = learning
        self._destinations = destinations
        self._context = destinations.context
        self._anonymous = anonymous
        self._accounting = accounting
        self._previews = Previews(destinations, accounting)
        self._loads = loads
        self._runs = runs
        self._external = external

    def run(self, job: Job) -> None:
        """Run a query job on the calling thread's cursor, and set its rows and statistics.

        Raises:
            QueryError: The query failed.
        """
        limit_depth()
        query = job.configuration["query"]
        outcome = Outcome(statistics={"statementType": read_statement(query["query"], project="").kind})
        calls: Sequence[CallStatistics] = ()
        try:
            statements = self._statements(job)
            calls = statements.model_calls
            written = job.dialect_sql or query["query"]
            sql = _readable(written, statements)
            with in_rewritten(written):
                outcome = self._runs.run(job, sql, statements)
        finally:
            job.statistics = self._accounting.job_statistics(
                job,
                self._context.clock.now(),
                {key: value for key, value in outcome.statistics.items() if value != ""} | statistics_of(calls),
                written=outcome.written,
                children=len(job.children) if outcome.script or job.children else None,
            )
        job.result = outcome.rows
        if outcome.destination is not None:
            query.setdefault("destinationTable", outcome.destination.reference())

    def dry_run(self, job: Job) -> None:
        """Check a query without running it, and set the statistics of the job.

        Raises:
            QueryError: The query is not valid, or names something that does not exist.
        """
        limit_depth()
        query = job.configuration["query"]
        found: dict[str, Any] = {"totalBytesProcessed": "0"}
        statements = self._statements(job, dry_run=True)
        sql = _readable(job.dialect_sql or query["query"], statements)
        script = is_script(sql, in_session=job.session_id is not None)
        load = None if script else load_statement(sql, statements)
        if load is None:
            reject_foreign_names(sql)
        if load is not None:
            self._loads.check(load, statements)
            found |= {"statementType": "LOAD_DATA"}
        elif script:
            found |= {"statementType": script_type(sql), "totalBytesProcessedAccuracy": "UNKNOWN"}
        elif (model := statements.model_statement(sql)) is not None:
            result = self._learning.execute(model, statements, dry_run=True)
            found |= {"statementType": result.statement_type} | result.statistics
        elif create_external_table(sql, statements, self._external, dry_run=True) is not None:
            found |= {"statementType": "CREATE_EXTERNAL_TABLE"}
        else:
            found |= self._previews.statistics(sql, query, statements)
        job.statistics = {"totalBytesProcessed": found["totalBytesProcessed"], "query": found}

    def export_model(self, job: Job, model: dict[str, str], uri: str) -> None:
        """Export a model to a bucket, like EXPORT MODEL. Raises ``QueryError``."""
        name = f"`{model.get('projectId') or job.key.project}.{model['datasetId']}.{model['modelId']}`"
        statements = self._statements(job)
        statement = statements.model_statement(f"EXPORT MODEL {name} OPTIONS(URI = '{uri}')")
        if statement is not None:
            self._learning.execute(statement, statements, dry_run=False)

    def copy_model(self, job: Job, source: TableName, target: TableName, *, replacing: bool) -> bool:
        """Copy a model, for a copy job; return False if ``source`` is not a model.

        Raises:
            QueryError: The dataset of the target does not exist, or the target exists and ``replacing`` is False.
        """
        models = self._learning.models
        reference = ModelReference(source.project, source.dataset, source.table)
        if models.find(reference) is None:
            return False
        location = self.location_of(target.project, target.dataset)
        if location is None:
            raise NotFound(f"Not found: Dataset {target.project}:{target.dataset}")
        copied = ModelReference(target.project, target.dataset, target.table)
        models.copy(reference, copied, replacing=replacing, location=location)
        return True

    def location_of(self, project: str, dataset: str) -> str | None:
        """Return the location of a dataset, or None if it does not exist."""
        meta = self._context.catalog.get_dataset(project, dataset)
        return meta.location if meta is not None else None

    def _statements(self, job: Job, *, dry_run: bool = False) -> Statements:
        query = job.configuration.get("query", {})
        self._anonymous.materialise_mentioned(query.get("query", ""))
        for name, definition in (query.get("tableDefinitions") or {}).items():
            check_definition(definition)
            self._external.define_temporary(name, definition, project=job.key.project, location=job.key.location)
        if job.session_id is not None and "_SESSION" in query.get("query", ""):
            self._anonymous.ensure_dataset(job.key.project, dataset_of_session(job.session_id), job.key.location)
        default = query.get("defaultDataset") or {}
        default_dataset = None
        if default.get("datasetId"):
            default_dataset = f"{default.get('projectId') or job.key.project}.{default['datasetId']}"
        return Statements(
            self._destinations,
            self._learning,
            project=job.key.project,
            default_dataset=default_dataset,
            location=job.key.location,
            parameters=query.get("queryParameters"),
            user=job.user,
            cancelled=job.stopped,
            job_id=job.key.id,
            session_id=job.session_id,
            jobs=self._jobs,
            transactions=self._sessions.transactions(job.session_id),
            dry_run=dry_run,
            refresh=self._external.refresh,
        )


def _readable(sql: str, statements: Statements) -> str:
    """Return a statement or script without what bqemulator's and sqlglot's parsers do not know.

    Raises:
        QueryError: A clause is not supported or its syntax is wrong, or more parameters are given than there are places.
    """
    reject_refused_clauses(sql)
    reject_unknown_types(sql)
    statements.parameters.check_places(sql)
    sql = statements.with_routines(plain_functions(plain_literals(without_tail(sql))))
    sql, conditional = without_conditions(
        parseable_calls(without_pipes(without_piped_calls(without_with_expressions(plain_calls(sql)))))
    )
    statements.conditional_routines |= conditional
    sql, statements.routine_descriptions = without_routine_options(sql)
    if "@`" in sql:
        sql = statements.parameters.named_in(sql)
    return _ANY_TYPE.sub(r"\1 ANY_TYPE", sql) if "ANY" in sql.upper() else sql
