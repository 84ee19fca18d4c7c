"""The settings, the clock, the ledger and Google's services, each created when it is first used.

Imports of clients are inside the properties, so that a function pays only for the clients that it uses.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING

from shared.clock import Clock, utc_now
from shared.cloud import clients
from shared.engine.ledger.ledger import Ledger
from shared.settings import Settings, settings

if TYPE_CHECKING:
    from shared.cloud.bigquery import BigQueryJobs
    from shared.cloud.endpoints import Endpoints
    from shared.cloud.registry import ModelRegistry
    from shared.cloud.tables import Tables
    from shared.cloud.vertex import VertexJobs
    from shared.engine.waking import Waker
    from shared.events.publishing import EventPublisher, RequestPublisher


class Services:
    """The services of one process."""

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        """Use these settings and this clock."""
        self.settings = settings
        self.clock = clock

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return self.clock()

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger in the state bucket."""
        return Ledger(
            clients.storage_client(),
            self.settings.state_bucket,
            clock=self.clock,
            lease_seconds=self.settings.lease_seconds,
            write_seconds=self.settings.object_write_seconds,
        )

    @cached_property
    def deployed(self) -> datetime | None:
        """When the state bucket was created; None if that is unknown."""
        return self.ledger.objects.bucket_created()

    @cached_property
    def bigquery(self) -> BigQueryJobs:
        """BigQuery's jobs, datasets, tables and models."""
        from shared.cloud.bigquery import BigQueryJobs

        return BigQueryJobs(clients.bigquery_client())

    @cached_property
    def tables(self) -> Tables:
        """BigQuery's tables."""
        from shared.cloud.tables import Tables

        return Tables(clients.bigquery_client())

    @cached_property
    def vertex(self) -> VertexJobs:
        """Vertex AI's batch prediction jobs."""
        from shared.cloud.vertex import VertexJobs

        return VertexJobs(clients.vertex_job_client, self.settings.google_cloud_project)

    @cached_property
    def waker(self) -> Waker:
        """The waker of the poller."""
        from shared.cloud.scheduler import ScheduledJob
        from shared.engine.waking import Waker

        name, endpoint = self.settings.poll_schedule, self.settings.scheduler_endpoint
        job = ScheduledJob(clients.authorized_session, name, endpoint=endpoint) if name else None
        return Waker(self.ledger, job, clock=self.clock, seconds=self.settings.poll_again_seconds)

    @cached_property
    def registry(self) -> ModelRegistry:
        """Vertex AI's model registry."""
        from shared.cloud.registry import ModelRegistry

        return ModelRegistry(clients.vertex_model_client, self.settings.google_cloud_project)

    @cached_property
    def endpoints(self) -> Endpoints:
        """Vertex AI's endpoints."""
        from shared.cloud.endpoints import Endpoints

        return Endpoints(clients.vertex_endpoint_client, self.settings.google_cloud_project)

    @cached_property
    def requests(self) -> RequestPublisher:
        """The topics for requests to Modeldrop itself."""
        from shared.events.publishing import RequestPublisher

        return RequestPublisher(clients.publisher_client())

    @cached_property
    def events(self) -> EventPublisher:
        """The topic for events."""
        from shared.events.publishing import EventPublisher

        source = f"//modeldrop/projects/{self.settings.google_cloud_project}"
        return EventPublisher(clients.publisher_client(), self.settings.events_topic, source)


@cache
def services() -> Services:
    """Return this process's services."""
    return Services(settings())
