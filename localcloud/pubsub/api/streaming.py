"""StreamingPull: one open stream carries messages to a subscriber and acknowledgements back.

https://cloud.google.com/pubsub/docs/reference/rpc/google.pubsub.v1#streamingpullrequest
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import grpc
from google.pubsub_v1 import types

from localcloud.pubsub.api.methods import Methods
from localcloud.pubsub.api.wire import received_to_wire
from localcloud.pubsub.errors import InvalidArgument, PubSubError
from localcloud.pubsub.names import check_ack_ids

BATCH = 100
"""The largest number of messages in one response."""
CHECK_ROOM_SECONDS = 5.0
"""How often an idle stream checks whether acknowledgements have made room."""

StreamingPullResponse: Any = types.StreamingPullResponse.pb()


class Stream:
    """One open stream, with its flow control.

    Attributes:
        subscription: The full name.
        ended: Set once the stream is to end.
        error: The error that ends the stream; None if it ends normally.
    """

    def __init__(self, methods: Methods, first: Any) -> None:
        """Read the settings in the ``first`` request. Raises ``NotFound``, ``InvalidArgument``."""
        self._broker = methods.broker
        self._opened = False
        self.subscription: str = first.subscription
        if not self.subscription:
            raise InvalidArgument("The first request of a stream must name a subscription.")
        self._settings = methods.pullable(self.subscription)
        self._deadline_seconds = _checked_deadline(first.stream_ack_deadline_seconds)
        self._maximum_messages: int = first.max_outstanding_messages
        self._maximum_bytes: int = first.max_outstanding_bytes
        self._out: dict[str, int] = {}
        self.ended = threading.Event()
        self.error: PubSubError | None = None

    def read(self, requests: Iterator[Any]) -> None:
        """Apply the subscriber's requests until the stream ends; runs in a thread of its own."""
        try:
            for request in requests:
                self.accept(request)
        except PubSubError as error:
            self.error = error
        except grpc.RpcError:
            pass  # The subscriber disconnected.
        finally:
            self.end()

    def accept(self, request: Any) -> None:
        """Apply one request: acknowledgements, new deadlines, and the deadline of messages sent later.

        Raises:
            InvalidArgument: The request has an invalid deadline or acknowledgement id, or names the subscription again.
        """
        if self._opened and request.subscription:
            raise InvalidArgument("The subscription may only be set in the first request of a stream.")
        self._opened = True
        check_ack_ids([*request.ack_ids, *request.modify_deadline_ack_ids])
        if len(request.modify_deadline_ack_ids) != len(request.modify_deadline_seconds):
            raise InvalidArgument("modify_deadline_ack_ids and modify_deadline_seconds differ in length.")
        if request.stream_ack_deadline_seconds:
            self._deadline_seconds = _checked_deadline(request.stream_ack_deadline_seconds)
        if request.ack_ids:
            self._broker.acknowledge(self.subscription, request.ack_ids)
        for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True):
            if not 0 <= seconds <= 600:
                raise InvalidArgument(f"Invalid ack deadline given ({seconds}): must be 0 to 600.")
            self._broker.modify_ack_deadline(self.subscription, [ack_id], seconds)

    def end(self) -> None:
        """Stop sending; may be called from any thread and more than once."""
        self.ended.set()
        self._broker.wake(self.subscription)

    def responses(self) -> Iterator[Any]:
        """Yield responses until the stream ends. Raises the error of a request, or ``NotFound`` on deletion."""
        opening = StreamingPullResponse()
        opening.subscription_properties.message_ordering_enabled = self._settings.enable_message_ordering
        opening.subscription_properties.exactly_once_delivery_enabled = self._settings.enable_exactly_once_delivery
        yield opening
        while not self.ended.is_set():
            received = self._broker.pull(
                self.subscription,
                BATCH,
                room=self._room,
                wait_seconds=CHECK_ROOM_SECONDS,
                lease_seconds=self._deadline_seconds,
                interrupted=self.ended,
            )
            if not received:
                continue
            self._out |= {each.ack_id: each.message.size for each in received}
            response = StreamingPullResponse(received_messages=[received_to_wire(each) for each in received])
            response.subscription_properties.CopyFrom(opening.subscription_properties)
            yield response
        if self.error is not None:
            raise self.error

    def _room(self) -> int:
        """Return how many messages the subscriber's flow control allows now."""
        if self._maximum_messages <= 0 and self._maximum_bytes <= 0:
            return BATCH
        still_out = set(self._broker.unanswered(self.subscription, self._out))
        self._out = {ack_id: size for ack_id, size in self._out.items() if ack_id in still_out}
        if 0 < self._maximum_bytes <= sum(self._out.values()):
            return 0
        if self._maximum_messages <= 0:
            return BATCH
        return max(0, min(BATCH, self._maximum_messages - len(self._out)))


def _checked_deadline(seconds: int) -> int:
    if not 10 <= seconds <= 600:
        raise InvalidArgument(f"Invalid stream ack deadline given ({seconds}): must be 10 to 600.")
    return seconds


def stream_messages(methods: Methods, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
    """Serve one stream: apply ``requests`` in a thread, and yield responses. Raises ``PubSubError``."""
    first = next(requests, None)
    if first is None:
        return
    stream = Stream(methods, first)
    stream.accept(first)
    context.add_callback(stream.end)
    threading.Thread(target=stream.read, args=(requests,), name="pubsub-stream", daemon=True).start()
    yield from stream.responses()
