"""Quotas apply while they are on, and invalid ones are rejected by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from google.api_core.exceptions import Forbidden, TooManyRequests
from google.cloud import bigquery, storage

from tests.waiting import LAST_LIMIT

pytestmark = pytest.mark.long

NO_LIMITS = {
    "storage_writes_per_second": None,
    "bigquery_queued_interactive": None,
    "bigquery_table_modifications_per_day": None,
}


@pytest.fixture
def quotas(environment: dict[str, str]) -> Iterator[Callable[[Any], requests.Response]]:
    """Turns quotas on until the test ends."""
    url = f"{environment['LOCALCLOUD_URL']}/quotas"
    yield lambda document: requests.post(url, json=document, timeout=LAST_LIMIT)
    assert requests.delete(url, timeout=LAST_LIMIT).json() == NO_LIMITS


def test_writes_of_one_object_beyond_the_quota_are_rejected_until_it_is_off(
    cloud: object, quotas: Callable[[Any], requests.Response], output_bucket: storage.Bucket
) -> None:
    assert quotas({"storage_writes_per_second": 0.01}).json() == {**NO_LIMITS, "storage_writes_per_second": 0.01}
    output_bucket.blob("quota/one").upload_from_string(b"1", retry=None)
    with pytest.raises(TooManyRequests):
        output_bucket.blob("quota/one").upload_from_string(b"2", retry=None)
    output_bucket.blob("quota/two").upload_from_string(b"1", retry=None)

    quotas({"storage_writes_per_second": None})
    output_bucket.blob("quota/one").upload_from_string(b"3", retry=None)
    assert output_bucket.blob("quota/one").download_as_bytes() == b"3"


def test_a_job_that_modifies_a_table_beyond_the_quota_is_rejected(
    cloud: object, quotas: Callable[[Any], requests.Response], bigquery_client: bigquery.Client
) -> None:
    bigquery_client.create_dataset("quota", exists_ok=True)
    quotas({"bigquery_table_modifications_per_day": 1})
    config = bigquery.QueryJobConfig(
        destination=f"{bigquery_client.project}.quota.changed", write_disposition="WRITE_TRUNCATE"
    )
    bigquery_client.query("SELECT 1 AS n", job_config=config).result()
    with pytest.raises(Forbidden, match="Quota exceeded"):
        bigquery_client.query("SELECT 2 AS n", job_config=config, retry=None, job_retry=None).result()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "Quotas must be an object"),
        ({"storage_reads": 1}, "There is no quota `storage_reads`"),
        ({"storage_writes_per_second": 0}, "`storage_writes_per_second` must be a number above 0"),
        ({"bigquery_queued_interactive": 1.5}, "`bigquery_queued_interactive` must be an integer above 0"),
        ({"bigquery_queued_interactive": True}, "`bigquery_queued_interactive` must be an integer above 0"),
    ],
)
def test_an_invalid_quota_is_rejected_with_its_name(
    cloud: object, quotas: Callable[[Any], requests.Response], document: Any, message: str
) -> None:
    response = quotas(document)
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]
