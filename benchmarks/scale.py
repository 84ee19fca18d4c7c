"""How much one process of the poller, and one instance of a function, do when services take as long as Google's do.

The local cloud would be the limit, so the services are those of ``benchmarks/services``, in a process of their own: Cloud
Storage takes 40 ms for a call and one write a second of an object, BigQuery takes 150 ms, and Pub/Sub 20 ms.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from benchmarks.figures import Figure
from declaration.reading import read_declaration
from localcloud.base.clock import SystemClock
from localcloud.base.credentials import Credentials
from shared.engine.index import index_metadata, index_name
from shared.engine.ledger import OPEN, STATE, item_name
from shared.engine.stored_items import item_to_json
from shared.keys import hash_of
from shared.work import (
    Item,
    Job,
    Kind,
    PredictionFacts,
    PredictionMessage,
    Step,
    StepState,
    System,
)

PROJECT = "benchmark"
STATE_BUCKET = "benchmark-state"
AT_ONCE = 1_000
ENDS = 5_000
OPEN_ITEMS = 50_000
MESSAGES = 600
MOST_SECONDS_TO_EVENT = 60.0
MOST_SECONDS_IDLE = 6.0
MOST_MEGABYTES_IDLE = 150.0
LEAST_MESSAGES_A_SECOND = 20.0
START_SECONDS = 60.0
# How many objects are sent to the services at once.
_CHUNK = 1_000
ROOT = Path(__file__).resolve().parent.parent


def measure() -> list[Figure]:
    """Measure the ends of many jobs, a tick over many open items, and many messages."""
    return [
        *ended_at_once(AT_ONCE),
        *many_ends(ENDS),
        *many_open_items(OPEN_ITEMS),
        *many_messages(MESSAGES),
    ]


@dataclass(frozen=True)
class Cloud:
    """The running services, and the variables that lead the functions to them."""

    url: str
    environment: dict[str, str]

    def put(self, objects: Sequence[tuple[str, str, str, dict[str, str]]], jobs: dict[str, float]) -> None:
        """Put objects (bucket, name, content, metadata) and jobs (id, end) there."""
        for start in range(0, len(objects), _CHUNK):
            self._post({"objects": objects[start : start + _CHUNK]})
        self._post({"jobs": jobs})

    def counts(self) -> dict[str, Any]:
        """Return what the services have counted so far."""
        return dict(requests.get(f"{self.url}/control", timeout=60).json())

    def _post(self, value: dict[str, Any]) -> None:
        requests.post(f"{self.url}/control", json=value, timeout=60).raise_for_status()


@contextmanager
def running_services(*options: str) -> Iterator[Cloud]:
    """Run the services in a process of their own within the block."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "addresses.json"
        with subprocess.Popen([sys.executable, "-m", "benchmarks.services", str(file), *options], cwd=ROOT) as process:
            try:
                _wait_for(file.exists, "the services")
                addresses = json.loads(file.read_text())
                key = Path(folder) / "key.json"
                token_uri = f"{addresses['http']}/token"
                Credentials(project=PROJECT, account="runtime", token_uri=token_uri, clock=SystemClock()).write(key)
                yield Cloud(addresses["http"], _environment(addresses["http"], addresses["pubsub"], key))
            finally:
                process.kill()


def many_ends(count: int) -> list[Figure]:
    """Let ``count`` jobs end within one minute, evenly, and measure how soon each event is published."""
    with running_services() as cloud:
        start = time.time() + 15.0
        items = [_open_prediction(number) for number in range(count)]
        ends = {item.key: start + 60.0 * number / count for number, item in enumerate(items)}
        cloud.put([each for item in items for each in _objects(item)], {_job_id(key): ends[key] for key in ends})
        time.sleep(max(0.0, start - time.time()))
        calls = _poll(cloud, 3)
        counts = cloud.counts()
    delays = sorted(when - ends[subject.partition("/")[2]] for subject, when in counts["events"].items())
    published = len(delays)
    worst = delays[int(0.99 * published)] if published else 0.0
    cpu = sum(call["cpu"] for call in calls)
    name = f"{count:,} predictions that end in a minute"
    return [
        Figure(
            "scale",
            f"{name}: 99 % of events",
            f"{worst:.1f} s",
            f"half within {statistics.median(delays):.1f} s, {1000 * cpu / count:.1f} ms of CPU each",
            f"<= {MOST_SECONDS_TO_EVENT:.0f} s, all published",
            published == count and worst <= MOST_SECONDS_TO_EVENT,
        ),
    ]


