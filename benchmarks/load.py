"""Load on all functions: many models, many messages at once, and many running jobs for one tick of the poller."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import requests
from google.cloud import bigquery, pubsub_v1, storage
from onnx import TensorProto, helper

from benchmarks.figures import Figure
from benchmarks.local import local_cloud

MODELS = 200
MESSAGES = 2_000
TABLES = 200
RUNNING = 1_000
ROWS = 10
MOST_CALLS = 40
DATASET = "load"
LONGEST_SECONDS = 3600.0
LONGEST_EVENT_SECONDS = 180.0


def measure() -> list[Figure]:
    """Measure models, messages and a tick."""
    # Without reconciliation, the measured tick calls services for jobs only.
    os.environ["RECONCILE_SECONDS"] = "3600"
    # A tick that is measured looks once.
    with local_cloud("--set", "POLL_AGAIN_SECONDS=0"), Client(os.environ) as client:
        return [
            *many_models(client, MODELS),
            *many_messages(client, MESSAGES, TABLES),
            *many_running_jobs(client, RUNNING, TABLES),
        ]


class Client:
    """Uses a running local cloud, and keeps every completion event."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Create the clients; ``environment`` must be the environment of this process."""
        self._environment = dict(environment)
        self.project = environment["GOOGLE_CLOUD_PROJECT"]
        self.bigquery = bigquery.Client()
        self.storage = storage.Client()
        self._publisher = pubsub_v1.PublisherClient()
        self._subscriber = pubsub_v1.SubscriberClient()
        self._events: list[tuple[str, str, dict[str, Any]]] = []
        self._subscription = f"projects/{self.project}/subscriptions/load-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> Client:
        topic = self._environment["EVENTS_TOPIC"]
        self._subscriber.create_subscription(name=self._subscription, topic=topic)
        self._stream = self._subscriber.subscribe(self._subscription, callback=self._keep)
        self.bigquery.create_dataset(DATASET, exists_ok=True)
        rows = [{"x": float(number)} for number in range(ROWS)]
        replace = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
        self.bigquery.load_table_from_json(rows, f"{DATASET}.numbers", location="US", job_config=replace).result()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stream.cancel()
        self._stream.result()
        self._subscriber.delete_subscription(subscription=self._subscription)
        self._subscriber.close()
        self._publisher.stop()

    def drop(self, model: str, shift: float) -> None:
        """Upload a drop of one file, a model that adds ``shift``."""
        bucket = self.storage.bucket(self._environment["MODEL_BUCKET"])
        bucket.blob(f"{DATASET}/{model}/1/model.onnx").upload_from_string(adder(shift))

    def publish_predictions(self, tables: Mapping[str, str], model: str) -> None:
        """Publish predict messages, and wait until all are published.

        Args:
            tables: The table to append to, by request id.
            model: The name of the model in the dataset.
        """
        confirmations = [
            self._publisher.publish(self._environment["PREDICT_TOPIC"], json.dumps(message).encode())
            for request_id, table in tables.items()
            for message in [
                {
                    "model": f"{DATASET}.{model}",
                    "input": {"table": f"{DATASET}.numbers"},
                    "output": {"table": f"{DATASET}.{table}", "write": "append"},
                    "request_id": request_id,
                }
            ]
        ]
        for confirmation in confirmations:
            confirmation.result(timeout=120)

    def tick(self) -> dict[str, Any]:
        """Call the poller; return its answer."""
        answer = requests.post(self._environment["POLL_JOBS_URL"], json={}, timeout=LONGEST_SECONDS)
        answer.raise_for_status()
        return dict(answer.json())

    def wait_until(self, probe: Callable[[], bool], *, ticking: bool = True) -> float:
        """Call the poller until ``probe`` returns true; return the seconds that this took."""
        started, pause = time.monotonic(), threading.Event()
        while not probe():
            if time.monotonic() - started > LONGEST_SECONDS:
                raise TimeoutError(f"the work is not done after {LONGEST_SECONDS:.0f} s")
            if ticking:
                self.tick()
            pause.wait(0.2)
        return time.monotonic() - started

    def count_events(self, event_type: str, field: str, wanted: set[str]) -> Counter[str]:
        """Return how many different events of a type there are for each of the values ``wanted`` of ``field``."""
        ids = {
            (id_, data[field])
            for id_, kind, data in list(self._events)
            if kind == event_type and data.get(field) in wanted
        }
        return Counter(value for _, value in ids)

    def event(self, event_type: str, field: str, value: str) -> dict[str, Any] | None:
        """Return the data of the first event of a type that has this ``value`` in a ``field``; None if there is none yet."""
        found = (data for _, kind, data in list(self._events) if kind == event_type and data.get(field) == value)
        return next(found, None)

    def wait_for_event(self, event_type: str, field: str, value: str) -> tuple[dict[str, Any], datetime]:
        """Wait for the first event of a type that has this ``value`` in a ``field``; return its data, and when it was seen.

        Raises:
            TimeoutError: There is none after ``LONGEST_EVENT_SECONDS``.
        """
        deadline = time.monotonic() + LONGEST_EVENT_SECONDS
        while (data := self.event(event_type, field, value)) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {event_type} of {value} after {LONGEST_EVENT_SECONDS:.0f} s")
            time.sleep(0.05)
        return data, datetime.now(UTC)

    def submitted(self) -> int:
        """Return how many predictions are in the state ``submitted``."""
        bucket = self._environment["STATE_BUCKET"]
        open_work = self.storage.list_blobs(bucket, prefix="ledger/pending/predict/")
        return sum((blob.metadata or {}).get("state") == "submitted" for blob in open_work)

    def rows(self) -> dict[str, int]:
        """Return the number of rows of each table in the dataset."""
        tables = [table.table_id for table in self.bigquery.list_tables(DATASET)]
        return {name: int(self.bigquery.get_table(f"{DATASET}.{name}").num_rows) for name in tables}

    @contextmanager
    def delayed_jobs(self) -> Iterator[None]:
        """Delay all BigQuery jobs until the end of the block."""
        url = f"{self._environment['LOCALCLOUD_URL']}/faults"
        rule = {"method": "bigquery.jobs.run", "do": {"delay_seconds": LONGEST_SECONDS}}
        requests.post(url, json=rule, timeout=60).raise_for_status()
        try:
            yield
        finally:
            requests.delete(url, timeout=60).raise_for_status()

    @contextmanager
    def recorded_calls(self) -> Iterator[list[str]]:
        """Record the calls of the poller within the block.

        Yields:
            A list with the methods that were called, which is filled after the block.
        """
        url, calls = f"{self._environment['LOCALCLOUD_URL']}/calls", list[str]()
        requests.delete(url, timeout=60).raise_for_status()
        yield calls
        answer = requests.get(url, {"caller": "poll_jobs"}, timeout=60)
        calls += [call["method"] for call in answer.json()["calls"]]

    def _keep(self, message: Any) -> None:
        attributes = dict(message.attributes)
        if "ce-type" in attributes:
            self._events.append((attributes["ce-id"], attributes["ce-type"], json.loads(message.data)))
        message.ack()


