"""How soon a settled drop gets its job, and a job that has ended its event: with one look a minute, and with the defaults.

Both are measured in one run, on local clouds whose Cloud Scheduler calls the poller once a minute. Each drop, prediction and
batch comes at another moment of the minute, while nothing else is open. Then drops come while another drop is incomplete.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import requests
from google.cloud import bigquery

from benchmarks.figures import Figure
from benchmarks.load import DATASET, Client
from benchmarks.local import local_cloud

SETTLE_SECONDS = 2.0
# The moments of the minute at which drops come, in seconds; and predictions and batches.
MOMENTS = (10, 25, 40)
FEWER_MOMENTS = (10, 30)
# What is off with one look a minute: the function neither waits for a drop nor wakes the poller, which looks once in a call.
ONE_LOOK = ("POLL_AGAIN_SECONDS=0", "SETTLE_WAIT_SECONDS=0", "POLL_SCHEDULE=")
MOST_SECONDS_TO_JOB = 5.0
MOST_SECONDS_TO_EVENT = 10.0


@dataclass(frozen=True)
class Delays:
    """The delays of one drop, in seconds."""

    to_job: float
    """From the time at which the drop had settled to the creation of its job."""
    to_event: float
    """From the end of the job to the receipt of the event."""


@dataclass(frozen=True)
class Longest:
    """The longest delays on one local cloud."""

    idle: Delays
    """Those of drops on an idle project."""
    busy: Delays
    """Those of drops while another one is incomplete."""
    prediction: float
    """From the end of the job of a prediction to its event, on an idle project, in seconds."""
    batch: float
    """The same of a batch."""


def measure() -> list[Figure]:
    """Measure with one look a minute, and with the defaults."""
    before, after = _longest_delays(*ONE_LOOK), _longest_delays()
    job, event = "from a settled drop to its job", "from the end of a job to its event"
    return [
        _figure(f"{job}, on an idle project", before.idle.to_job, after.idle.to_job, MOST_SECONDS_TO_JOB),
        _figure(job, before.busy.to_job, after.busy.to_job, MOST_SECONDS_TO_JOB),
        _figure(f"{event}, on an idle project", before.idle.to_event, after.idle.to_event, MOST_SECONDS_TO_EVENT),
        _figure(event, before.busy.to_event, after.busy.to_event, MOST_SECONDS_TO_EVENT),
        _figure(f"{event}, first prediction", before.prediction, after.prediction, MOST_SECONDS_TO_EVENT),
        _figure(f"{event}, first batch", before.batch, after.batch, MOST_SECONDS_TO_EVENT),
    ]


def _figure(name: str, before: float, after: float, limit: float) -> Figure:
    comparison = f"{before:.1f} s with one look a minute"
    return Figure("pace", name, f"{after:.1f} s", comparison, f"<= {limit:.0f} s", after <= limit)


def _longest_delays(*settings: str) -> Longest:
    """Return the longest delays on a local cloud with these settings."""
    options = [word for each in settings for word in ("--set", each)]
    with local_cloud(*options, "--set", f"SETTLE_SECONDS={SETTLE_SECONDS:g}") as cloud, Client(os.environ) as client:
        idle = [_delays_of_a_drop(client, moment) for moment in MOMENTS]
        prediction = max(_delay_of_a_prediction(client, moment) for moment in FEWER_MOMENTS)
        batch = max(_delay_of_a_batch(client, moment) for moment in FEWER_MOMENTS)
        incomplete = client.storage.bucket(cloud.environment["MODEL_BUCKET"])
        incomplete.blob(f"{DATASET}/incomplete/1/variables/variables.index").upload_from_string(b"")
        # From the next minute on, the poller knows of it.
        _wait_until_second(5)
        busy = [_delays_of_a_drop(client, moment) for moment in MOMENTS]
    return Longest(_longest(idle), _longest(busy), prediction, batch)


def _longest(delays: Sequence[Delays]) -> Delays:
    return Delays(max(each.to_job for each in delays), max(each.to_event for each in delays))


def _wait_until_second(moment: int) -> None:
    """Wait until the clock shows this second of a minute."""
    time.sleep((moment - time.time()) % 60)


def _delays_of_a_drop(client: Client, moment: int) -> Delays:
    model = f"model_{uuid.uuid4().hex[:8]}"
    _wait_until_second(moment)
    client.drop(model, 0.5)
    settled = time.time() + SETTLE_SECONDS
    _, received = client.wait_for_event("modeldrop.model.imported.v1", "model", f"{client.project}.{DATASET}.{model}")
    job = next(
        job
        for job in client.bigquery.list_jobs(all_users=True)
        if isinstance(job, bigquery.QueryJob) and model in job.query
    )
    return Delays(job.created.timestamp() - settled, (received - job.ended).total_seconds())


def _delay_of_a_prediction(client: Client, moment: int) -> float:
    """Let one of the imported models predict; return the seconds from the end of the job to the event."""
    model = next(iter(client.bigquery.list_models(DATASET))).model_id
    request_id = f"predict-{uuid.uuid4().hex[:8]}"
    _wait_until_second(moment)
    client.publish_predictions({request_id: request_id.replace("-", "_")}, model)
    event, received = client.wait_for_event("modeldrop.prediction.succeeded.v1", "request_id", request_id)
    job = client.bigquery.get_job(event["job"]["id"], location=event["job"]["location"])
    return float((received - job.ended).total_seconds())


def _delay_of_a_batch(client: Client, moment: int) -> float:
    """Submit a batch of one request; return the seconds from the end of the job to the event."""
    request_id = f"batch-{uuid.uuid4().hex[:8]}"
    bucket = client.storage.bucket(os.environ["OUTPUT_BUCKET"])
    line = {"request": {"contents": [{"role": "user", "parts": [{"text": "Name a film"}]}]}}
    bucket.blob(f"{request_id}/in.jsonl").upload_from_string(json.dumps(line))
    request = {
        "model": "gemini-3.8-flash",
        "input": f"gs://{bucket.name}/{request_id}/in.jsonl",
        "output": f"gs://{bucket.name}/{request_id}/out",
        "request_id": request_id,
    }
    _wait_until_second(moment)
    requests.post(os.environ["SUBMIT_BATCH_URL"], json=request, timeout=60).raise_for_status()
    event, received = client.wait_for_event("modeldrop.batch.succeeded.v1", "request_id", request_id)
    job = requests.get(f"{os.environ['VERTEX_ENDPOINT']}/v1/{event['job']['id']}", timeout=60).json()
    return (received - datetime.fromisoformat(job["endTime"])).total_seconds()
