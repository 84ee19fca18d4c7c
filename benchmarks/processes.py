"""The processes of the scale benchmark: the services, the functions as they are deployed, and the poller."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.deployed import PACKAGES
from localcloud.base.clock import SystemClock, rfc3339
from localcloud.base.credentials import Credentials
from localcloud.functions.deployed_packages import deployed_packages

PROJECT = "benchmark"
STATE_BUCKET = "benchmark-state"
MODEL_BUCKET = "benchmark-models"
WORK_TOPIC = f"projects/{PROJECT}/topics/work"
ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
AS_DEPLOYED = (sys.executable, "-m", "benchmarks.deployed")
# How many objects are sent to the services at once.
_CHUNK = 1_000
_sessions = threading.local()

StoredAtStart = tuple[str, str, str, dict[str, str], str]
"""The bucket, name, content, metadata and time of creation of an object."""


@dataclass(frozen=True)
class Cloud:
    """The running services, and the variables that lead the functions to them."""

    url: str
    environment: dict[str, str]

    def put(self, objects: Sequence[StoredAtStart], jobs: Mapping[str, tuple[float, float]]) -> None:
        """Put objects and jobs (id, creation, end) there."""
        for start in range(0, len(objects), _CHUNK):
            self._post({"objects": objects[start : start + _CHUNK]})
        self._post({"jobs": jobs})

    def counts(self) -> dict[str, Any]:
        """Return what the services have counted so far."""
        return dict(requests.get(f"{self.url}/control", timeout=60).json())

    def parts(self) -> list[dict[str, str]]:
        """Return the parts of its work that the poller has published since the last call."""
        return list(requests.get(f"{self.url}/control/parts", timeout=60).json())

    def _post(self, value: dict[str, Any]) -> None:
        requests.post(f"{self.url}/control", json=value, timeout=60).raise_for_status()


@dataclass(frozen=True)
class RunningFunction:
    """A function as it is deployed: one worker of gunicorn with some threads."""

    url: str
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """Return the CPU time of all its processes so far."""
        process = psutil.Process(self.process.pid)
        times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
        return float(sum(each.user + each.system for each in times))

    def megabytes(self) -> float:
        """Return the memory of its largest process, which handles the events."""
        process = psutil.Process(self.process.pid)
        return float(max(each.memory_info().rss for each in (process, *process.children(recursive=True)))) / 1024**2


@contextmanager
def running_services(*options: str) -> Iterator[Cloud]:
    """Run the services in a process of their own within the block."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "addresses.json"
        with subprocess.Popen([sys.executable, "-m", "benchmarks.services", str(file), *options], cwd=ROOT) as process:
            try:
                wait_for(file.exists, "the services")
                addresses = json.loads(file.read_text())
                key = Path(folder) / "key.json"
                token_uri = f"{addresses['http']}/token"
                Credentials(project=PROJECT, account="runtime", token_uri=token_uri, clock=SystemClock()).write(key)
                yield Cloud(addresses["http"], _environment(addresses["http"], addresses["pubsub"], key))
            finally:
                process.kill()


@contextmanager
def running_function(
    name: str, environment: Mapping[str, str], *, threads: int, source: Path = ROOT / "main.py"
) -> Iterator[RunningFunction]:
    """Start a function within the block. It may not answer yet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*AS_DEPLOYED, "functions_framework", "--target", name, "--source", str(source)]
    with subprocess.Popen(
        [*command, "--signature-type", "cloudevent", "--host", "127.0.0.1", "--port", str(port)],
        cwd=ROOT,
        env={**environment, "WORKERS": "1", "THREADS": str(threads), "K_SERVICE": name},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield RunningFunction(f"http://127.0.0.1:{port}/", process)
        finally:
            process.terminate()


def answers(function: RunningFunction) -> bool:
    """Return whether the function has started."""
    try:
        return requests.head(f"{function.url}robots.txt", timeout=5).status_code < 500
    except requests.ConnectionError:
        return False


def poll(cloud: Cloud, calls: int) -> list[dict[str, float]]:
    """Call the poller every minute in a process of its own; return what each call did and took."""
    done = subprocess.run(
        [*AS_DEPLOYED, "benchmarks.poller", str(calls)],
        cwd=ROOT,
        env=cloud.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def send_message(function: RunningFunction, data: bytes, published: str | None = None) -> int:
    """Send a message of Pub/Sub to a function, as Eventarc does; return the HTTP status."""
    message_id = uuid.uuid4().hex
    published = published or rfc3339(datetime.now(UTC))
    message = {
        "data": base64.b64encode(data).decode(),
        "attributes": {},
        "messageId": message_id,
        "publishTime": published,
    }
    body = {"message": message, "subscription": f"projects/{PROJECT}/subscriptions/benchmark"}
    return send_event(
        function,
        "google.cloud.pubsub.topic.v1.messagePublished",
        f"//pubsub.googleapis.com/projects/{PROJECT}/topics/benchmark",
        body,
    )


def send_event(function: RunningFunction, kind: str, source: str, data: Mapping[str, Any]) -> int:
    """Send an event to a function, in binary mode; return the HTTP status."""
    if not hasattr(_sessions, "session"):
        _sessions.session = requests.Session()
    headers = {"ce-id": uuid.uuid4().hex, "ce-type": kind, "ce-source": source, "ce-specversion": "1.0"}
    headers["ce-time"] = rfc3339(datetime.now(UTC))
    return int(_sessions.session.post(function.url, json=data, headers=headers, timeout=120).status_code)


def wait_for(probe: Callable[[], bool], what: str, pause: float = 0.05) -> None:
    """Wait until ``probe`` is true; raise ``RuntimeError`` after a minute."""
    deadline = time.monotonic() + START_SECONDS
    while not probe():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} took longer than {START_SECONDS:.0f} s")
        time.sleep(pause)


def _environment(url: str, pubsub: str, key: Path) -> dict[str, str]:
    return {
        PACKAGES: deployed_packages(ROOT).as_argument(),
        **{name: os.environ[name] for name in ("PATH", "LANG", "HOME", "TMPDIR") if name in os.environ},
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "GOOGLE_APPLICATION_CREDENTIALS": str(key),
        "STORAGE_EMULATOR_HOST": url,
        "BIGQUERY_EMULATOR_HOST": url,
        "PUBSUB_EMULATOR_HOST": pubsub,
        "MODEL_BUCKET": MODEL_BUCKET,
        "STATE_BUCKET": STATE_BUCKET,
        "OUTPUT_BUCKET": "benchmark-output",
        "EVENTS_TOPIC": f"projects/{PROJECT}/topics/events",
    }
