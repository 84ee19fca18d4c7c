"""The world of the chain's tests: a local cloud, and the actions of people and services in it."""

from __future__ import annotations

import json
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import requests
from google.api_core.exceptions import NotFound
from google.cloud import bigquery, pubsub_v1, storage

from localcloud.cloud import LocalCloud
from shared.keys import hash_of
from tests.conftest import variables
from tests.received_events import ReceivedEvent, ReceivedEvents
from tests.waiting import LAST_LIMIT

Found = TypeVar("Found")

REGION = "us-central1"
SHIFTED_TABLE = "numbers"
PROMPT_TABLE = "prompts"
REQUEST_TABLE = "requests"
# The events with which a batch ends.
BATCH_ENDS = ("batch.succeeded", "batch.partially_succeeded", "batch.failed", "batch.cancelled", "request.rejected")


class World:
    """One running local cloud, with a dataset for queries and one for batches."""

    def __init__(self, cloud: LocalCloud, shifter: Path) -> None:
        """``shifter`` is the folder of the SavedModel that adds the number in its asset."""
        self.cloud = cloud
        self.ticks = 0
        """How often ``tick`` has called the poller."""
        self.environment = cloud.environment()
        self.project = self.environment["GOOGLE_CLOUD_PROJECT"]
        self._files = files_of(shifter)
        with variables(self.environment):
            self.storage = storage.Client()
            self.bigquery = bigquery.Client()
            self.publisher = pubsub_v1.PublisherClient()
            self._subscriber = pubsub_v1.SubscriberClient()
        self.models = self.storage.bucket(self.environment["MODEL_BUCKET"])
        self.state = self.storage.bucket(self.environment["STATE_BUCKET"])
        self.dataset = self.make_dataset("chain", "US")
        self.regional = self.make_dataset("regional", REGION)
        self.load(f"{self.dataset}.{SHIFTED_TABLE}", [{"x": float(n)} for n in range(10)])
        self.load(f"{self.regional}.{PROMPT_TABLE}", [{"id": n, "prompt": f"What is {n}?"} for n in range(3)])
        self.load(
            f"{self.regional}.{REQUEST_TABLE}", [{"id": n, "request": _asking(f"What is {n}?")} for n in range(3)]
        )
        # Last, because it reads in a thread of its own until `close`.
        self._events_log = f"projects/{self.project}/subscriptions/modeldrop-events-log"
        self.events = ReceivedEvents(self._subscriber, self._events_log)

    def close(self) -> None:
        """Close the clients."""
        self.events.stop()
        self._subscriber.close()
        self.publisher.stop()

    # The initial world

    def make_dataset(self, name: str, location: str) -> str:
        """Create a dataset and return its name."""
        dataset = bigquery.Dataset(f"{self.project}.{name}")
        dataset.location = location
        self.bigquery.create_dataset(dataset, exists_ok=True)
        return name

    def load(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Create a table with these rows."""
        location = self.bigquery.get_dataset(table.split(".")[0]).location
        self.bigquery.load_table_from_json(list(rows), table, location=location).result()

    def shifter(self, shift: int) -> dict[str, bytes]:
        """Return the files of a SavedModel that adds ``shift``."""
        return {**self._files, "assets/shift.txt": f"shift\t{shift}\n".encode()}

    # Actions of users

    def drop(
        self,
        files: Mapping[str, bytes],
        model: str,
        version: str = "1",
        *,
        dataset: str | None = None,
        seed: int | None = None,
    ) -> str:
        """Upload the files of a drop one by one, shuffled by ``seed``; return the drop's path.

        One whose last file the graph does not name is rightly imported without it, and again with it, if that file comes
        later than the drop takes to settle: on a busy machine, or while calls fail. Without a seed, and with 2, 5, 6 or 7,
        the last file of a shifter is one that it needs.
        """
        names = sorted(files)
        if seed is not None:
            random.Random(seed).shuffle(names)
        prefix = f"{dataset or self.dataset}/{model}/{version}/"
        for name in names:
            self.models.blob(prefix + name).upload_from_string(files[name])
        return f"gs://{self.models.name}/{prefix}"

    def remove(self, path: str) -> None:
        """Delete the files of the drop at ``path``."""
        prefix = path.removeprefix(f"gs://{self.models.name}/")
        self.models.delete_blobs(list(self.storage.list_blobs(self.models, prefix=prefix)))

    def import_shifter(self, model: str, shift: int) -> None:
        """Import a model into the world's dataset that adds ``shift``."""
        self.drop(self.shifter(shift), model)
        self.event("model.imported", model=f"{self.project}.{self.dataset}.{model}")

    def publish(self, topic: str, message: Mapping[str, Any] | bytes, **attributes: str) -> str:
        """Publish a message to the topic that the variable ``topic`` names; return the message's id."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        return str(self.publisher.publish(self.environment[topic], data, **attributes).result(timeout=LAST_LIMIT))

    def prediction(self, model: str, table: str, request_id: str, **more: Any) -> dict[str, Any]:
        """Return the message that asks ``model`` to shift the numbers into ``table`` of the world's dataset."""
        return {
            "model": f"{self.dataset}.{model}",
            "input": {"table": f"{self.dataset}.{SHIFTED_TABLE}"},
            "output": {"table": f"{self.dataset}.{table}", **more.pop("output", {})},
            "request_id": request_id,
            **more,
        }

    def ask(self, model: str, table: str, request_id: str, **more: Any) -> str:
        """Publish such a message."""
        return self.publish("PREDICT_TOPIC", self.prediction(model, table, request_id, **more))

    def batch(self, table: str, request_id: str, **more: Any) -> dict[str, Any]:
        """Return the request of a batch that answers the prompts into ``table``."""
        return {
            "model": "gemini-3.8-flash",
            "input": {"prompts": {"query": f"SELECT id, prompt FROM {self.regional}.{PROMPT_TABLE}"}},
            "output": f"bq://{self.project}.{self.regional}.{table}",
            "request_id": request_id,
            **more,
        }

    def batch_of_requests(self, table: str, request_id: str) -> dict[str, Any]:
        """Return the request of a batch whose requests are in a table already, so that it has no other step."""
        return self.batch(table, request_id, input=f"bq://{self.project}.{self.regional}.{REQUEST_TABLE}")

    def post_batch(self, request: Mapping[str, Any]) -> requests.Response:
        """Send the request of a batch over HTTP."""
        return requests.post(self.environment["SUBMIT_BATCH_URL"], json=request, timeout=LAST_LIMIT)

    def order(self, *orders: Mapping[str, Any]) -> None:
        """Give the stand-in model these orders, in place of those before."""
        url = f"{self.environment['VERTEX_ENDPOINT']}/localcloud/vertex/echo"
        requests.put(url, json={"orders": list(orders)}, timeout=LAST_LIMIT).raise_for_status()

    def batch_ended(self, request_id: str, *, count: int = 1) -> dict[str, Any]:
        """Wait until a batch has ended for the ``count``-th time; return the type and the data of its last event."""
        found = self.until(
            lambda: [
                events
                for events in [[each for kind in BATCH_ENDS for each in self.events.all(kind, request_id=request_id)]]
                if len({each.id for each in events}) >= count
            ]
        )
        last = max(found[0], key=lambda each: each.data["finished"])
        return {"type": last.type, **last.data}

    def post_event(self, function: str, headers: Mapping[str, str], body: bytes) -> requests.Response:
        """Send a request to the function's own URL, whether it is an event or not."""
        return requests.post(
            self.cloud.functions.urls()[function], data=body, headers=dict(headers), timeout=LAST_LIMIT
        )

    def tick(self) -> dict[str, Any]:
        """Call the poller as Cloud Scheduler does; return its summary, or nothing if it did not answer."""
        self.ticks += 1
        with suppress(requests.ConnectionError):
            answer = requests.post(self.environment["POLL_JOBS_URL"], json={}, timeout=LAST_LIMIT)
            if answer.ok:
                summary: dict[str, Any] = answer.json()
                return summary
        return {}

    def reconcile(self) -> dict[str, Any]:
        """Call the poller when it is time to look for drops whose events were lost."""
        with suppress(NotFound):
            self.state.blob("ledger/reconciled.json").delete()
        return self.tick()

    # Outcomes

    def until(self, probe: Callable[[], Found], timeout: float = LAST_LIMIT, *, ticking: bool = True) -> Found:
        """Call the poller until ``probe`` returns something true, and return that."""
        deadline, pause = time.monotonic() + timeout, threading.Event()
        while not (found := probe()):
            assert time.monotonic() < deadline, f"it did not happen in {timeout} s; open: {self.pending()}"
            if ticking:
                self.tick()
            pause.wait(0.2)
        return found

    def event(self, type: str, *, timeout: float = LAST_LIMIT, **fields: Any) -> ReceivedEvent:  # noqa: A002
        """Tick until an event of ``type`` with ``fields`` is received, and return the first."""
        found: list[ReceivedEvent] = self.until(lambda: self.events.all(type, **fields), timeout)
        return found[0]

    def ids(self, *types: str, **fields: Any) -> set[str]:
        """Return the ids of the received events of ``types`` with ``fields``."""
        return {event.id for kind in types for event in self.events.all(kind, **fields)}

    def pending(self) -> set[str]:
        """Return the index objects of open work, as ``kind/key``."""
        prefix = "ledger/pending/"
        return {blob.name.removeprefix(prefix) for blob in self.storage.list_blobs(self.state, prefix=prefix)}

    def quiet(self, timeout: float = LAST_LIMIT) -> None:
        """Tick until no event is on its way, no work is open, and every published event has been received."""
        self.delivered(timeout)
        self.until(lambda: not self.pending(), timeout)
        self.until(lambda: not self.cloud.pubsub.broker.backlog_size(self._events_log), timeout, ticking=False)

    def item(self, kind: str, *origin: str) -> dict[str, Any] | None:
        """Return the ledger's item of the work that came from ``origin``, or None."""
        blob = self.state.blob(f"ledger/items/{kind}/{hash_of(kind, *origin)}.json")
        try:
            found: dict[str, Any] = json.loads(blob.download_as_bytes())
        except NotFound:
            return None
        return found

    def jobs(self, key: str) -> list[bigquery.QueryJob]:
        """Return BigQuery's jobs of one piece of work."""
        return [job for job in self.all_jobs() if job.job_id.startswith(key)]

    def imports_of(self, model: str) -> list[bigquery.QueryJob]:
        """Return the CREATE MODEL jobs of a model of the world's dataset."""
        queries = [job for job in self.all_jobs() if isinstance(job, bigquery.QueryJob)]
        return [job for job in queries if job.query.startswith("CREATE OR REPLACE MODEL") and f"{model}`" in job.query]

    def all_jobs(self) -> Iterator[Any]:
        """Yield all of BigQuery's jobs."""
        yield from self.bigquery.list_jobs(all_users=True)

    def batches(self, key: str) -> list[dict[str, Any]]:
        """Return Vertex AI's jobs of one piece of work."""
        location = self.environment["VERTEX_LOCATION"]
        url = (
            f"{self.environment['VERTEX_ENDPOINT']}/v1/projects/{self.project}/locations/{location}/batchPredictionJobs"
        )
        answer = requests.get(url, {"filter": f'labels.modeldrop_key="{key}"'}, timeout=LAST_LIMIT)
        found: list[dict[str, Any]] = answer.json().get("batchPredictionJobs", [])
        return found

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return all rows of a table, or none if it does not exist."""
        location = self.bigquery.get_dataset(table.split(".")[0]).location
        try:
            return [dict(row) for row in self.bigquery.query(f"SELECT * FROM `{table}`", location=location).result()]
        except NotFound:
            return []

    def shift_of(self, model: str) -> float | None:
        """Return the number that a model of the world's dataset adds, or None if the model does not exist."""
        query = f"SELECT y FROM ML.PREDICT(MODEL {self.dataset}.{model}, (SELECT 0.0 AS x))"
        try:
            return float(next(iter(self.bigquery.query(query).result())).y)
        except NotFound:
            return None

    def delivered(self, timeout: float = LAST_LIMIT) -> None:
        """Wait until every event is acknowledged by its function or dead-lettered."""
        subscriptions = [
            self.cloud.eventarc.subscription_name(function.service)
            for function in self.cloud.declaration.functions.values()
            if function.is_called_by_events
        ]
        assert self.cloud.pubsub.broker.wait_until_idle(timeout, subscriptions)

    def keys(self, kind: str) -> set[str]:
        """Return the keys of all items of a kind in the ledger."""
        prefix = f"ledger/items/{kind}/"
        names = [blob.name for blob in self.storage.list_blobs(self.state, prefix=prefix)]
        return {name.removeprefix(prefix).removesuffix(".json") for name in names}

    def age_of_drop(self, prefix: str) -> float:
        """Return how many seconds ago the newest object below ``prefix`` was written."""
        newest = max(blob.updated for blob in self.storage.list_blobs(self.models, prefix=prefix))
        return (datetime.now(UTC) - newest).total_seconds()

    # Faults, quotas and calls

    @contextmanager
    def faults(self, *rules: Mapping[str, Any]) -> Iterator[None]:
        """Keep these rules in force, and no others."""
        url = f"{self.environment['LOCALCLOUD_URL']}/faults"
        requests.delete(url, timeout=LAST_LIMIT).raise_for_status()
        answer = requests.post(url, json=list(rules), timeout=LAST_LIMIT)
        assert answer.ok, answer.text
        try:
            yield
        finally:
            requests.delete(url, timeout=LAST_LIMIT).raise_for_status()

    def faults_met(self) -> list[int]:
        """Return how often each rule in force has hit."""
        answer = requests.get(f"{self.environment['LOCALCLOUD_URL']}/faults", timeout=LAST_LIMIT)
        return [each["applied"] for each in answer.json()["faults"]]

    def faults_matched(self) -> list[int]:
        """Return how many calls or deliveries each rule in force was about, hit or not."""
        answer = requests.get(f"{self.environment['LOCALCLOUD_URL']}/faults", timeout=LAST_LIMIT)
        return [each["matched"] for each in answer.json()["faults"]]

    def limit(self, **quotas: float) -> None:
        """Put quotas into force."""
        url = f"{self.environment['LOCALCLOUD_URL']}/quotas"
        requests.post(url, json=quotas, timeout=LAST_LIMIT).raise_for_status()

    def quotas_lifted(self) -> None:
        """Take all quotas out of force."""
        requests.delete(f"{self.environment['LOCALCLOUD_URL']}/quotas", timeout=LAST_LIMIT).raise_for_status()

    def count_calls(self) -> None:
        """Count calls from now on."""
        requests.delete(f"{self.environment['LOCALCLOUD_URL']}/calls", timeout=LAST_LIMIT).raise_for_status()

    def calls(self, caller: str) -> list[str]:
        """Return the methods that the function ``caller`` has called since counting began."""
        answer = requests.get(f"{self.environment['LOCALCLOUD_URL']}/calls", {"caller": caller}, timeout=LAST_LIMIT)
        return [call["method"] for call in answer.json()["calls"]]

    def shell(self) -> dict[str, str]:
        """Return the variables of a shell whose clients use this cloud."""
        return {**self.environment, "PATH": os.environ["PATH"]}

    def ready(self) -> None:
        """Wait until every function answers."""
        self.cloud.functions.wait_until_ready()


def _asking(question: str) -> str:
    return json.dumps({"contents": [{"role": "user", "parts": [{"text": question}]}]})


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of ``folder`` by their names within it."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def fresh(stem: str) -> str:
    """Return a name that is not in use."""
    return f"{stem}_{uuid.uuid4().hex[:8]}"


def together(*deeds: Callable[[], Any]) -> None:
    """Run all ``deeds`` at the same time."""
    begin = threading.Barrier(len(deeds))
    failures: list[BaseException] = []

    def do(deed: Callable[[], Any]) -> None:
        try:
            begin.wait()
            deed()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=do, args=(deed,)) for deed in deeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def shifted(rows: Iterable[Mapping[str, Any]]) -> set[float]:
    """Return the numbers that the rows of a prediction were shifted by: one, if one model made all rows."""
    return {row["y"] - row["x"] for row in rows}
