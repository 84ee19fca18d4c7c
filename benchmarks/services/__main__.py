"""``python -m benchmarks.services FILE``: serves the services until it is killed, and writes their addresses to FILE."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path

from benchmarks.services.bigquery import API as BIGQUERY
from benchmarks.services.bigquery import BigQuery
from benchmarks.services.http import Request, Response, json_response, serve
from benchmarks.services.pubsub import PubSub
from benchmarks.services.storage import Storage

# Where a benchmark puts objects and jobs, and reads what happened.
CONTROL = "/control"
# Where it fetches the messages that are not events, to deliver them.
PARTS = "/control/parts"


class Services:
    """Cloud Storage, BigQuery and Pub/Sub."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Create them with the latencies of the options."""
        self.storage = Storage(options.storage_seconds, options.write_seconds)
        self.bigquery = BigQuery(options.bigquery_seconds, options.job_seconds)
        self.pubsub = PubSub(options.pubsub_seconds)

    def handle(self, request: Request) -> Response:
        """Answer a call of a service, of the token endpoint or of the benchmark."""
        if request.path.startswith(BIGQUERY):
            return self.bigquery.handle(request)
        if request.path == "/token":
            return json_response({"access_token": "a-token", "expires_in": 3600, "token_type": "Bearer"})
        if request.path == CONTROL and request.method == "POST":
            return self._put(request)
        if request.path == CONTROL:
            return self._counts()
        if request.path == PARTS:
            parts, self.pubsub.parts = self.pubsub.parts, []
            return json_response(parts)
        return self.storage.handle(request)

    def _put(self, request: Request) -> Response:
        value = request.json()
        for bucket, name, content, metadata, created in value.get("objects", ()):
            self.storage.put(bucket, name, content.encode(), metadata, created)
        self.bigquery.jobs.update({job_id: (times[0], times[1]) for job_id, times in value.get("jobs", {}).items()})
        return json_response({})

    def _counts(self) -> Response:
        events = {self.pubsub.subjects[each]: when for each, when in self.pubsub.received.items()}
        return json_response(
            {
                "events": events,
                "repeated": self.pubsub.repeated,
                "refused": self.storage.refused.total(),
                "calls": {**self.storage.calls, **self.bigquery.calls},
                "jobs": len(self.bigquery.jobs),
                "cpu": time.process_time(),
                "now": time.time(),
            }
        )


async def run(file: Path, options: argparse.Namespace) -> None:
    """Serve until killed."""
    services = Services(options)
    _, port = await serve(services.handle)
    pubsub = await services.pubsub.start()
    addresses = {"http": f"http://127.0.0.1:{port}", "pubsub": f"127.0.0.1:{pubsub}"}
    # Renamed, so that a reader finds the whole file or none.
    unfinished = file.with_suffix(".new")
    unfinished.write_text(json.dumps(addresses))
    unfinished.replace(file)
    await asyncio.Event().wait()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.services")
    parser.add_argument("file", type=Path)
    parser.add_argument("--storage-seconds", type=float, default=0.040)
    parser.add_argument("--bigquery-seconds", type=float, default=0.150)
    parser.add_argument("--pubsub-seconds", type=float, default=0.020)
    parser.add_argument("--write-seconds", type=float, default=1.0)
    parser.add_argument("--job-seconds", type=float, default=3600.0)
    options = parser.parse_args()
    asyncio.run(run(options.file, options))


if __name__ == "__main__":
    main()
