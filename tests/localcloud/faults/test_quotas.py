"""Quotas are kept while they are asked for, and a wrong one is refused by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from google.api_core.exceptions import Forbidden, TooManyRequests
from google.cloud import bigquery, storage

from localcloud.faults.active import Faults
from tests.waiting import LAST_LIMIT

NOTHING = {
    "storage_writes_per_second": None,
    "bigquery_queued_interactive": None,
    "bigquery_table_modifications_per_day": None,
}


@pytest.fixture
def quotas(environment: dict[str, str]) -> Iterator[Callable[[Any], requests.Response]]:
    """Puts quotas into force, until the test ends."""
    url = f"{environment['LOCALCLOUD_URL']}/quotas"
    yield lambda document: requests.post(url, json=document, timeout=LAST_LIMIT)
    assert requests.delete(url, timeout=LAST_LIMIT).json() == NOTHING


def test_an_object_is_written_so_often_and_no_more(
    cloud: object, quotas: Callable[[Any], requests.Response], output_bucket: storage.Bucket
) -> None:
    assert quotas({"storage_writes_per_second": 0.01}).json() == {**NOTHING, "storage_writes_per_second": 0.01}
    output_bucket.blob("quota/one").upload_from_string(b"1", retry=None)
    with pytest.raises(TooManyRequests):
        output_bucket.blob("quota/one").upload_from_string(b"2", retry=None)
    output_bucket.blob("quota/two").upload_from_string(b"1", retry=None)

    quotas({"storage_writes_per_second": None})
    output_bucket.blob("quota/one").upload_from_string(b"3", retry=None)
    assert output_bucket.blob("quota/one").download_as_bytes() == b"3"


def test_a_table_is_changed_so_often_and_no_more(
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
        ([], "Quotas are an object"),
        ({"storage_reads": 1}, "There is no quota `storage_reads`"),
        ({"storage_writes_per_second": 0}, "`storage_writes_per_second` is a number above 0"),
        ({"bigquery_queued_interactive": 1.5}, "`bigquery_queued_interactive` is a whole number above 0"),
        ({"bigquery_queued_interactive": True}, "`bigquery_queued_interactive` is a whole number above 0"),
    ],
)
def test_a_wrong_quota_is_refused_by_its_name(
    cloud: object, quotas: Callable[[Any], requests.Response], document: Any, message: str
) -> None:
    answer = quotas(document)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_pattern_is_never_about_jobs() -> None:
    faults = Faults()
    faults.add([{"service": "bigquery", "do": {"status": 500}}, {"method": "bigquery.*", "do": {"status": 500}}])
    assert faults.of_job() is None

    faults.add([{"method": "bigquery.jobs.run", "nth": 2, "do": {"status": 500, "reason": "jobBackendError"}}])
    assert faults.of_job() is None
    assert faults.of_job() is not None
