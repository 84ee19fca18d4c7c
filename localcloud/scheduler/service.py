"""The local Cloud Scheduler as one service: the jobs, and the REST API in front of them."""

from __future__ import annotations

from localcloud.base.asgi import ASGIApp
from localcloud.base.clock import Clock
from localcloud.pubsub.broker.broker import Broker
from localcloud.scheduler.jobs import Jobs
from localcloud.scheduler.rest_api import SchedulerApi


class Scheduler:
    """Cloud Scheduler on this machine.

    Attributes:
        jobs: The jobs, kept in memory.
        app: The REST API: ``/v1/projects/P/locations/L/jobs...``.
    """

    def __init__(self, broker: Broker, *, clock: Clock) -> None:
        """Create the service, which publishes to ``broker``; no job runs before ``start``."""
        self.jobs = Jobs(broker, clock=clock)
        self.app: ASGIApp = SchedulerApi(self.jobs)

    def start(self) -> None:
        """Begin to run jobs that are due."""
        self.jobs.start()

    def stop(self) -> None:
        """Start no more attempts; those under way are not waited for."""
        self.jobs.stop()