def ended_at_once(count: int) -> list[Figure]:
    """Let ``count`` jobs be over when the poller is called, and measure how many ends it publishes a second."""
    with running_services() as cloud:
        items = [_open_prediction(number) for number in range(count)]
        cloud.put([each for item in items for each in _objects(item)], {_job_id(item.key): 0.0 for item in items})
        calls = _poll(cloud, 1)
        counts = cloud.counts()
    times = sorted(counts["events"].values())
    rate = (len(times) - 1) / (times[-1] - times[0])
    cpu = sum(call["cpu"] for call in calls)
    writes, refused = counts["calls"].get("insert", 0), counts["refused"]
    return [
        Figure(
            "scale",
            f"{count:,} predictions that have ended at once",
            f"{rate:.0f} events/s",
            f"{1000 * cpu / count:.1f} ms of CPU each",
            f">= {ENDS / 60:.0f}/s, each once",
            rate >= ENDS / 60 and len(times) == count and not counts["repeated"],
        ),
        Figure(
            "scale",
            f"{count:,} predictions that have ended at once: writes",
            f"{writes / count:.2f} of each item",
            f"{refused / count:.2f} refused with 429",
            "1, none refused",
            writes == count and not refused,
        ),
    ]


def many_open_items(count: int) -> list[Figure]:
    """Measure a tick over ``count`` items whose jobs run."""
    with running_services() as cloud:
        cloud.environment["POLL_AGAIN_SECONDS"] = "0"
        items = [_open_prediction(number) for number in range(count)]
        later = time.time() + 86400.0
        cloud.put([_objects(item)[1] for item in items], {_job_id(item.key): later for item in items})
        [call] = _poll(cloud, 1)
    name = f"a tick over {count:,} open items"
    return [
        Figure(
            "scale",
            name,
            f"{call['seconds']:.1f} s",
            f"{call['cpu']:.1f} s of CPU",
            f"<= {MOST_SECONDS_IDLE:.0f} s",
            call["seconds"] <= MOST_SECONDS_IDLE and call["pending"] == count,
        ),
        Figure(
            "scale",
            f"{name}: memory",
            f"{call['megabytes']:.0f} MB",
            "",
            f"<= {MOST_MEGABYTES_IDLE:.0f} MB",
            call["megabytes"] <= MOST_MEGABYTES_IDLE,
        ),
    ]


def many_messages(count: int, concurrency: int | None = None) -> list[Figure]:
    """Send ``count`` predict messages to one instance of the function, ``concurrency`` at a time; None: as declared."""
    concurrency = concurrency or read_declaration(ROOT / "deploy" / "functions.yaml").functions["predict"].concurrency
    with running_services() as cloud, _function("predict", cloud, threads=concurrency) as url:
        _send(url, "warm-up")
        before = cloud.counts()["jobs"]
        started = time.monotonic()
        with ThreadPoolExecutor(concurrency) as threads:
            answers = list(threads.map(lambda number: _send(url, f"request-{number}"), range(count)))
        seconds = time.monotonic() - started
        counts = cloud.counts()
    submitted = counts["jobs"] - before
    return [
        Figure(
            "scale",
            f"{count:,} predict messages to one instance, {concurrency} at a time",
            f"{count / seconds:.1f}/s",
            f"{counts['refused'] / count:.2f} writes refused with 429 each",
            f">= {LEAST_MESSAGES_A_SECOND:.0f}/s, each submitted",
            count / seconds >= LEAST_MESSAGES_A_SECOND and submitted == count and set(answers) <= {200, 204},
        )
    ]


