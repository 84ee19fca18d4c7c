"""Events that no function took: what is held of them, and sending them again.

Plain Pub/Sub, so it is the same on the cloud and on the local one (``PUBSUB_EMULATOR_HOST``). A dead letter is
acknowledged only after its replay is confirmed: whatever fails, it is held on, and given back to whoever looks next.

Pub/Sub adds where a dead letter came from as attributes:
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
"""What the names of all attributes begin with that Pub/Sub adds to a dead letter."""
FINALIZED = "google.cloud.storage.object.v1.finalized"
NOTIFIED = "OBJECT_FINALIZE"
"""What a Cloud Storage notification calls the same: https://cloud.google.com/storage/docs/pubsub-notifications"""
DELETED_TOPIC = "_deleted-topic_"

PULLED_AT_ONCE = 100
LEASE_SECONDS = 600
SHOWN_CHARACTERS = 100


class CannotReplayError(ValueError):
    """A dead letter cannot be sent again; the message says why."""


class OutageError(CannotReplayError):
    """Pub/Sub does not answer, so that no other dead letter can be sent either."""


class NotGivenBackError(GoogleAPIError):
    """Pub/Sub did not take back what was taken; the message says how long that is kept from others."""


@dataclass(frozen=True)
class DeadLetter:
    """One event that was delivered as often as is allowed, and never taken."""

    id: str
    """The id of the message in the dead-letter topic."""
    died: datetime
    """When it was given up."""
    subscription: str
    """The full name of the subscription that gave it up; empty if it does not say."""
    attempts: str
    """How often it was delivered; empty if it does not say."""
    error: str
    """What the last delivery said, if it does say."""
    attributes: dict[str, str]
    """The attributes that it had when it was published."""
    data: bytes
    ordering_key: str
    ack_id: str

    @classmethod
    def parse(cls, received: ReceivedMessage, project: str) -> DeadLetter:
        """Return what ``received`` is; a source subscription without a project lies in ``project``."""
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
        """What kind of event it is: a CloudEvent's type, a storage notification's, or ``message``."""
        return self.attributes.get("ce-type") or self.attributes.get("eventType") or "message"

    @property
    def is_storage_event(self) -> bool:
        """Whether it came from a bucket, as a CloudEvent or as a notification."""
        return self.type.startswith("google.cloud.storage.") or "bucketId" in self.attributes

    def describe(self) -> str:
        """Return it as a line for a person; of what it carries only the object's name, or the size, is told."""
        about = f"{len(self.data)} bytes"
        if self.is_storage_event:
            bucket, name = self._object()
            about = f"gs://{bucket}/{name}"
        source = self.subscription.rpartition("/")[2] or "unknown source"
        died = f"{self.died:%Y-%m-%dT%H:%M:%SZ}"
        line = "  ".join([self.id, died, source, self.type, f"attempts {self.attempts or '?'}", _shown(about)])
        return f"{line}\n    {_shown(self.error)}" if self.error else line

    def drop(self) -> str:
        """Return the folder of the model drop that the storage event tells of.

        Raises ``CannotReplayError`` if it tells of something else.
        """
        if self.type not in (FINALIZED, NOTIFIED):
            raise CannotReplayError(f"{self.type} is no upload, and only an upload leads to an import")
        bucket, name = self._object()
        folders = name.split("/")[:-1][:3]
        if not bucket or len(folders) < 3 or not all(folders):
            raise CannotReplayError(f"gs://{bucket}/{_shown(name)} is in no folder <dataset>/<model>/<version>/")
        return f"gs://{bucket}/{'/'.join(folders)}/"

    def _object(self) -> tuple[str, str]:
        """Return bucket and name of the object that the storage event tells of; empty texts where it does not say."""
        try:
            resource = json.loads(self.data)
        except ValueError:
            resource = None
        told = resource if isinstance(resource, dict) else {}
        bucket = self.attributes.get("bucketId") or told.get("bucket") or ""
        return str(bucket), str(self.attributes.get("objectId") or told.get("name") or "")


