"""The local Vertex AI: batch prediction over the local BigQuery and Cloud Storage, models and endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from localcloud.base.asgi import ASGIApp
from localcloud.base.clock import Clock
from localcloud.bigquery.ml.service import MachineLearning
from localcloud.bigquery.tables.facade import Tables
from localcloud.gemini.backends import ModelBackend
from localcloud.gemini.models import MODELS, Model, ModelTable
from localcloud.storage.objects.store import ObjectStore
from localcloud.vertex.base.moments import UniqueMoments
from localcloud.vertex.base.operations import Operations
from localcloud.vertex.base.records import RecordJournal
from localcloud.vertex.base.rest import VertexApi
from localcloud.vertex.batch.answering import Answering
from localcloud.vertex.batch.batches import BatchRunner
from localcloud.vertex.batch.job_routes import JobRoutes
from localcloud.vertex.batch.jobs import Jobs
from localcloud.vertex.batch.journal import DiskJournal, NoJournal
from localcloud.vertex.echo_routes import EchoRoutes
from localcloud.vertex.generation import Generation
from localcloud.vertex.models.bigquery_models import BigQueryModels
from localcloud.vertex.models.endpoints import Endpoints
from localcloud.vertex.models.model_routes import ModelRoutes
from localcloud.vertex.models.publisher_models import PublisherModels
from localcloud.vertex.models.registry import Registry
from localcloud.vertex.models.transfers import ModelTransfers
from localcloud.vertex.pace import Pace
from localcloud.vertex.request_checks import RequestChecks


class Vertex:
    """The service.

    Attributes:
        app: The REST API: ``/v1/...``, ``/v1beta1/...``, and ``/localcloud/vertex/``, which is not part of
            Google's API: the states of jobs, and the orders of the stand-in model.
        jobs: The batch prediction jobs.
        registry: The model registry.
        endpoints: The endpoints, which predict with registered models.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        learning: MachineLearning,
        tables: Tables,
        store: ObjectStore,
        backend: ModelBackend,
        models: Mapping[str, Model] = MODELS,
        pace: Pace | None = None,
        directory: Path | None = None,
    ) -> None:
        """Create the service; no job runs before ``start``.

        Args:
            clock: The clock of states, queues and limits.
            learning: The local BigQuery's models, which are registered here from now on.
            tables: The local BigQuery's tables.
            store: The local Cloud Storage's objects.
            backend: Generates the responses of models.
            models: The models that are served, by id.
            pace: The durations of states, and the number of concurrent jobs.
            directory: The directory that stores jobs, registered models and endpoints; None keeps them in memory.
        """
        pace = pace or Pace()
        moments = UniqueMoments(clock)
        self._records = RecordJournal(directory)
        operations = Operations(self._records, clock=clock, moments=moments)
        table = ModelTable(clock, models)
        checks = RequestChecks(store, table)
        runner = BatchRunner(Answering(backend, checks, table, clock), tables=tables, store=store)
        journal = NoJournal() if directory is None else DiskJournal(directory)
        self.jobs = Jobs(runner, operations, journal, clock=clock, models=table, moments=moments, pace=pace)
        self.registry = Registry(moments=moments, journal=self._records)
        bigquery_models = BigQueryModels(self.registry, learning.predict_instances)
        learning.models.connect(bigquery_models)
        transfers = ModelTransfers(self.registry, operations, learning.models, store, bigquery_models, moments=moments)
        self.endpoints = Endpoints(
            self.registry, operations, self._records, moments=moments, operation_seconds=pace.operation_seconds
        )
        self._api = VertexApi(
            [
                *JobRoutes(self.jobs).routes(),
                *Generation(backend, table, checks).routes(),
                *PublisherModels(table).routes(),
                *EchoRoutes(backend).routes(),
                *ModelRoutes(self.registry, transfers, self.endpoints, operations).routes(),
            ]
        )
        self.app: ASGIApp = self._api

    def start(self) -> None:
        """Start running jobs."""
        self.jobs.start()

    def stop(self) -> None:
        """Stop running jobs; see ``Jobs.stop``."""
        self.jobs.stop()
        self._api.stop()
        self._records.close()

    def force_state(self, job_name: str, state: str | None, error: dict[str, Any] | None = None) -> dict[str, Any]:
        """Set the state of a job; see ``Jobs.force_state``. Raises ``RequestError``."""
        return self.jobs.force_state(job_name, state, error)
