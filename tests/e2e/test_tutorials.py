"""The statements, commands and samples of Google's tutorials, run as they are printed, and refused where they are wrong.

https://cloud.google.com/bigquery/docs/making-predictions-with-imported-tensorflow-models
https://cloud.google.com/bigquery/docs/create_vertex and https://cloud.google.com/bigquery/docs/managing-models-vertex
"""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.api_core import exceptions

from examples.train_classifier import saved_model
from tests.e2e.world import files_of, fresh
from tests.prepared import sample_titles, title_predictions
from tests.waiting import LAST_LIMIT

if TYPE_CHECKING:
    from google.cloud import bigquery, storage

pytestmark = pytest.mark.long

MODEL_PATH = "gs://cloud-training-demos/txtclass/export/exporter/1549825580/*"

CREATE_MODEL = f"""
  CREATE OR REPLACE MODEL `bqml_tutorial.imported_tf_model`
  OPTIONS (MODEL_TYPE='TENSORFLOW',
    MODEL_PATH='{MODEL_PATH}')
"""
PREDICT = """
SELECT *
  FROM ML.PREDICT(MODEL `bqml_tutorial.imported_tf_model`,
    (
     SELECT title AS input
     FROM bigquery-public-data.hacker_news.full
    )
)
"""
PREDICT_OF_BQ = """SELECT *
FROM ML.PREDICT(
  MODEL `bqml_tutorial.imported_tf_model`,
  (SELECT title AS input FROM `bigquery-public-data.hacker_news.full`))"""

Query = Callable[..., "bigquery.QueryJob"]


@pytest.fixture(scope="module")
def client(bigquery_client: bigquery.Client) -> bigquery.Client:
    bigquery_client.create_dataset("bqml_tutorial", exists_ok=True)
    return bigquery_client


@pytest.fixture(scope="module")
def query(client: bigquery.Client) -> Query:
    from google.cloud import bigquery

    def run(sql: str, **options: Any) -> bigquery.QueryJob:
        job = client.query(sql, job_config=bigquery.QueryJobConfig(**options))
        job.result()
        return job

    return run


@pytest.fixture(scope="module")
def classifier() -> Path:
    """The text classifier's SavedModel."""
    return saved_model()


@pytest.fixture(scope="module")
def imported(query: Query, storage_client: storage.Client, classifier: Path) -> None:
    """The tutorial's model, from the place that it names."""
    bucket = storage_client.bucket("cloud-training-demos")
    if not bucket.exists():
        bucket.create()
    for name, content in files_of(classifier).items():
        bucket.blob(f"txtclass/export/exporter/1549825580/{name}").upload_from_string(content)
    job = query(CREATE_MODEL)
    assert job.statement_type == "CREATE_MODEL"


@pytest.fixture(scope="module")
def expected() -> dict[str, list[float]]:
    """TensorFlow's own output for each title."""
    return dict(zip(sample_titles(), title_predictions()["dense_1"], strict=True))


def check(rows: list[dict[str, Any]], expected: dict[str, list[float]], title: str = "input") -> None:
    assert rows
    for row in rows:
        assert all(
            math.isclose(ours, theirs, rel_tol=1e-5, abs_tol=1e-6)
            for ours, theirs in zip(row["dense_1"], expected[row[title]], strict=True)
        )