def _shown(text: str) -> str:
    """Return the beginning of ``text``, with nothing in it that a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in text[:SHOWN_CHARACTERS])


class DeadLetters:
    """What the subscription of the dead-letter topic holds."""

    def __init__(self, *, project: str, hold: str, models_topic: str, answer_seconds: float) -> None:
        """Read from the subscription ``hold``; imports go to ``models_topic`` (both names without ``projects/...``).

        Pub/Sub has ``answer_seconds`` to answer each call, however often the client tries.
        """
        self._project = project
        self._hold = f"projects/{project}/subscriptions/{hold}"
        self._models_topic = f"projects/{project}/topics/{models_topic}"
        self._answer_seconds = answer_seconds
        # The client's own policies go on for up to ten minutes, whatever timeout a call has.
        self._retry = Retry(initial=0.1, maximum=10, timeout=answer_seconds)
        self._subscriber = SubscriberClient()
        self._publisher = PublisherClient()
        self._leased: dict[str, DeadLetter] = {}

    @contextmanager
    def taken(self, *, limit: int, wait_seconds: float) -> Iterator[list[DeadLetter]]:
        """Give up to ``limit`` dead letters, oldest first, and keep them from others within the block.

        All that is held has been seen when nothing more comes for ``wait_seconds``. However the block ends, those that
        were not sent are given back. Raises ``GoogleAPIError`` if Pub/Sub fails.
        """
        try:
            self._take(limit, wait_seconds)
            yield sorted(self._leased.values(), key=lambda letter: letter.died)
        finally:
            self._give_back()

    def replay(self, letters: Iterable[DeadLetter]) -> Iterator[tuple[DeadLetter, str | CannotReplayError]]:
        """Send each of ``letters`` again, and yield it with the topic that it was sent to, or why it was not.

        What was sent is acknowledged once Pub/Sub has confirmed it. Several events of one model drop become one import.
        In an outage one dead letter is tried and the others are not.
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

    def _take(self, limit: int, wait_seconds: float) -> None:
        while len(self._leased) < limit:
            wanted = min(PULLED_AT_ONCE, limit - len(self._leased))
            request = {"subscription": self._hold, "max_messages": wanted}
            try:
                pulled = self._subscriber.pull(request=request, retry=self._retry, timeout=wait_seconds)
            except DeadlineExceeded:
                break
            if not pulled.received_messages:
                break
            letters = [DeadLetter.parse(each, self._project) for each in pulled.received_messages]
            self._leased |= {letter.id: letter for letter in letters}
            # The subscription's own deadline may be too short for a person.
            self._extend(letters, LEASE_SECONDS)

    def _give_back(self) -> None:
        letters = list(self._leased.values())
        self._leased.clear()
        try:
            for start in range(0, len(letters), PULLED_AT_ONCE):
                self._extend(letters[start : start + PULLED_AT_ONCE], 0)
        except GoogleAPIError as error:
            until = f"what was taken is held, but shows only after {LEASE_SECONDS} seconds"
            raise NotGivenBackError(f"{until}: {error}") from error

    def _import(self, letter: DeadLetter, imported: set[str]) -> str:
        drop = letter.drop()
        if drop not in imported:
            data = json.dumps({"action": "import", "path": drop}).encode()
            self._publish(self._models_topic, data, {}, "")
            imported.add(drop)
        return self._models_topic

    def _publish_again(self, letter: DeadLetter) -> str:
        if not letter.subscription:
            raise CannotReplayError("it does not say which subscription it comes from")
        with _told_as(letter.subscription):
            topic = self._subscriber.get_subscription(
                request={"subscription": letter.subscription}, retry=self._retry, timeout=self._answer_seconds
            ).topic
        if topic == DELETED_TOPIC:
            raise CannotReplayError(f"the topic of {letter.subscription} was deleted")
        self._publish(topic, letter.data, letter.attributes, letter.ordering_key)
        return str(topic)

    def _publish(self, topic: str, data: bytes, attributes: dict[str, str], ordering_key: str) -> None:
        message = PubsubMessage(data=data, attributes=attributes, ordering_key=ordering_key)
        with _told_as(f"{topic} did not confirm"):
            # The batching client's own `publish` takes attributes as keyword arguments, so that none can be called
            # `data` or `topic`. The one that it is built on is a single call, whose answer is the confirmation.
            UnbatchedPublisher.publish(
                self._publisher, topic=topic, messages=[message], retry=self._retry, timeout=self._answer_seconds
            )

    def _acknowledge(self, letter: DeadLetter, topic: str) -> None:
        with _told_as(f"it was sent to {topic}, but {self._hold} did not confirm that it can go"):
            self._subscriber.acknowledge(
                request={"subscription": self._hold, "ack_ids": [letter.ack_id]},
                retry=self._retry,
                timeout=self._answer_seconds,
            )
        del self._leased[letter.id]

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
def _told_as(what: str) -> Iterator[None]:
    """Make a failure of Pub/Sub a ``CannotReplayError`` that begins with ``what``."""
    try:
        yield
    except (RetryError, DeadlineExceeded) as error:
        raise OutageError(f"{what}: {error}") from error
    except GoogleAPIError as error:
        raise CannotReplayError(f"{what}: {error}") from error
