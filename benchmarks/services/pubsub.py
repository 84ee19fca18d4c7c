"""The publisher of Pub/Sub over gRPC, with its latency. It keeps when each event came."""

from __future__ import annotations

import asyncio
import base64
import time
from datetime import UTC, datetime

import grpc
from google.pubsub_v1.types import PublishRequest, PublishResponse

from localcloud.base.clock import rfc3339


class PubSub:
    """All topics as one."""

    def __init__(self, latency: float) -> None:
        """Start without events; each call takes ``latency`` seconds."""
        self.received: dict[str, float] = {}
        """When an event with this ``ce-id`` came first, in seconds since 1970."""
        self.subjects: dict[str, str] = {}
        """The ``ce-subject`` of each event."""
        self.parts: list[dict[str, str]] = []
        """The messages that are not events, and were not delivered yet: their data in Base64, and when they were published."""
        self.repeated = 0
        self._latency = latency

    async def start(self) -> int:
        """Serve on this machine; return the port."""
        handler = grpc.unary_unary_rpc_method_handler(
            self._publish,
            request_deserializer=PublishRequest.deserialize,
            response_serializer=PublishResponse.serialize,
        )
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("google.pubsub.v1.Publisher", {"Publish": handler}),)
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return int(port)

    async def _publish(self, request: PublishRequest, context: object) -> PublishResponse:
        await asyncio.sleep(self._latency)
        ids: list[str] = []
        for message in request.messages:
            if "ce-id" not in message.attributes:
                published = rfc3339(datetime.now(UTC))
                self.parts.append({"data": base64.b64encode(message.data).decode(), "published": published})
                ids.append(str(len(self.parts)))
                continue
            event = message.attributes["ce-id"]
            self.repeated += event in self.received
            self.received.setdefault(event, time.time())
            self.subjects[event] = message.attributes["ce-subject"]
            ids.append(str(len(self.received)))
        return PublishResponse(message_ids=ids)
