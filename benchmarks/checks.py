"""The check of 200,000 requests before a batch is submitted: of a table in one query, and of a file of JSONL."""

from __future__ import annotations

import io
import json
import os
import time
import tracemalloc

from google.cloud import bigquery, storage

from benchmarks.batch import DATASET, LOCATION, requests_query
from benchmarks.figures import Figure
from benchmarks.local import MEGABYTE, Running, local_cloud
from shared.batches.inputs.lines import LinesFile, check_lines
from shared.batches.inputs.rules import MOST_REQUESTS
from shared.batches.inputs.tables import check_requests, read_check

LONGEST_SECONDS = 30.0
MOST_MEGABYTES = 64


def measure() -> list[Figure]:
    """Measure the check of a table and that of a file."""
    with local_cloud("--no-functions") as cloud:
        return [*_table(cloud), *_file()]


def _table(cloud: Running) -> list[Figure]:
    client = bigquery.Client()
    dataset = bigquery.Dataset(f"{client.project}.{DATASET}")
    dataset.location = LOCATION
    client.create_dataset(dataset, exists_ok=True)
    table = f"{client.project}.{DATASET}.checked"
    client.query(requests_query(table, MOST_REQUESTS), location=LOCATION).result()
    with cloud.peak_memory() as peak:
        begun = time.perf_counter()
        rows = client.query(check_requests(f"`{table}`", is_json=False), location=LOCATION).result()
        check = read_check(dict(row) for row in rows)
        seconds = time.perf_counter() - begun
    if check.requests != MOST_REQUESTS or check.findings:
        raise RuntimeError(f"the check of the table found {check}")
    limit = f"<= {LONGEST_SECONDS:.0f} s"
    result = f"{seconds:.1f} s"
    memory = f"local cloud: {peak[0]:.0f} MB"
    return [Figure("checks", f"{MOST_REQUESTS:,} rows in one query", result, memory, limit, seconds <= LONGEST_SECONDS)]


def _file() -> list[Figure]:
    bucket = storage.Client().bucket(os.environ["OUTPUT_BUCKET"])
    blob = bucket.blob("checked.jsonl")
    filler = "words of a text " * 40
    with io.BytesIO() as text:
        for number in range(MOST_REQUESTS):
            request = {"contents": [{"role": "user", "parts": [{"text": f"Summarize {number}: {filler}"}]}]}
            text.write(json.dumps({"id": number, "request": request}).encode() + b"\n")
        size = text.tell()
        text.seek(0)
        blob.upload_from_file(text)

    def read(offset: int, most: int) -> bytes:
        return bytes(blob.download_as_bytes(start=offset, end=offset + most - 1, raw_download=True))

    file = LinesFile(f"gs://{bucket.name}/{blob.name}", size, False, read)
    begun = time.perf_counter()
    found = check_lines([file])
    seconds = time.perf_counter() - begun
    # Memory is measured apart, since that slows the check down.
    tracemalloc.start()
    check_lines([file])
    peak = tracemalloc.get_traced_memory()[1] / MEGABYTE
    tracemalloc.stop()
    if found.requests != MOST_REQUESTS or found.findings:
        raise RuntimeError(f"the check of the file found {found}")
    name = f"{MOST_REQUESTS:,} lines, {size / MEGABYTE:.0f} MB"
    limit = f"<= {LONGEST_SECONDS:.0f} s"
    return [
        Figure("checks", name, f"{seconds:.1f} s", "", limit, seconds <= LONGEST_SECONDS),
        Figure(
            "checks", "memory of that check", f"{peak:.0f} MB", "", f"<= {MOST_MEGABYTES} MB", peak <= MOST_MEGABYTES
        ),
    ]
