"""How long a new instance of a function takes to its first event, compared with an empty function of functions-framework.

The services answer at once, so that the functions' own start is measured: the imports, the clients and the first calls.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from benchmarks.figures import Figure
from benchmarks.predictions import message_of
from benchmarks.processes import (
    MODEL_BUCKET,
    ROOT,
    RunningFunction,
    running_function,
    running_services,
    send_event,
    send_message,
    wait_for,
)
from localcloud.base.clock import rfc3339

RUNS = 5
MOST_TIMES_BARE = 2.8
# Services that answer at once, and take any number of writes.
NO_LATENCY = ("--storage-seconds=0", "--bigquery-seconds=0", "--pubsub-seconds=0", "--write-seconds=0")
# What waits by intention.
NO_WAITS = {"OBJECT_WRITE_SECONDS": "0", "SETTLE_WAIT_SECONDS": "0"}
BARE = """
import functions_framework

@functions_framework.cloud_event
def bare(event):
    pass
"""
OBJECT = "films/genres/1/model.onnx"


@dataclass(frozen=True)
class Start:
    """What a start took until the first event was answered."""

    seconds: float
    cpu_seconds: float
    """The CPU time of all processes. Other load on the machine changes it less."""
    megabytes: float
    """The memory of the process that answered."""

    @classmethod
    def median(cls, starts: Sequence[Start]) -> Start:
        """Return the median of each figure."""
        return cls(
            *(
                statistics.median(getattr(each, name) for each in starts)
                for name in ("seconds", "cpu_seconds", "megabytes")
            )
        )

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s, {self.cpu_seconds:.2f} s of CPU, {self.megabytes:.0f} MB"


def cold_starts(runs: int = RUNS) -> list[Figure]:
    """Measure the starts of an empty function, of `import_model` and of `predict`, by turns."""
    with tempfile.TemporaryDirectory() as folder, running_services(*NO_LATENCY) as cloud:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        cloud.put([(MODEL_BUCKET, OBJECT, "not a model", {}, rfc3339(datetime.now(UTC)))], {})
        environment = {**cloud.environment, **NO_WAITS}
        taken: dict[str, list[Start]] = {"bare": [], "import_model": [], "predict": []}
        for number in range(runs):
            taken["bare"].append(_start("bare", environment, _predict(number), source=bare))
            taken["import_model"].append(_start("import_model", environment, _upload))
            taken["predict"].append(_start("predict", environment, _predict(number)))
    median = {name: Start.median(starts) for name, starts in taken.items()}
    return [_figure(name, median[name], median["bare"]) for name in ("import_model", "predict")]


def _figure(name: str, start: Start, bare: Start) -> Figure:
    times = start.seconds / bare.seconds
    return Figure(
        "scale",
        f"cold start of {name}, to the answer of its first event",
        f"{times:.2f} times an empty function",
        f"{start}; empty: {bare}; {start.cpu_seconds / bare.cpu_seconds:.2f} times its CPU time",
        f"<= {MOST_TIMES_BARE} times",
        times <= MOST_TIMES_BARE,
    )


def _start(
    name: str,
    environment: Mapping[str, str],
    send: Callable[[RunningFunction], int],
    *,
    source: Path = ROOT / "main.py",
) -> Start:
    """Start a function, and send it its first event."""
    started = time.monotonic()
    with running_function(name, environment, threads=8, source=source) as function:
        statuses: list[int] = []

        def has_answered() -> bool:
            try:
                statuses.append(send(function))
            except requests.ConnectionError:
                return False
            return True

        wait_for(has_answered, name, pause=0.01)
        seconds = time.monotonic() - started
        if statuses[0] not in {200, 204}:
            raise RuntimeError(f"{name} answered its first event with {statuses[0]}")
        return Start(seconds, function.cpu_seconds(), function.megabytes())


def _predict(number: int) -> Callable[[RunningFunction], int]:
    return lambda function: send_message(function, json.dumps(message_of(f"cold-{number}")).encode())


def _upload(function: RunningFunction) -> int:
    data = {
        "bucket": MODEL_BUCKET,
        "name": OBJECT,
        "generation": "1",
        "timeCreated": rfc3339(datetime.now(UTC)),
    }
    source = f"//storage.googleapis.com/projects/_/buckets/{MODEL_BUCKET}"
    return send_event(function, "google.cloud.storage.object.v1.finalized", source, data)