def _environment(url: str, pubsub: str, key: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "LANG", "HOME", "TMPDIR") if name in os.environ},
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        "STORAGE_EMULATOR_HOST": url,
        "BIGQUERY_EMULATOR_HOST": url,
        "PUBSUB_EMULATOR_HOST": pubsub,
        "MODEL_BUCKET": "benchmark-models",
        "STATE_BUCKET": STATE_BUCKET,
        "OUTPUT_BUCKET": "benchmark-output",
        "EVENTS_TOPIC": f"projects/{PROJECT}/topics/events",
    }


def _open_prediction(number: int) -> Item:
    """Return a prediction whose job was submitted some minutes ago."""
    key = hash_of("scale", str(number))
    created = datetime.now(UTC) - timedelta(minutes=5)
    message = _message(f"request-{number}")
    model, table = f"{PROJECT}.scale.model", f"{PROJECT}.scale.rows"
    job = Job(System.BIGQUERY, _job_id(key), "US")
    return Item(
        kind=Kind.PREDICT,
        key=key,
        payload=key,
        request=PredictionMessage(message, created, model, table),
        facts=PredictionFacts(output_columns=({"name": "label", "type": "STRING", "mode": "NULLABLE"},)),
        created=created,
        request_id=message["request_id"],
        message_id=str(number),
        sources=(str(number),),
        location="US",
        steps=(Step("predict", System.BIGQUERY, StepState.SUBMITTED, job=job, sent=created),),
    )


def _job_id(key: str) -> str:
    return f"{key}-predict-1"


def _objects(item: Item) -> list[tuple[str, str, str, dict[str, str]]]:
    """Return the object and the index object of an item."""
    content = json.dumps(item_to_json(item), sort_keys=True)
    deadline = item.created + timedelta(hours=12)
    return [
        (STATE_BUCKET, item_name(item.kind, item.key), content, {STATE: OPEN}),
        (STATE_BUCKET, index_name(item), "", index_metadata(item, deadline)),
    ]


def _message(request_id: str) -> dict[str, Any]:
    return {
        "model": "scale.model",
        "input": {"query": "SELECT title AS input FROM scale.titles"},
        "output": {"table": "scale.rows", "write": "append"},
        "request_id": request_id,
    }


def _poll(cloud: Cloud, calls: int) -> list[dict[str, float]]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.poller", str(calls)],
        cwd=ROOT,
        env=cloud.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def _function(name: str, cloud: Cloud, *, threads: int) -> Iterator[str]:
    """Run a function as it is deployed: one worker of gunicorn with some threads."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "functions_framework", "--target", name, "--source", "main.py"]
    environment = {**cloud.environment, "WORKERS": "1", "THREADS": str(threads), "K_SERVICE": name}
    with subprocess.Popen(
        [*command, "--signature-type", "cloudevent", "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            url = f"http://127.0.0.1:{port}/"
            _wait_for(lambda: _answers(url), name)
            yield url
        finally:
            process.terminate()


_sessions = threading.local()


def _send(url: str, request_id: str) -> int:
    """Send a predict message as Eventarc does; return the HTTP status."""
    if not hasattr(_sessions, "session"):
        _sessions.session = requests.Session()
    message_id = uuid.uuid4().hex
    data = base64.b64encode(json.dumps(_message(request_id)).encode()).decode()
    published = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    headers = {
        "ce-id": message_id,
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "ce-source": f"//pubsub.googleapis.com/projects/{PROJECT}/topics/predict",
        "ce-specversion": "1.0",
        "ce-time": published,
    }
    body = {
        "message": {"data": data, "attributes": {}, "messageId": message_id, "publishTime": published},
        "subscription": f"projects/{PROJECT}/subscriptions/predict",
    }
    answer = _sessions.session.post(url, json=body, headers=headers, timeout=120)
    return int(answer.status_code)


def _answers(url: str) -> bool:
    try:
        return requests.head(f"{url}robots.txt", timeout=5).status_code < 500
    except requests.ConnectionError:
        return False


def _wait_for(probe: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not probe():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not start")
        time.sleep(0.05)
