"""The course's lab "Streamlining Wildlife Image Classification in BigQuery with an Imported Model", as it is printed.

https://www.cloudskillsboost.google/course_templates/1060/labs/527189
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.cloud import bigquery

from examples.make_wildlife import ANIMALS, write_wildlife
from tests.localcloud.bigquery.ml.world import PROJECT, MlWorld, ml_world

LAB_PROJECT = "qwiklabs-gcp-02-37f098d055f6"
BUCKET = f"{LAB_PROJECT}-bucket"
STATEMENTS = (
    """CREATE OR REPLACE EXTERNAL TABLE
  `onnx_demo.wildlife`
WITH CONNECTION `us-east1.onnx_conn`
OPTIONS (
  object_metadata = 'SIMPLE',
  uris = ['gs://qwiklabs-gcp-02-37f098d055f6-bucket/gsp1248/images/*']
  );
""",
    """LOAD DATA OVERWRITE onnx_demo.classifier
(ID INT64,Classification STRING)
FROM FILES (
  format = 'CSV',
  uris = ['gs://qwiklabs-gcp-02-37f098d055f6-bucket/gsp1248/classifier.csv']);
""",
    """CREATE OR REPLACE MODEL `onnx_demo.model`
 OPTIONS (MODEL_TYPE='ONNX',
  MODEL_PATH='gs://qwiklabs-gcp-02-37f098d055f6-bucket/gsp1248/resnet18.onnx')
""",
)
CLASSIFY = """SELECT * FROM `qwiklabs-gcp-02-37f098d055f6.onnx_demo.classifier`
WHERE EXISTS (
SELECT
   1
FROM
   ML.PREDICT(MODEL onnx_demo.model,
      (
      SELECT
      ML.RESIZE_IMAGE(ML.DECODE_IMAGE(DATA),
         224,
         224,
         FALSE) AS input
      FROM
         `onnx_demo.wildlife`
      )
   )
WHERE
   class_label = ID - 1
)
""".replace(f"`{LAB_PROJECT}.", f"`{PROJECT}.")
FOUND = {(animal.number + 1, animal.name) for animal in ANIMALS}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlWorld]:
    """A BigQuery, and the lab's bucket."""
    folder = tmp_path_factory.mktemp("wildlife")
    write_wildlife(folder)
    with ml_world() as running:
        running.store.ensure_bucket(BUCKET)
        for file in filter(Path.is_file, folder.rglob("*")):
            running.store.write(BUCKET, f"gsp1248/{file.relative_to(folder)}", file.read_bytes())
        yield running


@pytest.fixture
def dataset(world: MlWorld) -> Iterator[str]:
    """The lab's dataset, which is in a region."""
    created = bigquery.Dataset(f"{PROJECT}.onnx_demo")
    created.location = "us-east1"
    world.client.create_dataset(created)
    yield "onnx_demo"
    world.client.delete_dataset("onnx_demo", delete_contents=True)


def found(world: MlWorld, sql: str) -> set[tuple[object, ...]]:
    return {tuple(row) for row in world.client.query_and_wait(sql)}


@pytest.mark.long
@pytest.mark.usefixtures("dataset")
def test_the_lab_about_wildlife_finds_the_animals_of_its_images(world: MlWorld) -> None:
    for _ in range(2):  # A student may run each statement again.
        for statement in STATEMENTS:
            world.client.query_and_wait(statement)
    assert found(world, CLASSIFY) == FOUND
    assert world.client.get_table("onnx_demo.classifier").num_rows == len(ANIMALS) + 6
    paired = """SELECT uri, Classification FROM ML.PREDICT(MODEL onnx_demo.model, (
        SELECT uri, ML.RESIZE_IMAGE(ML.DECODE_IMAGE(data), 224, 224, FALSE) AS input FROM onnx_demo.wildlife))
        JOIN onnx_demo.classifier ON class_label = ID - 1"""
    assert found(world, paired) == {(f"gs://{BUCKET}/gsp1248/images/{each.file}", each.name) for each in ANIMALS}


@pytest.mark.usefixtures("dataset")
def test_the_statements_of_the_lab_run_as_one_script(world: MlWorld) -> None:
    script = ";\n".join(statement.strip().removesuffix(";") for statement in (*STATEMENTS, CLASSIFY))
    assert found(world, script) == FOUND
    world.client.query_and_wait("BEGIN DROP EXTERNAL TABLE onnx_demo.wildlife; DROP MODEL onnx_demo.model; END")
    assert [table.table_id for table in world.client.list_tables("onnx_demo")] == ["classifier"]


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(
    ("index", "right", "wrong", "message"),
    [
        (
            0,
            "us-east1.onnx_conn",
            "us.onnx_conn",
            "it is in location us, and dataset local-project:onnx_demo is in us-east1",
        ),
        (0, "us-east1.onnx_conn", "us-east1.onnx_con", "Not found: Connection local-project.us-east1.onnx_con"),
        (0, BUCKET, "my-bucket", "on bucket my-bucket"),
        (0, f"gs://{BUCKET}", f"https://storage.googleapis.com/{BUCKET}", "Invalid URI"),
        (0, "onnx_demo.", "onnxdemo.", "Not found: Dataset local-project:onnxdemo"),
        (1, BUCKET, "my-bucket", "Not found"),
        (1, "classifier.csv", "classifiers.csv", "Not found: URI"),
        (1, "'CSV'", "'PARQUET'", "classifier.csv"),
        (1, "ID INT64", "ID INT63", "INT63"),
        (1, "ID INT64", "ID DATE", "as DATE for field ID"),
        (2, BUCKET, "my-bucket", "Not found: Bucket my-bucket"),
        (2, "resnet18.onnx", "resnet.onnx", "resnet.onnx"),
        (2, "'ONNX'", "'TENSORFLOW'", "resnet18.onnx"),
    ],
)
def test_a_slip_in_a_statement_of_the_lab_is_named(
    world: MlWorld, index: int, right: str, wrong: str, message: str
) -> None:
    assert right in STATEMENTS[index]
    assert message in world.refusal(STATEMENTS[index].replace(right, wrong))[1]
