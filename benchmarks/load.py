"""The whole chain under load: many messages at once, many jobs at a tick of the poller, many models."""

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


def measure() -> list[Figure]:
    """Return the figures of issue 4: messages, a tick, models."""
    # The tick that is counted is to be one that looks at jobs only.
    os.environ["RECONCILE_SECONDS"] = "3600"
    with local_cloud(), Chain(os.environ) as chain:
        return [
            *many_models(chain, MODELS),
            *many_messages(chain, MESSAGES, TABLES),
            *many_running_jobs(chain, RUNNING, TABLES),
        ]


class Chain:
    """The clients of a running local cloud, and every event that it tells."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """``environment`` leads the clients there; this process has it as well."""
        self._environment = dict(environment)
        self.project = environment["GOOGLE_CLOUD_PROJECT"]
        self.bigquery = bigquery.Client()
        self.storage = storage.Client()
        self._publisher = pubsub_v1.PublisherClient()
        self._subscriber = pubsub_v1.SubscriberClient()
        self._events: list[tuple[str, str, dict[str, Any]]] = []
        self._subscription = f"projects/{self.project}/subscriptions/load-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> Chain:
        topic = self._environment["EVENTS_TOPIC"]
        self._subscriber.create_subscription(name=self._subscription, topic=topic)
        self._stream = self._subscriber.subscribe(self._subscription, callback=self._keep)
        self.bigquery.create_dataset(DATASET, exists_ok=True)
        rows = [{"x": float(number)} for number in range(ROWS)]
        anew = bigquery.LoadJobConfig(write_disposition="WRITE_TRUNCATE")
        self.bigquery.load_table_from_json(rows, f"{DATASET}.numbers", location="US", job_config=anew).result()
        return self

    def __exit__(self, *failure: object) -> None:
        self._stream.cancel()
        self._stream.result()
        self._subscriber.delete_subscription(subscription=self._subscription)
        self._subscriber.close()
        self._publisher.stop()

    def drop(self, model: str, shift: float) -> None:
        """Upload a model that adds ``shift``: one file, one drop."""
        bucket = self.storage.bucket(self._environment["MODEL_BUCKET"])
        bucket.blob(f"{DATASET}/{model}/1/model.onnx").upload_from_string(adder(shift))

    def ask(self, requests_: Mapping[str, str], model: str) -> None:
        """Publish a predict message for each request id, to append to its table; return when all are published."""
        confirmations = [
            self._publisher.publish(self._environment["PREDICT_TOPIC"], json.dumps(message).encode())
            for request_id, table in requests_.items()
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
        """Call the poller; return what it told."""
        answer = requests.post(self._environment["POLL_JOBS_URL"], json={}, timeout=LONGEST_SECONDS)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told

    def until(self, probe: Callable[[], bool], *, ticking: bool = True) -> float:
        """Call the poller until ``probe`` holds; return how many seconds that took."""
        started, pause = time.monotonic(), threading.Event()
        while not probe():
            if time.monotonic() - started > LONGEST_SECONDS:
                raise TimeoutError("the chain does not get done")
            if ticking:
                self.tick()
            pause.wait(0.2)
        return time.monotonic() - started

    def told(self, event_type: str, field: str, wanted: set[str]) -> Counter[str]:
        """Return how many events of a type came, with different ids, for each of the values ``wanted`` of ``field``."""
        ids = {
            (id_, data[field])
            for id_, kind, data in list(self._events)
            if kind == event_type and data.get(field) in wanted
        }
        return Counter(value for _, value in ids)

    def submitted(self) -> int:
        """Return how many predictions have a job that is not known to have ended."""
        bucket = self._environment["STATE_BUCKET"]
        open_work = self.storage.list_blobs(bucket, prefix="ledger/pending/predict/")
        return sum((blob.metadata or {}).get("state") == "submitted" for blob in open_work)

    def rows(self) -> dict[str, int]:
        """Return how many rows each table of the dataset has."""
        tables = [table.table_id for table in self.bigquery.list_tables(DATASET)]
        return {name: int(self.bigquery.get_table(f"{DATASET}.{name}").num_rows) for name in tables}

    @contextmanager
    def jobs_held_up(self) -> Iterator[None]:
        """Let every job of BigQuery wait until the block ends."""
        url = f"{self._environment['LOCALCLOUD_URL']}/faults"
        rule = {"method": "bigquery.jobs.run", "do": {"delay_seconds": LONGEST_SECONDS}}
        requests.post(url, json=rule, timeout=60).raise_for_status()
        try:
            yield
        finally:
            requests.delete(url, timeout=60).raise_for_status()

    @contextmanager
    def calls_of_poller(self) -> Iterator[list[str]]:
        """Give a list that holds, after the block, the methods that the poller called within it."""
        url, calls = f"{self._environment['LOCALCLOUD_URL']}/calls", list[str]()
        requests.delete(url, timeout=60).raise_for_status()
        yield calls
        answer = requests.get(url, {"caller": "poll_jobs"}, timeout=60)
        calls += [call["method"] for call in answer.json()["calls"]]

    def _keep(self, message: Any) -> None:
        attributes = dict(message.attributes)
        self._events.append((attributes["ce-id"], attributes["ce-type"], json.loads(message.data)))
        message.ack()


def many_models(chain: Chain, count: int) -> list[Figure]:
    """Drop ``count`` models one after the other, and wait until each is imported."""
    names = {f"{chain.project}.{DATASET}.{_fresh('model')}": shift for shift in range(count)}
    started = time.monotonic()
    for name, shift in names.items():
        chain.drop(name.rpartition(".")[2], float(shift))
    chain.until(lambda: len(chain.told("modeldrop.model.imported.v1", "model", set(names))) == count)
    seconds = time.monotonic() - started
    told = chain.told("modeldrop.model.imported.v1", "model", set(names))
    there = {f"{model.project}.{model.dataset_id}.{model.model_id}" for model in chain.bigquery.list_models(DATASET)}
    once = set(told.values()) == {1} and set(names) <= there
    return [Figure("load", f"{count} models", f"{seconds:.0f} s", f"{count / seconds:.1f}/s", "each once", once)]


def many_messages(chain: Chain, count: int, tables: int) -> list[Figure]:
    """Publish ``count`` predict messages at once, into ``tables`` tables, and wait until each has its rows."""
    model = _model(chain)
    wanted = _requests(count, tables)
    started = time.monotonic()
    chain.ask(wanted, model)
    chain.until(lambda: len(chain.told("modeldrop.prediction.succeeded.v1", "request_id", set(wanted))) == count)
    seconds = time.monotonic() - started
    return [
        Figure(
            "load",
            f"{count:,} predict messages into {tables} tables",
            f"{seconds:.0f} s",
            f"{count / seconds:.1f}/s",
            "each once",
            _each_once(chain, wanted),
        )
    ]


def many_running_jobs(chain: Chain, count: int, tables: int) -> list[Figure]:
    """Let the poller look while ``count`` jobs run, count its calls, and wait until all are done."""
    model = _model(chain)
    wanted = _requests(count, tables)
    with chain.jobs_held_up():
        chain.ask(wanted, model)
        submitting = chain.until(lambda: chain.submitted() == count, ticking=False)
        with chain.calls_of_poller() as calls:
            started = time.monotonic()
            told = chain.tick()
            seconds = time.monotonic() - started
    chain.until(lambda: len(chain.told("modeldrop.prediction.succeeded.v1", "request_id", set(wanted))) == count)
    return [
        Figure("load", f"{count:,} jobs submitted", f"{submitting:.0f} s", f"{count / submitting:.1f}/s", "", None),
        Figure(
            "load",
            f"a tick over {told['pending']:,} running jobs",
            f"{len(calls)} calls",
            f"{seconds:.1f} s",
            f"<= {MOST_CALLS} calls",
            len(calls) <= MOST_CALLS and told["pending"] == count,
        ),
        Figure("load", f"these {count:,} jobs, once they end", "done", "", "each once", _each_once(chain, wanted)),
    ]


def adder(shift: float) -> bytes:
    """Return an ONNX model that gives ``y``, which is ``x`` plus ``shift``."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])
    constant = helper.make_tensor("shift", TensorProto.FLOAT, [1], [shift])
    graph = helper.make_graph([helper.make_node("Add", ["x", "shift"], ["y"])], "adder", [x], [y], [constant])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    serialized: bytes = model.SerializeToString()
    return serialized


