"""The events of the trial, through a subscription of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError, NotFound, RetryError
from google.api_core.retry import Retry
from google.cloud.pubsub_v1 import SubscriberClient

# A subscription that is not deleted, because the machine stopped, expires. One day is the least:
# https://docs.cloud.google.com/pubsub/docs/subscription-properties#expiration_period
EXPIRES_SECONDS = 24 * 60 * 60
PULL_SECONDS = 10.0
REPORT_EVERY_SECONDS = 15.0


class TrialFailedError(Exception):
    """Something did not happen as it should; the message says what."""


@dataclass(frozen=True)
class Awaited:
    """The event that is awaited."""

    type: str
    """The type of the event that is right."""
    about: Mapping[str, str]
    """The fields of its data that say that it is about this trial. Another event with them is a failure."""

    def fits(self, data: Mapping[str, Any]) -> bool:
        """Return whether an event with ``data`` is about the awaited work."""
        return all(data.get(name) == value for name, value in self.about.items())


class Received:
    """Reads the events."""

    def __init__(
        self, client: SubscriberClient, subscription: str, deadline: float, report: Callable[[str], None]
    ) -> None:
        """Read a subscription.

        Args:
            client: The client of Pub/Sub.
            subscription: The full name of the subscription.
            deadline: When to give up, on ``time.monotonic``.
            report: Gets a line about what is awaited, from time to time.
        """
        self._client = client
        self._subscription = subscription
        self._deadline = deadline
        self._report = report

    def wait_for(self, awaited: Awaited) -> Mapping[str, Any]:
        """Return the data of the awaited event.

        Raises:
            TrialFailedError: Another event about this work was received, or none in time.
            GoogleAPIError: A call to Pub/Sub failed.
        """
        reported = time.monotonic()
        while (left := self._deadline - time.monotonic()) > 0:
            if time.monotonic() - reported > REPORT_EVERY_SECONDS:
                reported = time.monotonic()
                self._report(f"  waits for {awaited.type}, for {left:.0f} s at most")
            for kind, data in self._pull(min(left, PULL_SECONDS)):
                if not awaited.fits(data):
                    continue
                if kind == awaited.type:
                    return data
                error = data.get("error") or {}
                raise TrialFailedError(
                    f"expected the event {awaited.type}, received {kind}: {error.get('code')}: {error.get('message')}"
                )
        about = ", ".join(f"{name} {value}" for name, value in awaited.about.items())
        raise TrialFailedError(f"waited for the event {awaited.type} of {about}, and it was not received in time")

    def _pull(self, seconds: float) -> list[tuple[str, dict[str, Any]]]:
        try:
            pulled = self._client.pull(
                subscription=self._subscription, max_messages=100, timeout=seconds, retry=Retry(timeout=seconds)
            )
        except (DeadlineExceeded, RetryError):
            return []
        found = []
        for each in pulled.received_messages:
            try:
                data = json.loads(each.message.data)
            except ValueError:
                continue
            if isinstance(data, dict):
                found.append((each.message.attributes.get("ce-type", ""), data))
        if pulled.received_messages:
            ids = [each.ack_id for each in pulled.received_messages]
            self._client.acknowledge(subscription=self._subscription, ack_ids=ids)
        return found


def subscribe(client: SubscriberClient, name: str, topic: str) -> None:
    """Create the subscription ``name``, which expires after a day.

    Messages are kept as long: Pub/Sub refuses an expiration shorter than the retention, which is seven days by default.
    https://cloud.google.com/pubsub/docs/subscription-properties#expiration_period

    Raises:
        TrialFailedError: It cannot be created.
    """
    day = {"seconds": EXPIRES_SECONDS}
    request = {"name": name, "topic": topic, "expiration_policy": {"ttl": day}, "message_retention_duration": day}
    try:
        client.create_subscription(request=request)
    except NotFound as error:
        raise TrialFailedError(f"cannot subscribe to {topic}: {error}. Deploy first: `apply` creates it.") from error
    except GoogleAPIError as error:
        raise TrialFailedError(f"cannot subscribe to {topic}: {error}") from error