@pytest.mark.usefixtures("cloud", "imported")
class TestImportedTensorFlowModel:
    def test_the_statements_of_the_console(
        self, client: bigquery.Client, query: Query, expected: dict[str, list[float]]
    ) -> None:
        table = f"bqml_tutorial.{fresh('predictions')}"
        query(PREDICT, destination=f"{client.project}.{table}")
        rows = [dict(row) for row in client.list_rows(client.get_table(table))]
        assert {row["input"] for row in rows} == set(expected)
        assert list(rows[0]) == ["dense_1", "input"]
        check(rows, expected)

    def test_elements_of_the_probabilities(self, query: Query, expected: dict[str, list[float]]) -> None:
        sql = f"SELECT dense_1[OFFSET(0)] AS a, dense_1[ORDINAL(3)] AS c, dense_1[SAFE_OFFSET(3)] AS d, input {PREDICT[9:]}"
        rows = list(query(sql).result())
        assert len(rows) > 3
        for row in rows:
            assert row.a == pytest.approx(expected[row.input][0], abs=1e-6)
            assert row.c == pytest.approx(expected[row.input][2], abs=1e-6)
            assert row.d is None

    def test_the_statement_of_the_rest_example(self, client: bigquery.Client, query: Query) -> None:
        query("CREATE OR REPLACE TABLE bqml_tutorial.input_data AS SELECT 'Forget about promises' AS input")
        sql = (
            f"SELECT * FROM ML.PREDICT(MODEL `{client.project}.bqml_tutorial.imported_tf_model`, "
            "(SELECT * FROM input_data))"
        )
        rows = list(query(sql, default_dataset=f"{client.project}.bqml_tutorial").result())
        assert [(row.input, len(row.dense_1)) for row in rows] == [("Forget about promises", 3)]

    def test_the_rest_example_of_the_import_is_refused(self, client: bigquery.Client, query: Query) -> None:
        printed = (
            f"CREATE MODEL `{client.project}:bqml_tutorial.imported_tf_model` OPTIONS(MODEL_TYPE='TENSORFLOW' {{}}"
        )
        wrong = printed.format(f"MODEL_PATH='{MODEL_PATH}')")
        with pytest.raises(exceptions.BadRequest, match=r'Syntax error: Expected "\)" but got identifier "MODEL_PATH"'):
            query(wrong)
        # With the comma the name is left to be wrong.
        with pytest.raises(exceptions.BadRequest, match=r"Invalid project ID|must be qualified|Invalid dataset ID"):
            query(wrong.replace("'TENSORFLOW' ", "'TENSORFLOW', "))

    @pytest.mark.matrix
    def test_the_bigquery_dataframes_samples(
        self, client: bigquery.Client, environment: dict[str, str], expected: dict[str, list[float]]
    ) -> None:
        program = f"""
import json, os
import bigframes
options = bigframes.options.bigquery
options.project = {client.project!r}
options.location = "US"
options.client_endpoints_override = {{
    "bqclient": os.environ["BIGQUERY_EMULATOR_HOST"],
    "bqstoragereadclient": os.environ["BIGQUERY_STORAGE_ENDPOINT"],
}}
from bigframes.ml.imported import TensorFlowModel
imported_tensorflow_model = TensorFlowModel(
    model_path="{MODEL_PATH}"
)
import bigframes.pandas as bpd

df = bpd.read_gbq("bigquery-public-data.hacker_news.full")
df_pred = df.rename(columns={{"title": "input"}})
predictions = imported_tensorflow_model.predict(df_pred)
found = predictions.head(5).to_pandas()
print(json.dumps([{{"input": row["input"], "dense_1": list(row["dense_1"])}} for _, row in found.iterrows()]))
kept = imported_tensorflow_model.to_gbq("bqml_tutorial.from_dataframes", replace=True)
kept.register("registered_from_dataframes")
"""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=LAST_LIMIT, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        rows = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith("[{"))
        assert len(rows) == 5
        check(rows, expected)
        [run] = client.get_model("bqml_tutorial.from_dataframes").to_api_repr()["trainingRuns"]
        assert run["vertexAiModelId"] == "registered_from_dataframes"


