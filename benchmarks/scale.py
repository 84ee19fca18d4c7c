"""How much the poller, and one instance of a function, do when services take as long as Google's do.

The local cloud would be the limit, so the services are those of ``benchmarks/services``, in a process of their own: Cloud
Storage takes 40 ms for a call and one write a second of an object, BigQuery takes 150 ms, and Pub/Sub 20 ms.

All processes share the processors of this machine. If the services or the machine are busy all the time, they are the limit,
and the figures say so.
"""

from __future__ import annotations

import base64
import json
import statistics
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import psutil

from benchmarks.cold_start import cold_starts
from benchmarks.figures import Figure
from benchmarks.predictions import job_id, message_of, objects_of, open_prediction
from benchmarks.processes import (
    ROOT,
    WORK_TOPIC,
    Cloud,
    RunningFunction,
    answers,
    poll,
    running_function,
    running_services,
    send_message,
    wait_for,
)
from declaration.reading import read_declaration

AT_ONCE = 1_000
ENDS = 5_000
OPEN_ITEMS = 50_000
MESSAGES = 600
# The instances of `poll_part` that continue what the poller hands out.
INSTANCES = 2
MOST_SECONDS_TO_EVENT = 60.0
MOST_SECONDS_IDLE = 6.0
MOST_MEGABYTES_IDLE = 150.0
LEAST_MESSAGES_A_SECOND = 20.0
# A process, or all processors, that are busy for this share of the time are the limit.
BUSY = 0.9


def measure() -> list[Figure]:
    """Measure the ends of many jobs, a tick over many open items, many messages, and the starts of functions."""
    return [
        *ended_at_once(AT_ONCE),
        *ended_at_once(AT_ONCE, instances=INSTANCES),
        *many_ends(ENDS, instances=INSTANCES),
        *many_open_items(OPEN_ITEMS),
        *many_messages(MESSAGES),
        *cold_starts(),
    ]


@dataclass
class Load:
    """How busy the services and the machine were during a measurement."""

    services: float = 0.0
    """The share of one processor that the services used."""
    machine: float = 0.0
    """The share of all processors that all processes of the machine used."""

    def __str__(self) -> str:
        shares = f"services {self.services:.0%} of a CPU, machine {self.machine:.0%}"
        limits = [name for name, share in (("services", self.services), ("machine", self.machine)) if share > BUSY]
        return f"{shares}; the limit: the {' and the '.join(limits)}" if limits else shares


@contextmanager
def measured_load(cloud: Cloud) -> Iterator[Load]:
    """Measure the load within the block."""
    load, before = Load(), cloud.counts()
    psutil.cpu_percent()
    yield load
    load.machine = psutil.cpu_percent() / 100
    after = cloud.counts()
    load.services = (after["cpu"] - before["cpu"]) / (after["now"] - before["now"])


class Instances:
    """Instances of `poll_part`, and the delivery of the parts that the poller publishes."""

    def __init__(self, cloud: Cloud, functions: list[RunningFunction]) -> None:
        """Deliver to these functions."""
        self._cloud = cloud
        self._functions = functions
        self._free = list(functions)
        self._is_free = threading.Condition()
        self._stopping = threading.Event()

    def cpu_seconds(self) -> float:
        """Return the CPU time that the functions have used so far."""
        return sum(each.cpu_seconds() for each in self._functions)

    def deliver(self) -> None:
        """Deliver each part to an instance that is free, until ``stop``."""
        with ThreadPoolExecutor(len(self._functions)) as pool:
            while not self._stopping.wait(0.05):
                for part in self._cloud.parts():
                    pool.submit(self._send, part)

    def stop(self) -> None:
        """End the delivery."""
        self._stopping.set()

    def _send(self, part: dict[str, str]) -> None:
        with self._is_free:
            self._is_free.wait_for(lambda: self._free)
            function = self._free.pop()
        try:
            send_message(function, base64.b64decode(part["data"]), part["published"])
        finally:
            with self._is_free:
                self._free.append(function)
                self._is_free.notify()


@contextmanager
def running_instances(cloud: Cloud, count: int) -> Iterator[Instances]:
    """Let the poller hand out work to ``count`` instances within the block."""
    with ExitStack() as stack:
        if count:
            cloud.environment["WORK_TOPIC"] = WORK_TOPIC
        functions = [
            stack.enter_context(running_function("poll_part", cloud.environment, threads=1)) for _ in range(count)
        ]
        for function in functions:
            wait_for(partial(answers, function), "poll_part")
        instances = Instances(cloud, functions)
        if count:
            delivery = threading.Thread(target=instances.deliver, daemon=True)
            delivery.start()
            stack.callback(delivery.join)
            stack.callback(instances.stop)
        yield instances


def many_ends(count: int, *, instances: int = 0) -> list[Figure]:
    """Let ``count`` jobs end within one minute, evenly, and measure how soon each event is published."""
    with running_services() as cloud, running_instances(cloud, instances) as others:
        start = time.time() + 15.0
        items = [open_prediction(number) for number in range(count)]
        ends = {item.key: start + 60.0 * number / count for number, item in enumerate(items)}
        jobs = {job_id(item.key): (item.created.timestamp(), ends[item.key]) for item in items}
        cloud.put([each for item in items for each in objects_of(item)], jobs)
        time.sleep(max(0.0, start - time.time()))
        with measured_load(cloud) as load:
            before = others.cpu_seconds()
            calls = poll(cloud, 3)
            cpu = sum(call["cpu"] for call in calls) + others.cpu_seconds() - before
            counts = cloud.counts()
    delays = sorted(when - ends[subject.partition("/")[2]] for subject, when in counts["events"].items())
    published = len(delays)
    worst = delays[int(0.99 * published)] if published else 0.0
    handed_out = sum(call["handed_out"] for call in calls)
    return [
        Figure(
            "scale",
            f"{count:,} predictions that end in a minute, {_pollers(instances)}: 99 % of events",
            f"{worst:.1f} s",
            f"half within {statistics.median(delays):.1f} s, {1000 * cpu / count:.1f} ms of CPU each, {handed_out:.0f} handed "
            f"out; {load}",
            f"<= {MOST_SECONDS_TO_EVENT:.0f} s, all published",
            published == count and worst <= MOST_SECONDS_TO_EVENT,
        ),
    ]


