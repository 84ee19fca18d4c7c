"""What the work of a function reaches for: settings, the time, the ledger, the services. Each is made when first used."""

from __future__ import annotations

from datetime import datetime
from functools import cache, cached_property
from typing import TYPE_CHECKING

from shared.clock import Clock, utc_now
from shared.cloud import clients
from shared.engine.ledger import Ledger
from shared.settings import Settings, settings

if TYPE_CHECKING:
    from shared.cloud.bigquery import BigQueryJobs
    from shared.cloud.vertex import VertexJobs
    from shared.drops.files import DropFiles
    from shared.events.outgoing import EventPublisher


class Services:
    """The services of one process."""

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.clock = clock

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return self.clock()

    @cached_property
    def ledger(self) -> Ledger:
        return Ledger(
            clients.storage_client(),
            self.settings.state_bucket,
            clock=self.clock,
            lease_seconds=self.settings.lease_seconds,
        )

    @cached_property
    def drop_files(self) -> DropFiles:
        from shared.drops.files import DropFiles

        return DropFiles(clients.storage_client(), self.settings.model_bucket, self.settings.google_cloud_project)

    @cached_property
    def bigquery(self) -> BigQueryJobs:
        from shared.cloud.bigquery import BigQueryJobs

        return BigQueryJobs(clients.bigquery_client())

    @cached_property
    def vertex(self) -> VertexJobs:
        from shared.cloud.vertex import VertexJobs

        return VertexJobs(
            clients.vertex_job_client(), self.settings.google_cloud_project, self.settings.vertex_location
        )

    @cached_property
    def events(self) -> EventPublisher:
        from shared.events.outgoing import EventPublisher

        source = f"//modeldrop/projects/{self.settings.google_cloud_project}"
        return EventPublisher(clients.publisher_client(), self.settings.events_topic, source)


@cache
def services() -> Services:
    """Return this process's services."""
    return Services(settings())