def many_models(client: Client, count: int) -> list[Figure]:
    """Drop ``count`` models one by one, and wait until each is imported."""
    names = {f"{client.project}.{DATASET}.{_unique('model')}": shift for shift in range(count)}
    started = time.monotonic()
    for name, shift in names.items():
        client.drop(name.rpartition(".")[2], float(shift))
    client.wait_until(lambda: len(client.count_events("modeldrop.model.imported.v1", "model", set(names))) == count)
    seconds = time.monotonic() - started
    events = client.count_events("modeldrop.model.imported.v1", "model", set(names))
    there = {f"{model.project}.{model.dataset_id}.{model.model_id}" for model in client.bigquery.list_models(DATASET)}
    once = set(events.values()) == {1} and set(names) <= there
    return [Figure("load", f"{count} models", f"{seconds:.0f} s", f"{count / seconds:.1f}/s", "each once", once)]


def many_messages(client: Client, count: int, tables: int) -> list[Figure]:
    """Publish ``count`` predict messages at once for ``tables`` tables, and wait until each has succeeded."""
    model = _import_model(client)
    wanted = _requests(count, tables)
    started = time.monotonic()
    client.publish_predictions(wanted, model)
    client.wait_until(
        lambda: len(client.count_events("modeldrop.prediction.succeeded.v1", "request_id", set(wanted))) == count
    )
    seconds = time.monotonic() - started
    return [
        Figure(
            "load",
            f"{count:,} predict messages into {tables} tables",
            f"{seconds:.0f} s",
            f"{count / seconds:.1f}/s",
            "each once",
            _each_once(client, wanted),
        )
    ]


