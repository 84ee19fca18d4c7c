"""One drop, one prediction over it, and one batch in dry run."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery, storage
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from declaration.model import Declaration
from deploy.smoke.received import EXPIRES_SECONDS, Awaited, Received, TrialFailedError, subscribe
from deploy.smoke.removal import Removal
from shared.cloud.publisher_models import DEFAULT_MODEL

MODEL_FILE = Path(__file__).with_name("plus_one.onnx")
NUMBERS = (1.0, 2.5, 40.0)
PROMPTS = ("What is a drop?", "What is a ledger?")
ANSWER_SECONDS = 60.0


@dataclass
class Trial:
    """A trial of one deployment. Each has names of its own, so that several may run at once."""

    declaration: Declaration
    project: str
    timeout_seconds: float
    """How long all of it may take."""
    given_dataset: str | None = None
    """A dataset that exists; None: the trial creates one and deletes it."""
    report: Callable[[str], None] = print
    """Gets a line about each step."""
    name: str = field(default_factory=lambda: f"smoke_{secrets.token_hex(4)}")
    """The name of the model, and part of all other names."""
    target: str = ""
    """What is under way, as `modeldrop why` takes it: a path or a request id."""
    removal: Removal = field(default_factory=Removal)

    def __post_init__(self) -> None:
        """Create the clients."""
        self._deadline = time.monotonic() + self.timeout_seconds
        self._storage = storage.Client(project=self.project)
        self._bigquery = bigquery.Client(project=self.project)
        self._subscriber = SubscriberClient()
        self._publisher = PublisherClient()
        self._subscription = f"projects/{self.project}/subscriptions/{self.declaration.name}-{self.name}"
        self._dataset = self.given_dataset or f"{self.declaration.name}_{self.name}".replace("-", "_")
        self._received = Received(self._subscriber, self._subscription, self._deadline, self.report)

    def run(self) -> None:
        """Send the work, and wait until it is done.

        Raises:
            TrialFailedError: Something did not happen as it should.
            GoogleAPIError: A call of the trial itself failed.
        """
        self._subscribe()
        self._create_dataset()
        self._import()
        self._predict()
        self._batch()

    def close(self) -> list[str]:
        """Remove everything that the trial created; return a line for each thing that remains."""
        remaining = list(self.removal.run())
        self._subscriber.close()
        self._publisher.stop()
        return remaining

    def _subscribe(self) -> None:
        topic = self.declaration.topics["events"].path(self.project)
        self.removal.add(
            f"subscription {self._subscription}",
            lambda: self._subscriber.delete_subscription(subscription=self._subscription),
        )
        subscribe(self._subscriber, self._subscription, topic)
        self.report(f"events of {topic}: subscribed")

    def _create_dataset(self) -> None:
        if self.given_dataset is not None:
            self._bigquery.get_dataset(f"{self.project}.{self._dataset}")
            return
        dataset = bigquery.Dataset(f"{self.project}.{self._dataset}")
        # BigQuery reads models of buckets in the dataset's location: https://cloud.google.com/bigquery/docs/locations
        dataset.location = self.declaration.region
        # The tables disappear by themselves if the machine stops.
        dataset.default_table_expiration_ms = EXPIRES_SECONDS * 1000
        self.removal.add(
            f"dataset {self.project}.{self._dataset}",
            lambda: self._bigquery.delete_dataset(dataset, delete_contents=True, not_found_ok=True),
        )
        self._bigquery.create_dataset(dataset)
        self.report(f"dataset {self._dataset}: created in {dataset.location}")

    def _import(self) -> None:
        bucket = self._storage.bucket(self.declaration.buckets["model"].name_in(self.project))
        blob = bucket.blob(f"{self._dataset}/{self.name}/1/{MODEL_FILE.name}")
        model = f"{self.project}.{self._dataset}.{self.name}"
        self.removal.add(f"model {model}", lambda: self._bigquery.delete_model(model, not_found_ok=True))
        # Last added, first removed: without its file the drop is not imported any more.
        self.removal.add(f"object gs://{bucket.name}/{blob.name}", blob.delete)
        self.target = f"gs://{bucket.name}/{blob.name}"
        blob.upload_from_filename(str(MODEL_FILE), content_type="application/octet-stream")
        self._received.wait_for(Awaited("modeldrop.model.imported.v1", {"model": model}))
        self.report(f"drop gs://{bucket.name}/{blob.name}: imported as {model}")

    def _predict(self) -> None:
        table = self._table("rows")
        values = ", ".join(map(str, NUMBERS))
        request_id = self._send(
            "predict",
            {
                "model": f"{self._dataset}.{self.name}",
                "input": {"query": f"SELECT x FROM UNNEST([{values}]) AS x"},
                "output": {"table": table},
            },
        )
        self._received.wait_for(Awaited("modeldrop.prediction.succeeded.v1", {"request_id": request_id}))
        job = self._bigquery.query(f"SELECT x, y FROM `{table}` ORDER BY x", location=self._location())
        # The output is a vector with one element.
        rows = [(row.x, *row.y) for row in job.result(timeout=ANSWER_SECONDS)]
        expected = [(number, number + 1) for number in NUMBERS]
        if rows != expected:
            raise TrialFailedError(f"{table} has the rows {rows}, expected {expected}")
        self.report(f"prediction into {table}: {len(rows)} rows, as expected")

    def _batch(self) -> None:
        table = self._table("requests")
        requests = [json.dumps({"contents": [{"role": "user", "parts": [{"text": each}]}]}) for each in PROMPTS]
        query = f"CREATE TABLE `{table}` AS SELECT request FROM UNNEST(@requests) AS request"
        parameter = bigquery.ArrayQueryParameter("requests", "STRING", requests)
        configuration = bigquery.QueryJobConfig(query_parameters=[parameter])
        location = self._location()
        self._bigquery.query(query, location=location, job_config=configuration).result(timeout=ANSWER_SECONDS)
        request_id = self._send(
            "batch",
            {
                "model": DEFAULT_MODEL,
                "input": f"bq://{table}",
                "output": f"bq://{self.project}.{self._dataset}.{self.name}_answers",
                "dry_run": True,
            },
        )
        self._received.wait_for(Awaited("modeldrop.batch.checked.v1", {"request_id": request_id}))
        self.report(f"batch over {table}: {len(requests)} requests checked, none sent")

    def _table(self, what: str) -> str:
        """Return the full name of a table of the trial, which is removed at the end."""
        table = f"{self.project}.{self._dataset}.{self.name}_{what}"
        self.removal.add(f"table {table}", lambda: self._bigquery.delete_table(table, not_found_ok=True))
        return table

    def _location(self) -> str:
        return str(self._bigquery.get_dataset(f"{self.project}.{self._dataset}").location)

    def _send(self, topic: str, message: dict[str, Any]) -> str:
        """Publish a message to the topic with the key ``topic``; return its request id."""
        request_id = self.target = f"{self.name}-{topic}"
        path = self.declaration.topics[topic].path(self.project)
        data = json.dumps({**message, "request_id": request_id, "labels": {"trial": self.name}}).encode()
        try:
            self._publisher.publish(path, data).result(timeout=ANSWER_SECONDS)
        except (GoogleAPIError, TimeoutError) as error:
            raise TrialFailedError(f"cannot publish to {path}: {error}") from error
        return request_id