@pytest.mark.usefixtures("cloud", "imported")
class TestModelRegistry:
    def test_the_k_means_sample_without_options_is_refused(self, query: Query) -> None:
        wrong = """
            CREATE OR REPLACE MODEL `mydataset.my_kmeans_model`
              MODEL_TYPE = 'KMEANS',
              MODEL_REGISTRY = 'VERTEX_AI',
              VERTEX_AI_MODEL_ID = 'customer_clustering';"""
        with pytest.raises(
            exceptions.BadRequest, match='Syntax error: Expected end of input but got identifier "MODEL_TYPE"'
        ):
            query(wrong)

    def test_a_model_is_registered_by_a_statement(self, client: bigquery.Client, query: Query) -> None:
        query(CREATE_MODEL.replace("imported_tf_model", "mymodel"))
        sql = "ALTER MODEL IF EXISTS mymodel SET OPTIONS (vertex_ai_model_id='my_vertex_ai_model_id');"
        query(sql, default_dataset=f"{client.project}.bqml_tutorial")
        runs = client.get_model("bqml_tutorial.mymodel").to_api_repr()["trainingRuns"]
        assert runs[0]["vertexAiModelId"] == "my_vertex_ai_model_id"
        query(sql.replace("mymodel", "no_such_model"), default_dataset=f"{client.project}.bqml_tutorial")

    def test_a_registered_model_is_deployed_answers_and_is_undeployed(
        self, environment: dict[str, str], client: bigquery.Client, query: Query
    ) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import aiplatform

        aiplatform.init(
            project=client.project,
            location="us-central1",
            api_endpoint=environment["VERTEX_ENDPOINT"],
            api_transport="rest",
            credentials=AnonymousCredentials(),
        )
        query(CREATE_MODEL.replace("imported_tf_model", "deployed"))
        query("ALTER MODEL bqml_tutorial.deployed SET OPTIONS (vertex_ai_model_id='titles')")
        assert [model.name for model in aiplatform.Model.list(filter="model=titles")] == ["titles"]
        versions = aiplatform.models.ModelRegistry("titles")
        versions.add_version_aliases(["champion"], "1")
        assert versions.get_version_info("champion").version_id == "1"

        endpoint = aiplatform.Model("titles@champion").deploy(machine_type="n1-standard-2")
        [prediction] = endpoint.predict([{"input": "A story"}]).predictions
        [row] = query(
            "SELECT dense_1 FROM ML.PREDICT(MODEL bqml_tutorial.deployed, (SELECT 'A story' AS input))"
        ).result()
        assert prediction["dense_1"] == pytest.approx(row["dense_1"])
        with pytest.raises(exceptions.BadRequest, match="Please undeploy the model before retry"):
            query("DROP MODEL bqml_tutorial.deployed")
        endpoint.undeploy_all()
        endpoint.delete()
        query("DROP MODEL bqml_tutorial.deployed")
        assert aiplatform.Model.list(filter="model=titles") == []


@pytest.mark.usefixtures("cloud", "imported")
class TestCommandLine:
    """Run where the Google Cloud SDK is installed."""

    @pytest.fixture
    def bq(self) -> Callable[..., str] | None:
        if shutil.which("bq") is None:
            return None

        def run(*arguments: str) -> str:
            done = subprocess.run(["bq", *arguments], capture_output=True, text=True, timeout=LAST_LIMIT, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        return run

    @pytest.mark.matrix
    def test_the_commands_of_the_tutorial(
        self, bq: Callable[..., str] | None, client: bigquery.Client, expected: dict[str, list[float]]
    ) -> None:
        if bq is None:
            return
        client.delete_dataset("bqml_tutorial", delete_contents=True)
        bq("--location=US", "mk", "-d", "--description", "BigQuery ML tutorial dataset.", "bqml_tutorial")
        assert "bqml_tutorial" in bq("ls")
        assert client.get_dataset("bqml_tutorial").description == "BigQuery ML tutorial dataset."
        bq("query", "--use_legacy_sql=false", CREATE_MODEL)
        listed = bq("ls", "-m", "bqml_tutorial")
        assert "imported_tf_model" in listed
        printed = bq("--format=json", "query", "--use_legacy_sql=false", "--max_rows=1000", PREDICT_OF_BQ)
        rows = json.loads(printed)
        assert len(rows) > 3
        check([{**row, "dense_1": [float(value) for value in row["dense_1"]]} for row in rows], expected)
        bq("update", "--model", "--vertex_ai_model_id", "by_bq", f"{client.project}:bqml_tutorial.imported_tf_model")
        shown = json.loads(bq("--format=json", "show", "-m", "bqml_tutorial.imported_tf_model"))
        assert shown["trainingRuns"][0]["vertexAiModelId"] == "by_bq"
        bq("rm", "-f", "-m", "bqml_tutorial.imported_tf_model")
        assert "imported_tf_model" not in bq("ls", "-m", "bqml_tutorial")