def many_running_jobs(client: Client, count: int, tables: int) -> list[Figure]:
    """Count the calls of a tick while ``count`` jobs run, then wait until all have succeeded."""
    model = _import_model(client)
    wanted = _requests(count, tables)
    with client.delayed_jobs():
        client.publish_predictions(wanted, model)
        submitting = client.wait_until(lambda: client.submitted() == count, ticking=False)
        with client.recorded_calls() as calls:
            started = time.monotonic()
            answer = client.tick()
            seconds = time.monotonic() - started
    client.wait_until(
        lambda: len(client.count_events("modeldrop.prediction.succeeded.v1", "request_id", set(wanted))) == count
    )
    return [
        Figure("load", f"{count:,} jobs submitted", f"{submitting:.0f} s", f"{count / submitting:.1f}/s", "", None),
        Figure(
            "load",
            f"a tick over {answer['pending']:,} running jobs",
            f"{len(calls)} calls",
            f"{seconds:.1f} s",
            f"<= {MOST_CALLS} calls",
            len(calls) <= MOST_CALLS and answer["pending"] == count,
        ),
        Figure("load", f"these {count:,} jobs at their end", "done", "", "each once", _each_once(client, wanted)),
    ]


def adder(shift: float) -> bytes:
    """Return an ONNX model whose output ``y`` is its input ``x`` plus ``shift``."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    constant = helper.make_tensor("shift", TensorProto.FLOAT, [1], [shift])
    graph = helper.make_graph([helper.make_node("Add", ["x", "shift"], ["y"])], "adder", [x], [y], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def _import_model(client: Client) -> str:
    name = _unique("model")
    client.drop(name, 0.5)
    whole = f"{client.project}.{DATASET}.{name}"
    client.wait_until(lambda: len(client.count_events("modeldrop.model.imported.v1", "model", {whole})) == 1)
    return name


def _requests(count: int, tables: int) -> dict[str, str]:
    """Return the tables of ``count`` new request ids."""
    names = [_unique("rows") for _ in range(tables)]
    return {_unique("request"): names[number % tables] for number in range(count)}


def _each_once(client: Client, wanted: Mapping[str, str]) -> bool:
    """Return whether each request has exactly one event, and each table has the rows of its requests exactly once."""
    events = client.count_events("modeldrop.prediction.succeeded.v1", "request_id", set(wanted))
    rows, expected = client.rows(), Counter(wanted.values())
    wrong = {table: rows.get(table) for table, count in expected.items() if rows.get(table) != count * ROWS}
    if wrong:
        print(f"{len(wrong)} of {len(expected)} tables do not have {ROWS} rows per request: {wrong}", file=sys.stderr)
    return set(events) == set(wanted) and set(events.values()) == {1} and not wrong


def _unique(stem: str) -> str:
    return f"{stem}_{uuid.uuid4().hex[:8]}"
