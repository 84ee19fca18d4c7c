"""Every exchange between clients and the local cloud in this session, checked against Google's API descriptions.

This module runs last (tests/conftest.py). Its first test makes the commonest calls, so that the check has exchanges
when it runs alone.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from google.cloud import aiplatform_v1, bigquery, pubsub_v1, storage

from localcloud.apis.contract import Contract
from localcloud.apis.recorder import FILE_NAME, Exchange, read_exchanges
from localcloud.cloud import LocalCloud
from localcloud.config import CloudConfig
from tests.conftest import variables
from tests.waiting import LAST_LIMIT

# Exchanges without an API description, by service or path: local ones, and those that Google describes elsewhere.
LOCAL_ONLY = {
    "control": "faults, quotas, counted calls and the state: `/faults`, `/quotas`, `/calls`, `/`",
    "/localcloud/": "what a test orders from one service, such as the state of a job",
}
DESCRIBED_ELSEWHERE = {
    "token": "the token endpoint: https://developers.google.com/identity/protocols/oauth2/service-account",
    "/$discovery/rest": "the API description itself: https://developers.google.com/discovery/v1/reference/apis/getRest",
    "/discovery/v1/apis": "the same, on its older path",
    "/batch/storage/v1": "several calls in one: https://cloud.google.com/storage/docs/batch",
}


@pytest.fixture(scope="session")
def cloud(exchanges: Path) -> Iterator[LocalCloud]:
    """A local cloud without the functions, whose exchanges are recorded already."""
    with variables({}):
        cloud = LocalCloud(CloudConfig(record_to=exchanges / "contract", with_functions=False))
        cloud.start()
    yield cloud
    cloud.stop()


@pytest.fixture(scope="module")
def said(exchanges: Path) -> list[Exchange]:
    """The exchanges with Google's APIs so far, of every cloud of the session, or of all sessions of `make test`."""
    return [
        exchange
        for file in sorted(Path(os.environ.get("MODELDROP_EXCHANGES", exchanges)).rglob(FILE_NAME))
        for exchange in read_exchanges(file)
        # gRPC's messages are made by Google's own classes, which hold nothing that is not allowed.
        if exchange.kind != "rpc" and has_description(exchange)
    ]


def has_description(exchange: Exchange) -> bool:
    """Return whether the exchange is with one of Google's APIs, which are described."""
    undescribed = LOCAL_ONLY | DESCRIBED_ELSEWHERE
    return exchange.service not in undescribed and not any(
        path in exchange.path for path in undescribed if path.startswith("/")
    )


def test_the_commonest_calls_are_answered(
    cloud: object,
    environment: dict[str, str],
    project: str,
    storage_client: storage.Client,
    bigquery_client: bigquery.Client,
    publisher: pubsub_v1.PublisherClient,
) -> None:
    bucket = storage_client.bucket(environment["OUTPUT_BUCKET"])
    blob = bucket.blob("contract/one")
    blob.upload_from_string("x")
    blob.reload()
    assert blob.download_as_bytes() == b"x"
    assert [each.name for each in storage_client.list_blobs(bucket, prefix="contract/")] == ["contract/one"]
    blob.delete()
    bigquery_client.create_dataset("contract", exists_ok=True)
    rows = bigquery_client.query("CREATE OR REPLACE TABLE contract.t AS SELECT 1 AS n; SELECT * FROM contract.t")
    assert [row["n"] for row in rows.result()] == [1]
    assert bigquery_client.get_table("contract.t").num_rows == 1
    bigquery_client.delete_dataset("contract", delete_contents=True)
    jobs = aiplatform_v1.JobServiceClient(
        transport="rest", client_options={"api_endpoint": environment["VERTEX_ENDPOINT"]}
    )
    list(jobs.list_batch_prediction_jobs(parent=f"projects/{project}/locations/us-central1"))
    publisher.publish(environment["DEAD_LETTERS_TOPIC"], b"contract").result(LAST_LIMIT)
    http = environment["LOCALCLOUD_URL"]
    for path in (f"projects/{project}/topics", f"projects/{project}/locations/us-central1/jobs"):
        requests.get(f"{http}/v1/{path}", timeout=LAST_LIMIT).raise_for_status()


def test_the_functions_send_only_requests_that_google_allows(said: list[Exchange]) -> None:
    contract = Contract()
    breaches = Counter(
        f"{exchange.caller}: {exchange.method}: {breach}"
        for exchange in said
        if exchange.caller is not None
        for breach in contract.breaches_of_request(exchange)
    )
    assert not breaches


def test_the_local_cloud_sends_only_answers_that_google_describes(said: list[Exchange]) -> None:
    contract = Contract()
    breaches = Counter(
        f"{exchange.method or exchange.path}: {breach}"
        for exchange in said
        for breach in contract.breaches_of_answer(exchange)
    )
    assert not breaches
