"""The local Pub/Sub service: a broker with gRPC and REST APIs and push delivery."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import grpc

from localcloud.base.asgi import ASGIApp
from localcloud.base.clock import Clock
from localcloud.pubsub.api.grpc import GrpcServer
from localcloud.pubsub.api.methods import Methods
from localcloud.pubsub.api.policies import Policies
from localcloud.pubsub.api.rest import PubSubApi
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.journal import DiskJournal
from localcloud.pubsub.push.disturbances import DeliveryFaults, Undisturbed
from localcloud.pubsub.push.sending import PushDeliverer


class PubSub:
    """The local Pub/Sub.

    Attributes:
        broker: The core, for other local services.
        app: The REST API.
        port: The port of the gRPC API; 0 before ``start``.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        project: str,
        directory: Path | None = None,
        delivery_faults: DeliveryFaults | None = None,
    ) -> None:
        """Restore the state in ``directory`` (None: keep everything in memory). ``delivery_faults`` disturbs pushes."""
        self.project = project
        self.broker = Broker(clock=clock, journal=DiskJournal(directory) if directory else None)
        self.deliverer = PushDeliverer(self.broker, clock=clock, faults=delivery_faults or Undisturbed())
        self._policies = Policies(directory and directory / "policies.sqlite")
        self._methods = Methods(self.broker, self._policies)
        self.app: ASGIApp = PubSubApi(self._methods)
        self.port = 0
        self._server: GrpcServer | None = None

    def start(self, port: int = 0, interceptors: Sequence[grpc.ServerInterceptor] = ()) -> None:
        """Serve gRPC on ``port`` (0: a free one) and start pushing. Raises ``RuntimeError`` if the port is taken."""
        self._server = GrpcServer(self._methods, port=port, interceptors=interceptors)
        self.port = self._server.port
        self._server.start()
        self.deliverer.start()

    def stop(self) -> None:
        """Stop pushing and serving, and close the files."""
        self.deliverer.stop()
        if self._server is not None:
            self._server.stop()
        self.broker.close()
        self._policies.close()
