"""Google's clients: each is created once per process, when it is first needed.

Their addresses come from their own emulator variables and from the settings, their identity from Application Default
Credentials. The imports are inside the functions, so that a process does not load a client that it never uses.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING
from urllib.request import getproxies_environment

from shared.cloud.calls import certificates
from shared.cloud.locations import host_of
from shared.settings import MOST_THREADS, settings

if TYPE_CHECKING:
    import requests
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud import aiplatform_v1, bigquery, pubsub_v1, storage

# Without this, the client of Cloud Storage also gets the bucket's metadata, for traces that are not used here.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")


@cache
def storage_client() -> storage.Client:
    """Return the client of Cloud Storage."""
    from google.cloud import storage

    client = storage.Client(project=settings().google_cloud_project)
    _prepare(client._http)
    return client


@cache
def bigquery_client() -> bigquery.Client:
    """Return the client of BigQuery."""
    from google.cloud import bigquery

    client = bigquery.Client(project=settings().google_cloud_project)
    _prepare(client._http)
    return client


@cache
def publisher_client() -> pubsub_v1.PublisherClient:
    """Return the publishing client of Pub/Sub."""
    from google.cloud import pubsub_v1

    return pubsub_v1.PublisherClient()


@cache
def authorized_session() -> AuthorizedSession:
    """Return a session for REST APIs whose client library would be in no proportion to the calls."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    return AuthorizedSession(credentials)


@cache
def vertex_model_client(location: str) -> aiplatform_v1.ModelServiceClient:
    """Return the client of Vertex AI's model registry in a location. It uses REST, as ``vertex_job_client``."""
    from google.cloud import aiplatform_v1

    return aiplatform_v1.ModelServiceClient(transport="rest", client_options=_at(location))


@cache
def vertex_endpoint_client(location: str) -> aiplatform_v1.EndpointServiceClient:
    """Return the client of Vertex AI's endpoints in a location. It uses REST, as ``vertex_job_client``."""
    from google.cloud import aiplatform_v1

    return aiplatform_v1.EndpointServiceClient(transport="rest", client_options=_at(location))


@cache
def vertex_job_client(location: str) -> aiplatform_v1.JobServiceClient:
    """Return the client of Vertex AI's jobs in a location. It uses REST: there are too few calls for a gRPC channel."""
    from google.cloud import aiplatform_v1

    return aiplatform_v1.JobServiceClient(transport="rest", client_options=_at(location))


def _at(location: str) -> dict[str, str]:
    """Return the options of a client of Vertex AI in a location."""
    return {"api_endpoint": settings().vertex_endpoint or f"https://{host_of(location)}"}


def _prepare(session: requests.Session) -> None:
    """Let a session serve many threads, and spare it work for each call.

    It keeps 10 connections by default, and opens further ones for single calls. For each call it reads the proxies in the
    environment and looks for a file of passwords, which takes a fifth of the time of a call.
    https://requests.readthedocs.io/en/latest/api/#requests.adapters.HTTPAdapter
    """
    from requests.adapters import HTTPAdapter

    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=MOST_THREADS))
    if not getproxies_environment():
        session.trust_env = False
        session.verify = certificates() or True
