"""The local BigQuery service: creates its parts and serves REST and gRPC."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import grpc
from bqemulator.versioning.materialized_views import clear_subscriptions_for_context

from localcloud.base.asgi import ASGIApp
from localcloud.base.clock import Clock
from localcloud.base.http import HttpServer
from localcloud.bigquery.base.connections import Connections
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.base.schema import Field
from localcloud.bigquery.job.history import JobHistory
from localcloud.bigquery.job.jobs import Job
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.queries.accounting import Accounting
from localcloud.bigquery.queries.files.external_tables import ExternalTables
from localcloud.bigquery.queries.files.load_statements import LoadStatements
from localcloud.bigquery.queries.queries import QueryJobs
from localcloud.bigquery.queries.reading import Reading
from localcloud.bigquery.queries.runs import StatementRuns
from localcloud.bigquery.queries.transfers import TransferJobs
from localcloud.bigquery.rest.app import BigQueryApp
from localcloud.bigquery.rest.connection_methods import ConnectionMethods
from localcloud.bigquery.rest.delegate import Delegate
from localcloud.bigquery.rest.model_methods import ModelMethods
from localcloud.bigquery.rest.reservation_methods import ReservationMethods
from localcloud.bigquery.rest.reservations import Reservations
from localcloud.bigquery.rest.row_methods import RowMethods
from localcloud.bigquery.rest.storage_api import serve_storage_api
from localcloud.bigquery.rest.table_methods import TableMethods
from localcloud.bigquery.rest.uploads import Uploads
from localcloud.bigquery.running.job_journal import open_journal
from localcloud.bigquery.running.quotas import Quotas
from localcloud.bigquery.running.service import JobService
from localcloud.bigquery.sql.reading.depth import allow_depth
from localcloud.bigquery.sql.reading.statement import TableName
from localcloud.bigquery.tables.context import close_context, engine_of, open_context
from localcloud.bigquery.tables.facade import Tables
from localcloud.bigquery.tables.results import AnonymousTables
from localcloud.bigquery.tables.sessions import Sessions
from localcloud.bigquery.tables.sizes import Sizes
from localcloud.bigquery.tables.transactions import drop_abandoned_copies
from localcloud.bigquery.tables.writing.destinations import Destinations
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.models import MODELS, Model
from localcloud.storage.objects.store import ObjectStore


def _unwrapped(app: ASGIApp) -> ASGIApp:
    return app


def _no_fault(job: Job) -> None:
    return None


def _unknown_account(token: str) -> str | None:
    return None


class BigQuery:
    """The local BigQuery: REST on ``url``, the Storage API over gRPC on ``storage_api_port``."""

    def __init__(
        self,
        *,
        clock: Clock,
        project: str,
        store: ObjectStore,
        directory: Path | None = None,
        backend: ModelBackend | None = None,
        gemini_models: Mapping[str, Model] = MODELS,
        wrap: Callable[[ASGIApp], ASGIApp] = _unwrapped,
        before_job: Callable[[Job], None] = _no_fault,
        account_of: Callable[[str], str | None] = _unknown_account,
        host_names: Collection[str] = (),
    ) -> None:
        """Open the database. Nothing is served before ``start``.

        Args:
            clock: The clock.
            project: The project of names without one.
            store: The objects of Cloud Storage, for models, load and extract jobs.
            directory: The folder of tables, datasets, models and ended jobs; None keeps them in memory.
            backend: The backend that answers Gemini calls.
            gemini_models: The models that remote models may use, by id.
            wrap: Wraps the HTTP application, for example to inject faults.
            before_job: Called in a job's thread when the job starts; a ``QueryError`` becomes the job's error.
            account_of: Returns the e-mail address of the account of an access token, or None.
            host_names: The host names that requests may have in addition to those of this machine.
        """
        self._host_names = host_names
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
        self._context = open_context(directory, clock, project)
        self._engine = engine_of(self._context)
        destinations = Destinations(self._context, lambda name: self.learning.is_model(name))
        self._anonymous = AnonymousTables(destinations)
        self._anonymous.clear()
        drop_abandoned_copies(self._engine)
        sizes = Sizes(self._context)
        self._connections = Connections(clock, directory and directory / "connections.json")
        self.learning = MachineLearning(
            store=store,
            clock=clock,
            directory=directory / "models" if directory is not None else None,
            connections=self._connections,
            backend=backend,
            served=gemini_models,
        )
        self._journal = open_journal(directory, self._engine, self._anonymous)
        self._quotas = Quotas(clock)
        sessions = Sessions(self._engine)
        accounting = Accounting(sizes, Reading(self._context))
        loads = LoadStatements(destinations, store)
        self._external = external = ExternalTables(destinations, self._anonymous, store)
        runs = StatementRuns(self.learning, destinations, self._anonymous, accounting, loads, sessions, store, external)
        history = JobHistory(self._journal.jobs(clock.now()))
        queries = QueryJobs(
            self.learning, destinations, self._anonymous, accounting, loads, runs, history.all, sessions, external
        )
        self._jobs = JobService(
            self._engine,
            clock,
            queries,
            TransferJobs(destinations, store, queries),
            self._journal,
            history,
            self._quotas,
            sessions,
            before_job,
        )
        self._delegate = Delegate(self._context, sizes, self._external_data)
        self._uploads = Uploads()
        self._app = BigQueryApp(
            self._jobs,
            self._delegate,
            ModelMethods(self._context, self.learning),
            TableMethods(self._delegate, destinations, queries, self.learning, self._anonymous, external, project),
            RowMethods(destinations, self._anonymous),
            ConnectionMethods(self._connections),
            ReservationMethods(Reservations(clock, directory and directory / "reservations.json")),
            self._anonymous,
            self._uploads,
            account_of=account_of,
            default_user=f"local-sa@{project}.iam.gserviceaccount.com",
        )
        self.app: ASGIApp = wrap(self._app)
        self.tables = Tables(destinations, self._anonymous)
        self._http: HttpServer | None = None
        self._grpc: grpc.Server | None = None
        self.storage_api_port = 0

    def _external_data(self, name: TableName) -> dict[str, Any] | None:
        return self._external.definition(name) or self.learning.external_data(name, self._engine.cursor())

    @property
    def url(self) -> str:
        """The address of the REST API, without a trailing slash. Raises ``QueryError`` before ``start``."""
        if self._http is None:
            raise QueryError("BigQuery is not started", reason="internalError")
        return self._http.url

    def start(self, port: int = 0) -> None:
        """Serve REST on ``port`` (0 for a free port) and the Storage API on a free port."""
        allow_depth()
        self._jobs.runner.start()
        self._grpc, self.storage_api_port = serve_storage_api(self._context, self._anonymous)
        self._http = HttpServer(self.app, port=port, name="bigquery", host_names=self._host_names)
        self._http.start()

    def stop(self) -> None:
        """Stop serving, end the jobs and close the database."""
        if self._http is not None:
            self._http.stop()
        if self._grpc is not None:
            self._grpc.stop(grace=None).wait(5)
        self._jobs.runner.stop()
        self.learning.close()
        self._delegate.stop()
        self._app.stop()
        self._uploads.close()
        self._journal.close()
        clear_subscriptions_for_context(self._context)
        close_context(self._context)

    def seed_table(
        self, table: str, schema: list[Field], rows: Iterable[dict[str, Any]], *, location: str = "US"
    ) -> None:
        """Create a table (``project.dataset.table``) and its dataset, unless the table exists."""
        project, dataset, name = table.split(".")
        if self._context.catalog.get_table(project, dataset, name) is None:
            self.tables.write(table, schema, rows, location=location)

    def seed_connection(self, name: str) -> None:
        """Let statements use a connection (``project.location.connection``) before somebody creates it."""
        self._connections.add_sample(name)

    def limit(self, *, queued_interactive: int | None = None, table_modifications_per_day: int | None = None) -> None:
        """Set the quotas; None turns a quota off.

        Args:
            queued_interactive: The maximum number of unfinished interactive queries per project.
            table_modifications_per_day: The maximum number of load, copy and query jobs that write one table in 24 hours.
        """
        self._quotas.queued_interactive = queued_interactive
        self._quotas.table_modifications_per_day = table_modifications_per_day
