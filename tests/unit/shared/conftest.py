"""A local Cloud Storage and Pub/Sub for the functions' side, on a clock that passes only when a test says so."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.cloud import storage

from localcloud.base.clock import ManualClock
from localcloud.base.http import HttpServer
from localcloud.pubsub.broker.resources import Subscription
from localcloud.pubsub.service import PubSub
from localcloud.storage.service import Storage
from shared.cloud import clients
from shared.drops.drop import DropPath
from shared.engine.services import Services
from shared.settings import settings
from shared.work import Item, Kind
from tests.conftest import variables
from tests.example_requests import NOW, PROJECT, SETTINGS
from tests.model_files import onnx_file

_numbers = itertools.count(1)


class LocalServices:
    """Cloud Storage and Pub/Sub, running in this process.

    Attributes:
        clock: Their clock, and the clock of the worlds that use them.
        environment: The variables that lead the official clients to them.
    """

    def __init__(self, directory: Path) -> None:
        """Start them; objects are kept in ``directory``."""
        self.clock = ManualClock(NOW)
        self._storage = Storage(directory, clock=self.clock, project=PROJECT)
        self._http = HttpServer(self._storage.app)
        self._http.start()
        self._pubsub = PubSub(clock=self.clock, project=PROJECT)
        self._pubsub.start()
        self.environment = {
            "STORAGE_EMULATOR_HOST": self._http.url,
            "PUBSUB_EMULATOR_HOST": f"localhost:{self._pubsub.port}",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "MODEL_BUCKET": SETTINGS.model_bucket,
            "STATE_BUCKET": SETTINGS.state_bucket,
            "OUTPUT_BUCKET": SETTINGS.output_bucket,
            "EVENTS_TOPIC": SETTINGS.events_topic,
        }

    def make_bucket(self, name: str) -> None:
        """Create a bucket."""
        self._storage.store.ensure_bucket(name)

    def make_topic(self, topic: str, subscription: str) -> None:
        """Create a topic with a subscription."""
        self._pubsub.broker.create_topic(topic)
        self._pubsub.broker.create_subscription(Subscription(subscription, topic))

    def pull(self, subscription: str) -> list[dict[str, Any]]:
        """Return the data of the messages in a subscription, with the types of events, and acknowledge them."""
        received = self._pubsub.broker.pull(subscription, 100)
        self._pubsub.broker.acknowledge(subscription, [each.ack_id for each in received])
        messages = [each.message for each in received]
        types = ({"type": kind} if (kind := each.attributes.get("ce-type")) else {} for each in messages)
        return [{**kind, **json.loads(each.data)} for kind, each in zip(types, messages, strict=True)]

    def close(self) -> None:
        """Stop them."""
        self._pubsub.stop()
        self._http.stop()
        self._storage.close()


class World:
    """Services with an empty ledger, an empty model bucket and an events topic of their own.

    BigQuery and Vertex AI are not there: work that would call them is not started here.
    """

    def __init__(self, local: LocalServices) -> None:
        """Create the buckets and the topic."""
        number = next(_numbers)
        self._local = local
        topic = f"projects/{PROJECT}/topics/events-{number}"
        self._subscription = f"projects/{PROJECT}/subscriptions/events-{number}"
        local.make_topic(topic, self._subscription)
        local.make_bucket(f"models-{number}")
        local.make_bucket(f"state-{number}")
        self.services = Services(
            replace(SETTINGS, model_bucket=f"models-{number}", state_bucket=f"state-{number}", events_topic=topic),
            clock=local.clock.now,
        )

    @property
    def models(self) -> storage.Bucket:
        """The model bucket."""
        return clients.storage_client().bucket(self.services.settings.model_bucket)

    @property
    def state(self) -> storage.Bucket:
        """The bucket of the ledger."""
        return clients.storage_client().bucket(self.services.settings.state_bucket)

    def configure(self, **settings: Any) -> None:
        """Change settings; the ledger and the model bucket stay."""
        self.services = Services(replace(self.services.settings, **settings), clock=self._local.clock.now)

    def pass_time(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        self._local.clock.advance(seconds)

    def upload(self, path: DropPath, *names: str, content: bytes | None = None) -> None:
        """Write files of a drop. A file that ends in .onnx is a model unless its ``content`` is given."""
        for name in names:
            usual = onnx_file() if name.endswith(".onnx") else b"x"
            self.models.blob(path.prefix + name).upload_from_string(usual if content is None else content)

    def remove(self, path: DropPath) -> None:
        """Delete the files of a drop."""
        for blob in list(self.models.list_blobs(prefix=path.prefix)):
            blob.delete()

    def watch_of(self, path: DropPath) -> Item | None:
        """Return the watch of a drop, None if it was never watched."""
        return self.services.ledger.read(Kind.DROP, path.key)

    def imports(self) -> list[Item]:
        """Return all imports in the ledger."""
        keys = [each.work[1] for each in self.services.ledger.items(Kind.IMPORT) if each.work]
        items = [self.services.ledger.read(Kind.IMPORT, key) for key in keys]
        return [item for item in items if item is not None]

    def indexed(self) -> set[str]:
        """Return the keys of the work that has an index object."""
        return {pending.key for pending in self.services.ledger.pending()}

    def hand_out(self, size: int) -> None:
        """Let the poller hand out its work in parts of this size."""
        topic = self.services.settings.events_topic.replace("events", "work")
        self._local.make_topic(topic, self._subscription.replace("events", "work"))
        self.configure(work_topic=topic, poll_part_items=size)

    def parts(self) -> list[dict[str, Any]]:
        """Return the parts that the poller has handed out since the last call."""
        return self._local.pull(self._subscription.replace("events", "work"))

    def published(self) -> list[dict[str, Any]]:
        """Return the data of the events that were published since the last call, each with its type."""
        return self._local.pull(self._subscription)


@pytest.fixture(scope="module")
def local_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServices]:
    """A running Cloud Storage and Pub/Sub."""
    running = LocalServices(tmp_path_factory.mktemp("storage"))
    yield running
    running.close()


@pytest.fixture
def world(local_services: LocalServices) -> Iterator[World]:
    """Services with an empty ledger, an empty model bucket and an events topic of their own."""
    cached = (settings, clients.storage_client, clients.publisher_client)
    with variables(local_services.environment):
        for each in cached:
            each.cache_clear()
        yield World(local_services)
        clients.publisher_client().stop()
        for each in cached:
            each.cache_clear()
