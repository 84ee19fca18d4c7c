"""A running local BigQuery with a bucket, for tests of BigQuery ML."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from localcloud.base.clock import SystemClock
from localcloud.bigquery.server import BigQuery
from localcloud.gemini.backends import ModelBackend
from localcloud.storage.objects.store import ObjectStore

PROJECT = "local-project"
BUCKET = "models"


@dataclass
class MlWorld:
    """BigQuery and a bucket.

    Attributes:
        bigquery: The service.
        client: The official client.
        store: Cloud Storage.
        dataset: The dataset of this world.
    """

    bigquery: BigQuery
    client: bigquery.Client
    store: ObjectStore
    dataset: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def run(self, sql: str, parameters: list[Any] | None = None) -> bigquery.QueryJob:
        """Run a statement and wait for its end. ``d.`` in it means this world's dataset."""
        configuration = bigquery.QueryJobConfig(query_parameters=parameters or [])
        job = self.client.query(self.named(sql), job_config=configuration)
        job.result()
        return job

    def dry_run(self, sql: str) -> list[tuple[str, str, str]]:
        """Return the names, types and modes of a query's columns without running it."""
        job = self.client.query(self.named(sql), job_config=bigquery.QueryJobConfig(dry_run=True))
        return [(column.name, column.field_type, column.mode) for column in job.schema]

    def rows(self, sql: str) -> list[dict[str, Any]]:
        """Run a query into a table and return the table's rows."""
        table = f"{PROJECT}.{self.dataset}.rows_{next(self._numbers)}"
        configuration = bigquery.QueryJobConfig(destination=table)
        self.client.query(self.named(sql), job_config=configuration).result()
        return [dict(row) for row in self.client.list_rows(table)]

    def refusal(self, sql: str, *, dry_run: bool = False) -> tuple[str, str]:
        """Run a statement that must fail; return the reason and the message of the error."""
        try:
            job = self.client.query(self.named(sql), job_config=bigquery.QueryJobConfig(dry_run=dry_run))
            job.result()
        except GoogleAPICallError as error:
            return str(error.errors[0]["reason"]), str(error.errors[0]["message"])
        raise AssertionError(f"the statement did not fail: {sql}")

    def named(self, sql: str) -> str:
        """Return a statement with this world's dataset and bucket in place of ``d.`` and ``gs://bucket``."""
        return sql.replace("d.", f"{self.dataset}.").replace("gs://bucket", f"gs://{BUCKET}")

    def upload(self, prefix: str, files: Mapping[str, bytes]) -> None:
        """Write files under a prefix of the bucket."""
        for name, content in files.items():
            self.store.write(BUCKET, f"{prefix}/{name}", content)

    def upload_folder(self, prefix: str, folder: Path) -> None:
        """Write a folder's files under a prefix of the bucket."""
        files = [file for file in folder.rglob("*") if file.is_file()]
        self.upload(prefix, {str(file.relative_to(folder)): file.read_bytes() for file in files})

    def import_model(self, name: str, model_type: str, path: str, columns: str = "") -> None:
        """Create a model from a path in the bucket."""
        self.run(
            f"CREATE OR REPLACE MODEL d.{name} {columns} "
            f"OPTIONS(MODEL_TYPE='{model_type}', MODEL_PATH='gs://bucket/{path}')"
        )

    def model(self, name: str) -> dict[str, Any]:
        """Return the REST resource of a model."""
        return dict(self.client.get_model(f"{PROJECT}.{self.dataset}.{name}").to_api_repr())

    def columns(self, name: str) -> list[tuple[str, str]]:
        """Return the names and types of a model's inputs and outputs, as BigQuery shows them."""
        resource = self.model(name)
        return [
            (column["name"], _type_of(column["type"]))
            for column in (*resource["featureColumns"], *resource["labelColumns"])
        ]


def _type_of(kind: Mapping[str, Any]) -> str:
    element = kind.get("arrayElementType")
    return f"ARRAY<{element['typeKind']}>" if element else str(kind["typeKind"])


@contextmanager
def ml_world(directory: Path | None = None, backend: ModelBackend | None = None) -> Iterator[MlWorld]:
    """Start BigQuery with a bucket.

    Args:
        directory: The data of an earlier run, or an empty folder; None uses a temporary one.
        backend: The backend of remote models, or None.
    """
    with tempfile.TemporaryDirectory() as temporary:
        home = directory or Path(temporary)
        store = ObjectStore(home / "storage", clock=SystemClock())
        store.ensure_bucket(BUCKET)
        service = BigQuery(
            clock=SystemClock(),
            project=PROJECT,
            store=store,
            directory=None if directory is None else directory / "bigquery",
            backend=backend,
        )
        for connection in ("us.c", "us.gemini_conn", "us.onnx_conn", "us-east1.c", "us-east1.onnx_conn"):
            service.seed_connection(f"{PROJECT}.{connection}")
        service.start()
        client = bigquery.Client(
            project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": service.url}
        )
        try:
            client.create_dataset("learning", exists_ok=True)
            yield MlWorld(service, client, store, "learning")
        finally:
            client.close()
            service.stop()
            store.close()
