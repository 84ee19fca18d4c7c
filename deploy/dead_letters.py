"""Dead letters, which are events that no function acknowledged: lists them and publishes them again.

This uses only Pub/Sub, so it works on Google Cloud and on the local cloud (``PUBSUB_EMULATOR_HOST``). A dead letter is
acknowledged only after its replay is confirmed; after a failure it stays in the subscription.

Pub/Sub adds the source of a dead letter as attributes:
https://cloud.google.com/pubsub/docs/handling-failures#track_delivery_attempts
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError, RetryError
from google.api_core.retry import Retry
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1 import PublisherClient as UnbatchedPublisher
from google.pubsub_v1.types import PubsubMessage, ReceivedMessage

SOURCE = "CloudPubSubDeadLetterSource"
"""The prefix of the attributes that Pub/Sub adds to a dead letter."""
FINALIZED = "google.cloud.storage.object.v1.finalized"
NOTIFIED = "OBJECT_FINALIZE"
"""The same event in a Cloud Storage notification: https://cloud.google.com/storage/docs/pubsub-notifications"""
DELETED_TOPIC = "_deleted-topic_"

PULLED_AT_ONCE = 100
LEASE_SECONDS = 600
SHOWN_CHARACTERS = 100


class CannotReplayError(ValueError):
    """A dead letter cannot be replayed; the message says why."""


class OutageError(CannotReplayError):
    """Pub/Sub does not answer, so other dead letters cannot be replayed either."""


class NotReleasedError(GoogleAPIError):
    """Leased dead letters could not be released; the message says when they are available again."""


@dataclass(frozen=True)
class DeadLetter:
    """An event that was delivered as often as is allowed, and never acknowledged."""

    id: str
    """The id of the message in the dead-letter topic."""
    died: datetime
    """When Pub/Sub moved it to the dead-letter topic."""
    subscription: str
    """The full name of its subscription; empty if that is not known."""
    attempts: str
    """How often it was delivered; empty if that is not known."""
    error: str
    """The error of the last delivery; empty if that is not known."""
    attributes: dict[str, str]
    """The attributes that it was published with."""
    data: bytes
    ordering_key: str
    ack_id: str

    @classmethod
    def parse(cls, received: ReceivedMessage, project: str) -> DeadLetter:
        """Read a dead letter; a source subscription without a project is in ``project``."""
        message = received.message
        source = {name: value for name, value in message.attributes.items() if name.startswith(SOURCE)}
        subscription = source.get(f"{SOURCE}Subscription", "")
        if subscription and "/" not in subscription:
            in_project = source.get(f"{SOURCE}SubscriptionProject", project)
            subscription = f"projects/{in_project}/subscriptions/{subscription}"
        return cls(
            id=message.message_id,
            died=message.publish_time,
            subscription=subscription,
            attempts=source.get(f"{SOURCE}DeliveryCount", ""),
            error=source.get(f"{SOURCE}DeliveryErrorMessage", ""),
            attributes={name: value for name, value in message.attributes.items() if name not in source},
            data=message.data,
            ordering_key=message.ordering_key,
            ack_id=received.ack_id,
        )

    @property
    def type(self) -> str:
        """The type of the CloudEvent or of the storage notification, or ``message``."""
        return self.attributes.get("ce-type") or self.attributes.get("eventType") or "message"

    @property
    def is_storage_event(self) -> bool:
        """Whether it is about an object in a bucket, as a CloudEvent or as a notification."""
        return self.type.startswith("google.cloud.storage.") or "bucketId" in self.attributes

    def describe(self) -> str:
        """Return a line for a person. Of the content it has only the size, or the name of the object."""
        about = f"{len(self.data)} bytes"
        if self.is_storage_event:
            bucket, name = self._object()
            about = f"gs://{bucket}/{name}"
        source = self.subscription.rpartition("/")[2] or "unknown source"
        died = f"{self.died:%Y-%m-%dT%H:%M:%SZ}"
        line = "  ".join([self.id, died, source, self.type, f"attempts {self.attempts or '?'}", _printable(about)])
        return f"{line}\n    {_printable(self.error)}" if self.error else line

    def drop(self) -> str:
        """Return the folder of the model drop that the uploaded object is in.

        Raises:
            CannotReplayError: The event is not an upload, or the object is not in a drop.
        """
        if self.type not in (FINALIZED, NOTIFIED):
            raise CannotReplayError(f"{self.type} is not an upload, and only uploads are imported")
        bucket, name = self._object()
        folders = name.split("/")[:-1][:3]
        if not bucket or len(folders) < 3 or not all(folders):
            raise CannotReplayError(f"gs://{bucket}/{_printable(name)} is not in a folder <dataset>/<model>/<version>/")
        return f"gs://{bucket}/{'/'.join(folders)}/"

    def _object(self) -> tuple[str, str]:
        """Return the bucket and the name of the object; each is empty if it is not known."""
        try:
            resource = json.loads(self.data)
        except ValueError:
            resource = None
        fields = resource if isinstance(resource, dict) else {}
        bucket = self.attributes.get("bucketId") or fields.get("bucket") or ""
        return str(bucket), str(self.attributes.get("objectId") or fields.get("name") or "")


