"""Google's notebook on batch predictions over BigQuery, cell by cell, filled in as a person does.

https://github.com/GoogleCloudPlatform/generative-ai/blob/main/gemini/batch-prediction/intro_batch_prediction_using_bigquery_input.ipynb
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import requests

from tests.waiting import LAST_LIMIT, wait_until

if TYPE_CHECKING:
    from localcloud.cloud import LocalCloud

pytestmark = pytest.mark.long

LOCATION = "us-central1"
MODEL_ID = "gemini-2.5-flash"
INPUT_DATA = "bq://storage-samples.generative_ai.batch_requests_for_multimodal_input_2"


@pytest.mark.usefixtures("cloud")
def test_the_notebook_runs_as_printed(cloud: LocalCloud, environment: dict[str, str], project: str) -> None:
    import vertexai
    from google.cloud import bigquery
    from vertexai.batch_prediction import BatchPredictionJob
    from vertexai.generative_models import GenerativeModel

    # Not in the notebook: the address, which is Google's by default, and rows over REST, because the
    # Storage API's client has no variable for its address.
    vertexai.init(project=project, location=LOCATION, api_endpoint=environment["VERTEX_ENDPOINT"], api_transport="rest")
    GenerativeModel(MODEL_ID)

    bq_client = bigquery.Client(project=project)
    bq_table_id = INPUT_DATA.replace("bq://", "")
    sql = f"""
        SELECT *
        FROM {bq_table_id}
        """
    query_result = bq_client.query(sql)
    requests_given = query_result.result().to_dataframe(create_bqstorage_client=False)
    assert len(requests_given.head()) > 0
    assert "request" in requests_given.columns

    bq_dataset_id = "gen_ai_batch_prediction"
    timestamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
    bq_table_id = f"prediction_result_{timestamp}"
    output_uri = f"bq://{project}.{bq_dataset_id}.{bq_table_id}"
    bq_dataset = bigquery.Dataset(f"{project}.{bq_dataset_id}")
    bq_dataset.location = "us-central1"
    bq_dataset = bq_client.create_dataset(bq_dataset, exists_ok=True, timeout=LAST_LIMIT)
    assert bq_dataset.location == "us-central1"

    job = BatchPredictionJob.submit(source_model=MODEL_ID, input_dataset=INPUT_DATA, output_uri_prefix=output_uri)
    assert job.model_name.endswith(MODEL_ID)

    def ended() -> bool:
        job.refresh()
        return bool(job.has_ended)

    wait_until(ended)
    assert job.has_succeeded, job.error

    bq_table_id = job.output_location.replace("bq://", "")
    sql = f"""
        SELECT *
        FROM {bq_table_id}
        """
    query_result = bq_client.query(sql)
    answers = query_result.result().to_dataframe(create_bqstorage_client=False)
    assert len(answers) == len(requests_given)
    assert {json.dumps(json.loads(request), sort_keys=True) for request in answers["request"]} == {
        json.dumps(json.loads(request), sort_keys=True) for request in requests_given["request"]
    }
    assert all("candidates" in json.loads(response) for response in answers["response"])
    # Another way to the same rows.
    assert bq_client.get_table(bq_table_id).num_rows == len(requests_given)

    name = job.resource_name
    job.delete()
    left = requests.get(f"{environment['VERTEX_ENDPOINT']}/v1/{name}", timeout=LAST_LIMIT)
    assert left.status_code == 404
