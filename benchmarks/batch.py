"""A Gemini batch of 100,000 requests to the stand-in model: its time, and the memory of the local cloud."""

from __future__ import annotations

import json
import os
import time

import requests
from google.cloud import bigquery, storage

from benchmarks.figures import Figure
from benchmarks.local import Running, local_cloud

REQUESTS = 100_000
FEWER = 10_000
LONGEST_SECONDS = 60.0
# The tables of requests and answers themselves are about 100 MB of it: the local BigQuery keeps them in memory.
MOST_MEGABYTES = 200
LOCATION = "us-central1"
DATASET = "batch_bench"
MODEL = "publishers/google/models/gemini-3.8-flash"
ENDED = frozenset(
    {
        "JOB_STATE_SUCCEEDED",
        "JOB_STATE_FAILED",
        "JOB_STATE_CANCELLED",
        "JOB_STATE_EXPIRED",
        "JOB_STATE_PARTIALLY_SUCCEEDED",
    }
)


def measure() -> list[Figure]:
    """Measure batches from table to table, and from JSONL to JSONL."""
    with local_cloud("--no-functions") as cloud:
        client = bigquery.Client()
        dataset = bigquery.Dataset(f"{client.project}.{DATASET}")
        dataset.location = LOCATION
        client.create_dataset(dataset, exists_ok=True)
        bucket = storage.Client().bucket(os.environ["OUTPUT_BUCKET"])
        figures: list[Figure] = []
        for kind in ("BigQuery to BigQuery", "JSONL to JSONL"):
            # The first batch of a process also loads what every batch needs.
            _run(client, bucket, kind, FEWER)
            _, fewer = _measured(cloud, client, bucket, kind, FEWER)
            seconds, peak = _measured(cloud, client, bucket, kind, REQUESTS)
            figures.append(
                Figure(
                    "batch",
                    f"{REQUESTS:,} requests, {kind}",
                    f"{seconds:.0f} s, {REQUESTS / seconds:,.0f} a second",
                    "",
                    f"<= {LONGEST_SECONDS:.0f} s",
                    seconds <= LONGEST_SECONDS,
                )
            )
            more = peak - fewer
            figures.append(
                Figure(
                    "batch",
                    f"memory of the local cloud, {kind}",
                    f"{peak:.0f} MB",
                    f"{FEWER:,} requests: {fewer:.0f} MB, {more:+.0f} MB",
                    f"<= +{MOST_MEGABYTES} MB",
                    more <= MOST_MEGABYTES,
                )
            )
    return figures


def _measured(
    cloud: Running, client: bigquery.Client, bucket: storage.Bucket, kind: str, count: int
) -> tuple[float, float]:
    """Run a batch of ``count`` requests; return its seconds, and the peak memory of the local cloud in MB."""
    with cloud.peak_memory() as peak:
        seconds = _run(client, bucket, kind, count)
    return seconds, peak[0]


def _run(client: bigquery.Client, bucket: storage.Bucket, kind: str, count: int) -> float:
    """Make the input of a batch, run it, check the number of answers, and return its seconds."""
    name = f"{count}_{time.time_ns()}"
    if kind == "BigQuery to BigQuery":
        table = f"{client.project}.{DATASET}.requests_{name}"
        client.query(requests_query(table, count), location=LOCATION).result()
        body = {
            "inputConfig": {"instancesFormat": "bigquery", "bigquerySource": {"inputUri": f"bq://{table}"}},
            "outputConfig": {
                "predictionsFormat": "bigquery",
                "bigqueryDestination": {"outputUri": f"bq://{client.project}.{DATASET}.answers_{name}"},
            },
        }
    else:
        lines = (
            json.dumps({"id": number, "request": _request(f"Summarize title {number}")}) for number in range(count)
        )
        bucket.blob(f"{name}/in.jsonl").upload_from_string("\n".join(lines))
        body = {
            "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [f"gs://{bucket.name}/{name}/in.jsonl"]}},
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": f"gs://{bucket.name}/{name}"},
            },
        }
    url = f"{os.environ['VERTEX_ENDPOINT']}/v1"
    jobs = f"{url}/projects/{client.project}/locations/global/batchPredictionJobs"
    begun = time.perf_counter()
    job = requests.post(jobs, json={"displayName": name, "model": MODEL, **body}, timeout=60).json()
    while (job := requests.get(f"{url}/{job['name']}", timeout=60).json())["state"] not in ENDED:
        time.sleep(0.1)
    seconds = time.perf_counter() - begun
    answered = int(job.get("completionStats", {}).get("successfulCount", 0))
    if answered != count:
        raise RuntimeError(f"the batch has {answered} answers to {count} requests: {job.get('error')}")
    return seconds


def _request(text: str) -> dict[str, object]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": {"temperature": 0.2}}


def requests_query(table: str, count: int) -> str:
    """Return the statement that creates a table of requests."""
    return f"""
        CREATE TABLE `{table}` AS
        SELECT id, CONCAT('{{"contents": [{{"role": "user", "parts": [{{"text": "Summarize title ', CAST(id AS STRING),
          '"}}]}}], "generationConfig": {{"temperature": 0.2}}}}') AS request
        FROM UNNEST(GENERATE_ARRAY(1, {count})) AS id"""
