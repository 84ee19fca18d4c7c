"""The official clients, each made once per process and only when it is asked for.

Where they call to comes from their own emulator variables and from settings; who they are, from Application Default
Credentials. Imports stand inside the functions: a function must not pay for a client that it never uses.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from shared.settings import settings

if TYPE_CHECKING:
    from google.cloud import aiplatform_v1, bigquery, pubsub_v1, storage

# The client of Cloud Storage otherwise asks for the bucket's metadata beside other calls, for traces that nobody reads.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")


@cache
def storage_client() -> storage.Client:
    """Return the client of Cloud Storage."""
    from google.cloud import storage

    return storage.Client(project=settings().google_cloud_project)


@cache
def bigquery_client() -> bigquery.Client:
    """Return the client of BigQuery."""
    from google.cloud import bigquery

    return bigquery.Client(project=settings().google_cloud_project)


@cache
def publisher_client() -> pubsub_v1.PublisherClient:
    """Return the publishing client of Pub/Sub."""
    from google.cloud import pubsub_v1

    return pubsub_v1.PublisherClient()


@cache
def vertex_job_client() -> aiplatform_v1.JobServiceClient:
    """Return the client of Vertex AI's jobs; over REST, because it is called too rarely for a channel to pay off."""
    from google.cloud import aiplatform_v1

    endpoint = settings().vertex_endpoint or f"https://{settings().vertex_location}-aiplatform.googleapis.com"
    return aiplatform_v1.JobServiceClient(transport="rest", client_options={"api_endpoint": endpoint})
