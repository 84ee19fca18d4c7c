"""How soon a settled drop gets its job, and a job that has ended its event: with one look a minute, and with many.

Both are measured in one run, on local clouds whose Cloud Scheduler calls the poller once a minute. Each drop comes at another
moment of the minute: first while nothing else is open, then while another drop is incomplete.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from google.cloud import bigquery

from benchmarks.figures import Figure
from benchmarks.load import DATASET, Client
from benchmarks.local import local_cloud

SETTLE_SECONDS = 2.0
# The moments of the minute at which drops come, in seconds.
MOMENTS = (10, 25, 40)
LONGEST_SECONDS = 180.0
MOST_SECONDS_TO_JOB = 5.0
MOST_SECONDS_TO_EVENT = 10.0


@dataclass(frozen=True)
class Delays:
    """The delays of one drop, in seconds."""

    to_job: float
    """From the time at which the drop had settled to the creation of its job."""
    to_event: float
    """From the end of the job to the receipt of the event."""


def measure() -> list[Figure]:
    """Measure drops with one look a minute, and with the defaults of ``POLL_AGAIN_SECONDS`` and ``SETTLE_WAIT_SECONDS``."""
    (idle_before, before), (idle_after, after) = _worst("POLL_AGAIN_SECONDS=0", "SETTLE_WAIT_SECONDS=0"), _worst()
    return [
        _figure(
            "from a settled drop to its job, on an idle project",
            idle_before.to_job,
            idle_after.to_job,
            MOST_SECONDS_TO_JOB,
        ),
        _figure("from a settled drop to its job", before.to_job, after.to_job, MOST_SECONDS_TO_JOB),
        _figure("from the end of a job to its event", before.to_event, after.to_event, MOST_SECONDS_TO_EVENT),
    ]


def _figure(name: str, before: float, after: float, limit: float) -> Figure:
    comparison = f"{before:.1f} s with one look a minute"
    return Figure("pace", name, f"{after:.1f} s", comparison, f"<= {limit:.0f} s", after <= limit)


def _worst(*settings: str) -> tuple[Delays, Delays]:
    """Return the longest delays of drops on an idle project, and of drops while another one is incomplete."""
    options = [word for each in settings for word in ("--set", each)]
    with local_cloud(*options, "--set", f"SETTLE_SECONDS={SETTLE_SECONDS:g}") as cloud, Client(os.environ) as client:
        idle = [_delays_of_a_drop(client, moment) for moment in MOMENTS]
        incomplete = client.storage.bucket(cloud.environment["MODEL_BUCKET"])
        incomplete.blob(f"{DATASET}/incomplete/1/variables/variables.index").upload_from_string(b"")
        # From the next minute on, the poller knows of it.
        _wait_until_second(5)
        delays = [_delays_of_a_drop(client, moment) for moment in MOMENTS]
    return _longest(idle), _longest(delays)


def _longest(delays: Sequence[Delays]) -> Delays:
    return Delays(max(each.to_job for each in delays), max(each.to_event for each in delays))


def _wait_until_second(moment: int) -> None:
    """Wait until the clock shows this second of a minute."""
    time.sleep((moment - time.time()) % 60)


def _delays_of_a_drop(client: Client, moment: int) -> Delays:
    model = f"model_{uuid.uuid4().hex[:8]}"
    whole = f"{client.project}.{DATASET}.{model}"
    _wait_until_second(moment)
    client.drop(model, 0.5)
    settled = time.time() + SETTLE_SECONDS
    deadline = time.monotonic() + LONGEST_SECONDS
    while not client.count_events("modeldrop.model.imported.v1", "model", {whole}):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{model} is not imported after {LONGEST_SECONDS:.0f} s")
        time.sleep(0.05)
    received = datetime.now(UTC)
    job = next(
        job
        for job in client.bigquery.list_jobs(all_users=True)
        if isinstance(job, bigquery.QueryJob) and model in job.query
    )
    return Delays(job.created.timestamp() - settled, (received - job.ended).total_seconds())