def _printable(text: str) -> str:
    """Return the beginning of ``text``, without control characters of a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text[:SHOWN_CHARACTERS])


class DeadLetters:
    """The dead letters in the subscription of the dead-letter topic."""

    def __init__(self, *, project: str, hold: str, models_topic: str, answer_seconds: float) -> None:
        """Create the clients.

        Args:
            project: The project of the subscription and of the topic.
            hold: The name of the subscription, without ``projects/...``.
            models_topic: The name of the topic for import requests, without ``projects/...``.
            answer_seconds: How long to wait for the answer to a call, the client's retries included.
        """
        self._project = project
        self._hold = f"projects/{project}/subscriptions/{hold}"
        self._models_topic = f"projects/{project}/topics/{models_topic}"
        self._answer_seconds = answer_seconds
        # The client's default policies retry for up to ten minutes, even if the call has a shorter timeout.
        self._retry = Retry(initial=0.1, maximum=10, timeout=answer_seconds)
        self._subscriber = SubscriberClient()
        self._publisher = PublisherClient()
        self._letters: dict[str, DeadLetter] = {}

    @contextmanager
    def leased(self, *, limit: int, wait_seconds: float) -> Iterator[list[DeadLetter]]:
        """Lease dead letters within the block; at its end, release those that were not acknowledged.

        Args:
            limit: The most dead letters to lease.
            wait_seconds: If no dead letter arrives for this long, there are no more.

        Yields:
            The dead letters, oldest first.

        Raises:
            GoogleAPIError: A call to Pub/Sub failed.
        """
        try:
            self._lease(limit, wait_seconds)
            yield sorted(self._letters.values(), key=lambda letter: letter.died)
        finally:
            self._release()

    def replay(self, letters: Iterable[DeadLetter]) -> Iterator[tuple[DeadLetter, str | CannotReplayError]]:
        """Replay dead letters; several uploads to one model drop become one import.

        A dead letter is acknowledged after Pub/Sub has confirmed the publish. Once Pub/Sub does not answer, the others
        are not tried.

        Yields:
            Each dead letter, with the topic that it was published to or the reason why it was not.
        """
        imported: set[str] = set()
        outage = False
        for letter in letters:
            try:
                if outage:
                    raise OutageError("not tried, because Pub/Sub did not answer before")
                topic = self._import(letter, imported) if letter.is_storage_event else self._publish_again(letter)
                self._acknowledge(letter, topic)
            except CannotReplayError as error:
                outage = isinstance(error, OutageError)
                yield letter, error
            else:
                yield letter, topic

    def _lease(self, limit: int, wait_seconds: float) -> None:
        while len(self._letters) < limit:
            wanted = min(PULLED_AT_ONCE, limit - len(self._letters))
            request = {"subscription": self._hold, "max_messages": wanted}
            try:
                pulled = self._subscriber.pull(request=request, retry=self._retry, timeout=wait_seconds)
            except DeadlineExceeded:
                break
            if not pulled.received_messages:
                break
            letters = [DeadLetter.parse(each, self._project) for each in pulled.received_messages]
            self._letters |= {letter.id: letter for letter in letters}
            # The deadline of the subscription may be too short for a person.
            self._extend(letters, LEASE_SECONDS)

    def _release(self) -> None:
        letters = list(self._letters.values())
        self._letters.clear()
        try:
            for start in range(0, len(letters), PULLED_AT_ONCE):
                self._extend(letters[start : start + PULLED_AT_ONCE], 0)
        except GoogleAPIError as error:
            delay = f"the dead letters are held, but `list` shows them only after {LEASE_SECONDS} seconds"
            raise NotReleasedError(f"{delay}: {error}") from error

    def _import(self, letter: DeadLetter, imported: set[str]) -> str:
        drop = letter.drop()
        if drop not in imported:
            data = json.dumps({"action": "import", "path": drop}).encode()
            self._publish(self._models_topic, data, {}, "")
            imported.add(drop)
        return self._models_topic

    def _publish_again(self, letter: DeadLetter) -> str:
        if not letter.subscription:
            raise CannotReplayError("its subscription is not known")
        with _as_cannot_replay(letter.subscription):
            topic = self._subscriber.get_subscription(
                request={"subscription": letter.subscription}, retry=self._retry, timeout=self._answer_seconds
            ).topic
        if topic == DELETED_TOPIC:
            raise CannotReplayError(f"the topic of {letter.subscription} was deleted")
        self._publish(topic, letter.data, letter.attributes, letter.ordering_key)
        return str(topic)

    def _publish(self, topic: str, data: bytes, attributes: dict[str, str], ordering_key: str) -> None:
        message = PubsubMessage(data=data, attributes=attributes, ordering_key=ordering_key)
        with _as_cannot_replay(f"{topic} did not confirm the publish"):
            # `publish` of the batching client takes attributes as keyword arguments, so no attribute could have the name
            # `data` or `topic`. This method of its base class is a single call, whose answer is the confirmation.
            UnbatchedPublisher.publish(
                self._publisher, topic=topic, messages=[message], retry=self._retry, timeout=self._answer_seconds
            )

    def _acknowledge(self, letter: DeadLetter, topic: str) -> None:
        with _as_cannot_replay(f"it was published to {topic}, but {self._hold} did not confirm the acknowledgement"):
            self._subscriber.acknowledge(
                request={"subscription": self._hold, "ack_ids": [letter.ack_id]},
                retry=self._retry,
                timeout=self._answer_seconds,
            )
        del self._letters[letter.id]

    def _extend(self, letters: Iterable[DeadLetter], seconds: int) -> None:
        self._subscriber.modify_ack_deadline(
            request={
                "subscription": self._hold,
                "ack_ids": [letter.ack_id for letter in letters],
                "ack_deadline_seconds": seconds,
            },
            retry=self._retry,
            timeout=self._answer_seconds,
        )


@contextmanager
def _as_cannot_replay(failure: str) -> Iterator[None]:
    """Raise a failure of Pub/Sub as a ``CannotReplayError`` whose message starts with ``failure``."""
    try:
        yield
    except (RetryError, DeadlineExceeded) as error:
        raise OutageError(f"{failure}: {error}") from error
    except GoogleAPIError as error:
        raise CannotReplayError(f"{failure}: {error}") from error
