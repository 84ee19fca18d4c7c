"""Prepares, translates, describes and runs the GoogleSQL statements of one job.

The steps for each statement: add the default dataset to table names without one, inline the views that use models,
rewrite ML functions, translate to DuckDB's SQL (bqemulator), replace table names by DuckDB's. The statements of a script
are prepared one by one, so that each one sees what earlier statements created.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from bqemulator.api.dependencies import AppContext
from bqemulator.domain.errors import DomainError
from bqemulator.jobs.executor import JOB_RESULTS, JOB_SCHEMAS, execute_query_job
from bqemulator.sql.inner_query import rewrite_and_translate_statement
from bqemulator.sql.table_rewriter import rewrite_table_refs
from sqlglot import TokenType, exp

from localcloud.bigquery.base.call_statistics import CallStatistics
from localcloud.bigquery.base.callers import identity_of
from localcloud.bigquery.base.errors import NotFound, QueryError
from localcloud.bigquery.base.schema import Field, field_of
from localcloud.bigquery.base.session import Column, Session
from localcloud.bigquery.ml.calls import with_default_models
from localcloud.bigquery.ml.models.statements import ModelStatement
from localcloud.bigquery.ml.objects.statements import ObjectTableStatement
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.queries.catalog_views.columns import SCHEMA_VIEWS
from localcloud.bigquery.queries.catalog_views.views import CatalogViews, Jobs
from localcloud.bigquery.queries.model_uses import ModelUses
from localcloud.bigquery.queries.statement_checks import StatementChecks
from localcloud.bigquery.queries.system_values import SystemValues
from localcloud.bigquery.sql.errors.failures import query_error
from localcloud.bigquery.sql.errors.syntax import reject_unknown_functions
from localcloud.bigquery.sql.reading.nameless import with_named_columns
from localcloud.bigquery.sql.reading.names import quote_names
from localcloud.bigquery.sql.reading.routines.defaults import with_default_dataset
from localcloud.bigquery.sql.reading.statement import (
    TableName,
    read_statement,
)
from localcloud.bigquery.sql.tables.information_schema import with_datasets
from localcloud.bigquery.sql.tables.session_tables import with_session_tables
from localcloud.bigquery.sql.translation import Translator
from localcloud.bigquery.sql.values.fields import with_fields
from localcloud.bigquery.sql.values.parameters import rest_parameters
from localcloud.bigquery.sql.values.system_variables import replace_system_variables
from localcloud.bigquery.sql.values.unnested import with_unnested_types
from localcloud.bigquery.tables.engine import Engine, complete
from localcloud.bigquery.tables.sessions import dataset_of_session
from localcloud.bigquery.tables.transactions import Transactions
from localcloud.bigquery.tables.writing.destinations import Destinations

_SNAPSHOT = re.compile(r"\bSNAPSHOT\s+(?=TABLE\b)", re.IGNORECASE)


class Statements(Session):
    """The statements of one job, and the job's interface for BigQuery ML.

    Attributes:
        checks: The checks of the job's statements.
        model_uses: The views and functions over models that the statements use.
        conditional_routines: The names of the routines that the job creates only if they do not exist.
        transactions: The transactions of the job or its session.
        routine_descriptions: The descriptions of the routines that the job creates, by their names as written.
    """

    def __init__(
        self,
        destinations: Destinations,
        learning: MachineLearning,
        *,
        project: str,
        default_dataset: str | None,
        location: str,
        parameters: list[dict[str, Any]] | None,
        user: str,
        cancelled: threading.Event,
        job_id: str | None = None,
        session_id: str | None = None,
        jobs: Jobs = tuple,
        transactions: Transactions | None = None,
        dry_run: bool = False,
        refresh: Callable[[str, str], None] = lambda sql, project: None,
    ) -> None:
        """Create the statements of a job.

        Args:
            destinations: The tables.
            learning: BigQuery ML.
            project: The project of the job.
            default_dataset: The dataset of names without one (``project.dataset`` or ``dataset``), or None.
            location: The location of the job.
            parameters: The REST ``QueryParameter`` values, or None.
            user: The e-mail address of the caller.
            cancelled: Set when the job is stopped.
            job_id: The id of the job, or None.
            session_id: The id of the job's session, or None.
            jobs: Returns the jobs that INFORMATION_SCHEMA.JOBS shows.
            transactions: The transactions of the job's session, or None.
            dry_run: Whether statements are described only, so that no model is loaded or called.
            refresh: Reads the files of the external tables again that a statement of a project reads.
        """
        self._refresh = refresh
        self.destinations = destinations
        self.context: AppContext = destinations.context
        self.engine: Engine = destinations.engine
        self.learning = learning
        self.project = project
        self.location = location
        self.parameters = rest_parameters(parameters)
        self.cancelled = cancelled
        self.model_calls: list[CallStatistics] = []
        self.conditional_routines: frozenset[str] = frozenset()
        self.routine_descriptions: dict[str, str] = {}
        self.dry_run = dry_run
        self.caller = identity_of(user)
        self.default_dataset = default_dataset
        self._job_id, self._session_id = job_id, session_id
        self.transactions = transactions or Transactions(of_session=False)
        self._views = CatalogViews(destinations, jobs, project=project, location=location, user=user)
        self._default = _split_dataset(default_dataset, project)
        self.checks = StatementChecks(destinations, self.columns_of, project=project, location=location)
        self.model_uses = ModelUses(
            self.context.catalog,
            learning,
            self.columns_of_source,
            lambda: self.parameters.types_with_texts(),
            project=project,
        )

    @property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """The calling thread's cursor, which is the job's."""
        return self.engine.connection

    def routine_exists(self, name: str) -> bool:
        """Return whether a routine of a dataset exists, by its name without backticks."""
        return name.count(".") in (1, 2) and self.context.catalog.get_routine(*self.routine_name(name)) is not None

    def routine_name(self, name: str) -> tuple[str, str, str]:
        """Return the project, the dataset and the id of a routine, by its name with a dataset."""
        *project, dataset, routine = name.replace("`", "").split(".")
        return project[0] if project else self.project, dataset, routine

    def with_routines(self, sql: str) -> str:
        """Return a statement or script in which the routines of the default dataset have their full names."""
        if self._default is None:
            return sql
        routines = self.context.catalog.list_routines(*self._default)
        return with_default_dataset(sql, self._default, (routine.routine_id for routine in routines))

    def describe_routine(self, name: str) -> None:
        """Give a routine that the job has created its description."""
        name = name.replace("`", "")
        parts = name.split(".")
        description = self.routine_descriptions.get(name)
        if description is None or len(parts) not in (2, 3):
            return
        routine = self.context.catalog.get_routine(*(parts if len(parts) == 3 else (self.project, *parts)))
        if routine is not None:
            self.context.catalog.update_routine(routine.model_copy(update={"description": description}))

    def _datasets_in(self, project: str, location: str) -> Iterator[str]:
        for dataset in self.context.catalog.list_datasets(project):
            if dataset.location.lower() == location.lower() and not dataset.dataset_id.startswith("_"):
                yield dataset.dataset_id

    def dataset_location(self, project: str, dataset: str) -> str:
        """Return the location of a dataset, such as ``US``. Raises ``NotFound``."""
        found = self.context.catalog.get_dataset(project, dataset)
        if found is None:
            raise NotFound(f"Not found: Dataset {project}:{dataset}")
        return found.location

    def model_statement(self, sql: str) -> ModelStatement | ObjectTableStatement | None:
        """Return ``sql`` as a statement about a model or an object table, or None. Raises ``QueryError``."""
        named = quote_names(self.parameters.named_in(sql))
        return self.learning.parse(named, project=self.project, default_dataset=self.default_dataset)

    # Preparing

    def prepare(self, sql: str) -> str:
        """Return GoogleSQL that bqemulator can translate: qualified, without ML functions and views that use models.

        Raises:
            QueryError: The name of a table is not valid, or an ML function or a system variable is not valid or not
                supported.
        """
        sql = self._views.replaced(sql, self.default_dataset)
        sql = with_datasets(sql, self.project, self.default_dataset, self.location, self._datasets_in, SCHEMA_VIEWS)
        sql = self.parameters.named_in(replace_system_variables(sql, self.system.literals()))
        sql = self.qualify(with_fields(with_unnested_types(sql, self.parameters.values), self.parameters.values))
        self.checks.check(sql)
        if not self.dry_run:
            self._refresh(sql, self.project)
        sql = with_named_columns(read_statement(sql, project=self.project))
        sql = self.parameters.literal_times(self.model_uses.inlined(sql))
        if self.learning.uses_models(sql):
            sql = self.learning.rewrite(sql, self, dry_run=self.dry_run)
            reject_unknown_functions(sql)
        return sql

    @property
    def system(self) -> SystemValues:
        """The values of system variables."""
        return SystemValues(self.project, self.location, self._default, self._job_id, self._session_id)

    def use_dataset(self, project: str, dataset: str | None) -> None:
        """Make a dataset that of table names without one, or none."""
        self.default_dataset = None if dataset is None else f"{project}.{dataset}"
        self._default = _split_dataset(self.default_dataset, project)

    def qualify(self, sql: str) -> str:
        """Return ``sql`` in a form that sqlglot can parse, with the default dataset added to tables and models without one."""
        session = None if self._session_id is None else f"`{self.project}`.`{dataset_of_session(self._session_id)}`"
        sql = with_session_tables(sql, session)
        statement = read_statement(sql, project=self.project)
        sql, names = statement.sql, statement.unqualified
        if self._default is None:
            return sql
        prefix = "`{}`.`{}`.".format(*self._default)
        if not names:
            return with_default_models(sql, prefix)
        temporary = {
            row[0].lower()
            for row in self.engine.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()
        }
        if isinstance(statement.tree, exp.Create) and statement.is_temporary:
            temporary.add(names[0].name.lower())  # the new table
        for name in sorted(names, key=lambda found: found.start, reverse=True):
            if name.name.lower() not in temporary:
                sql = sql[: name.start] + prefix + sql[name.start :]
        return with_default_models(sql, prefix)

    def columns_of(self, table: exp.Table) -> frozenset[str]:
        """Return the names of a table's columns in lower case; none if the table does not exist."""
        meta = self.context.catalog.get_table(table.catalog or self.project, table.db, table.name)
        return frozenset() if meta is None else frozenset(f.name.lower() for f in meta.schema_.fields)

    def columns_of_source(self, source: exp.Table) -> frozenset[str]:
        """Return the names of the columns of a table, a temporary table or a call of a table function, in lower case."""
        if known := self.columns_of(source):
            return known
        source = source.copy()
        for clause in ("joins", "laterals", "pivots", "sample"):
            source.set(clause, None)
        try:
            with self.describing():
                described = self.describe(exp.select("*").from_(source).sql(dialect="bigquery"))
        except QueryError:
            return frozenset()
        return frozenset(column.name.lower() for column in described)

    @contextmanager
    def describing(self) -> Iterator[None]:
        """Load no model in the ``with`` block, and do not count its calls as calls of the statement."""
        counted, dry_run = self.model_calls, self.dry_run
        self.model_calls, self.dry_run = [], True
        try:
            yield
        finally:
            self.model_calls, self.dry_run = counted, dry_run

    # Translating

    def translate(self, sql: str) -> str:
        """Return the DuckDB SQL of one statement without ML functions. Raises ``QueryError``."""
        return self._translate(self.qualify(sql), sql)

    def translate_prepared(self, sql: str, original: str) -> str:
        """Return the DuckDB SQL of a prepared statement. Errors have positions in ``original``. Raises ``QueryError``."""
        return self._translate(sql, original)

    def _translate(self, sql: str, original: str) -> str:
        try:
            translated = complete(
                rewrite_and_translate_statement(
                    sql,
                    project_id=self.project,
                    ctx=self.context,
                    caller=self.caller,
                    translator=Translator(self.parameters.types()),
                )
            )
            duckdb_sql = _without_alias_traps(rewrite_table_refs(translated, self.project))
        except DomainError as error:
            raise query_error(error, sql=original, location=self.location) from error
        transaction = self.transactions.active
        if transaction is None:
            return duckdb_sql
        transaction.check_views(read_statement(sql, project=self.project).tables)
        return transaction.redirected(duckdb_sql)

    def bind(self, duckdb_sql: str) -> tuple[str, list[Any] | None]:
        """Return translated SQL, and the values of the job's query parameters in it."""
        bound, values = self.parameters.bind(duckdb_sql)
        return bound, values or None

    # Calls of functions over generative models

    def check_calls(self) -> None:
        """Raise ``QueryError`` if more rows of a call have failed than may."""
        for call in self.model_calls:
            call.check()

    @contextmanager
    def checking_calls(self, target: TableName | None) -> Iterator[None]:
        """Undo the changes of the ``with`` block to ``target`` if more rows of a call fail than may.

        Raises:
            QueryError: More rows have failed.
        """
        if not any(call.is_limited for call in self.model_calls):
            yield
            return
        catalog = self.context.catalog
        existing = None if target is None else self.destinations.get(target)
        try:
            with self.engine.transaction():
                yield
                self.check_calls()
        except QueryError:
            if existing is not None:
                catalog.update_table(existing)
            elif target is not None:
                catalog.delete_table(target.project, target.dataset, target.table, not_found_ok=True)
            raise

    # Describing and running

    def describe(self, sql: str) -> list[Column]:
        """Return the columns of a query's result without running it. Raises ``QueryError``."""
        duckdb_sql = self._translate(self.prepare(sql), sql)
        return [Column(name, field_of(name, kind)) for name, kind in self.columns(duckdb_sql, sql)]

    def columns(self, duckdb_sql: str, original: str) -> list[tuple[str, str]]:
        """Return the name and DuckDB type of each result column without running the query. Raises ``QueryError``."""
        bound, values = self.bind(duckdb_sql)
        try:
            return [(row[0], row[1]) for row in self.engine.execute(f"DESCRIBE {bound}", values).fetchall()]
        except Exception as error:
            raise query_error(error, sql=original, duckdb_sql=duckdb_sql, location=self.location) from error

    def run(self, sql: str) -> None:
        """Run one statement and ignore its rows. Raises ``QueryError``."""
        self.execute(self.prepare(sql), sql)

    def execute(self, prepared: str, original: str) -> tuple[pa.Table, list[Field], dict[str, Any]]:
        """Run one prepared statement in bqemulator's executor.

        Returns:
            The rows, their REST fields, and bqemulator's ``statistics.query``.

        Raises:
            QueryError: The statement failed.
        """
        # bqemulator keeps results by job id alone, so the id has to be unique across projects and locations.
        job_id = uuid.uuid4().hex
        given: Any = self.parameters  # `translation` replaces the function that binds them
        try:
            meta = complete(execute_query_job(self.project, job_id, prepared, given, self.context, caller=self.caller))
            table = JOB_RESULTS.pop(job_id)
            return table, JOB_SCHEMAS.pop(job_id, []), dict(meta.statistics.get("query", {}))
        except Exception as error:
            raise query_error(
                error, sql=original, duckdb_sql=self.names_in_engine(prepared), location=self.location
            ) from error
        finally:
            JOB_RESULTS.pop(job_id, None)
            JOB_SCHEMAS.pop(job_id, None)

    def names_in_engine(self, sql: str) -> str:
        """Return DuckDB's full names of the statement's tables, to complete table names in its messages."""
        return " ".join(name.quoted for name in read_statement(sql, project=self.project).tables)


def _split_dataset(name: str | None, project: str) -> tuple[str, str] | None:
    if not name:
        return None
    parts = name.split(".")
    return (parts[0], parts[1]) if len(parts) > 1 else (project, parts[0])


def _without_alias_traps(duckdb_sql: str) -> str:
    """Return the SQL with ``now()`` for CURRENT_TIMESTAMP, which DuckDB reads as a column if there is an alias of that name."""
    if "CURRENT_TIMESTAMP" not in duckdb_sql:
        return duckdb_sql
    for token in reversed(sqlglot.tokenize(duckdb_sql, read="duckdb")):
        if token.token_type is TokenType.CURRENT_TIMESTAMP:
            duckdb_sql = f"{duckdb_sql[: token.start]}now(){duckdb_sql[token.end + 1 :].removeprefix('()')}"
    return duckdb_sql