def ended_at_once(count: int, *, instances: int = 0, part_items: int | None = None) -> list[Figure]:
    """Let ``count`` jobs be over when the poller is called, and measure how many ends it publishes a second.

    Args:
        count: The number of predictions.
        instances: How many instances continue what the poller hands out.
        part_items: How many predictions a part has; None: the default.
    """
    with running_services() as cloud, running_instances(cloud, instances) as others:
        if part_items is not None:
            cloud.environment["POLL_PART_ITEMS"] = str(part_items)
        items = [open_prediction(number) for number in range(count)]
        jobs = {job_id(item.key): (item.created.timestamp(), 0.0) for item in items}
        cloud.put([each for item in items for each in objects_of(item)], jobs)
        with measured_load(cloud) as load:
            before = others.cpu_seconds()
            calls = poll(cloud, 1)
            wait_for(partial(_are_published, cloud, count), "the last part", pause=0.5)
            cpu = sum(call["cpu"] for call in calls) + others.cpu_seconds() - before
            counts = cloud.counts()
    times = sorted(counts["events"].values())
    rate = (len(times) - 1) / (times[-1] - times[0])
    writes, refused = counts["calls"].get("insert", 0), counts["refused"]
    handed_out = sum(call["handed_out"] for call in calls)
    name = f"{count:,} predictions that have ended at once, {_pollers(instances)}"
    return [
        Figure(
            "scale",
            name,
            f"{rate:.0f} events/s",
            f"{1000 * cpu / count:.1f} ms of CPU each, {handed_out:.0f} handed out; {load}",
            f">= {ENDS / 60:.0f}/s, each once",
            rate >= ENDS / 60 and len(times) == count and not counts["repeated"],
        ),
        Figure(
            "scale",
            f"{name}: writes",
            f"{writes / count:.2f} of each item",
            f"{refused / count:.2f} refused with 429",
            "1, none refused",
            writes == count and not refused,
        ),
    ]


def many_open_items(count: int) -> list[Figure]:
    """Measure a tick over ``count`` items whose jobs run, which were submitted within the last six hours."""
    with running_services() as cloud:
        cloud.environment["POLL_AGAIN_SECONDS"] = "0"
        ages = (timedelta(hours=6) * number / count for number in range(count))
        items = [open_prediction(number, age=age) for number, age in enumerate(ages)]
        later = time.time() + 86400.0
        jobs = {job_id(item.key): (item.created.timestamp(), later) for item in items}
        cloud.put([objects_of(item)[1] for item in items], jobs)
        with measured_load(cloud) as load:
            [call] = poll(cloud, 1)
    if call["pending"] != count:
        raise RuntimeError(f"the tick found {call['pending']:.0f} of {count} open items")
    name = f"a tick over {count:,} open items"
    return [
        Figure(
            "scale",
            name,
            f"{call['seconds']:.1f} s",
            f"{call['cpu']:.1f} s of CPU; {load}",
            f"<= {MOST_SECONDS_IDLE:.0f} s",
            call["seconds"] <= MOST_SECONDS_IDLE,
        ),
        Figure(
            "scale",
            f"{name}: memory",
            f"{call['megabytes']:.0f} MB",
            f"{call['megabytes_before']:.0f} MB before it",
            f"<= {MOST_MEGABYTES_IDLE:.0f} MB",
            call["megabytes"] <= MOST_MEGABYTES_IDLE,
        ),
    ]


def many_messages(count: int, concurrency: int | None = None) -> list[Figure]:
    """Send ``count`` predict messages to one instance of the function, ``concurrency`` at a time; None: as declared."""
    concurrency = concurrency or read_declaration(ROOT / "deploy" / "functions.yaml").functions["predict"].concurrency
    with running_services() as cloud, running_function("predict", cloud.environment, threads=concurrency) as function:
        wait_for(lambda: answers(function), "predict")
        _send(function, "warm-up")
        before = cloud.counts()["jobs"]
        started = time.monotonic()
        with measured_load(cloud) as load, ThreadPoolExecutor(concurrency) as threads:
            statuses = list(threads.map(lambda number: _send(function, f"request-{number}"), range(count)))
            seconds = time.monotonic() - started
        counts = cloud.counts()
    submitted = counts["jobs"] - before
    return [
        Figure(
            "scale",
            f"{count:,} predict messages to one instance, {concurrency} at a time",
            f"{count / seconds:.1f}/s",
            f"{counts['refused'] / count:.2f} writes refused with 429 each; {load}",
            f">= {LEAST_MESSAGES_A_SECOND:.0f}/s, each submitted",
            count / seconds >= LEAST_MESSAGES_A_SECOND and submitted == count and set(statuses) <= {200, 204},
        )
    ]


def _are_published(cloud: Cloud, count: int) -> bool:
    """Return whether so many events are published and their index objects are removed."""
    counts = cloud.counts()
    return len(counts["events"]) >= count and counts["calls"].get("delete", 0) >= count


def _pollers(instances: int) -> str:
    return f"a poller with {instances} further instances" if instances else "one poller"


def _send(function: RunningFunction, request_id: str) -> int:
    return send_message(function, json.dumps(message_of(request_id)).encode())