def _model(chain: Chain) -> str:
    name = _fresh("model")
    chain.drop(name, 0.5)
    whole = f"{chain.project}.{DATASET}.{name}"
    chain.until(lambda: len(chain.told("modeldrop.model.imported.v1", "model", {whole})) == 1)
    return name


def _requests(count: int, tables: int) -> dict[str, str]:
    """Return ``count`` fresh request ids with their tables."""
    names = [_fresh("rows") for _ in range(tables)]
    return {_fresh("request"): names[number % tables] for number in range(count)}


def _each_once(chain: Chain, wanted: Mapping[str, str]) -> bool:
    """Return whether each request was told once and each table has the rows of its requests, once."""
    told = chain.told("modeldrop.prediction.succeeded.v1", "request_id", set(wanted))
    rows, expected = chain.rows(), Counter(wanted.values())
    wrong = {table: rows.get(table) for table, count in expected.items() if rows.get(table) != count * ROWS}
    if wrong:
        print(f"{len(wrong)} of {len(expected)} tables do not have {ROWS} rows a request: {wrong}", file=sys.stderr)
    return set(told) == set(wanted) and set(told.values()) == {1} and not wrong


def _fresh(stem: str) -> str:
    return f"{stem}_{uuid.uuid4().hex[:8]}"
