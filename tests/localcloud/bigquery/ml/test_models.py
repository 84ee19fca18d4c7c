"""Models as resources: created, registered, changed, listed and deleted, and the statements that are rejected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core import exceptions
from google.cloud import bigquery
from onnx import TensorProto, helper

from tests.localcloud.bigquery.ml.world import PROJECT, MlWorld, ml_world


def identity() -> bytes:
    """Return an ONNX model that returns its input."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.DOUBLE, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.DOUBLE, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    """A running BigQuery with the model ``d.m`` and a table ``d.t`` for it."""
    with ml_world() as running:
        running.upload("identity", {"m.onnx": identity()})
        running.import_model("m", "ONNX", "identity/*")
        running.run("CREATE TABLE d.t AS SELECT 1.0 AS x")
        yield running


@pytest.mark.long
def test_a_job_has_the_statement_type_and_operation(world: MlWorld) -> None:
    options = "OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/identity')"

    created = world.run(f"CREATE MODEL d.described {options}")
    skipped = world.run(f"CREATE MODEL IF NOT EXISTS d.described {options}")
    replaced = world.run(f"CREATE OR REPLACE MODEL d.described {options}")
    dropped = world.run("DROP MODEL d.described")

    assert [job.statement_type for job in (created, dropped)] == ["CREATE_MODEL", "DROP_MODEL"]
    operations = [job.ddl_operation_performed for job in (created, skipped, replaced, dropped)]
    assert operations == ["CREATE", "SKIP", "REPLACE", "DROP"]
    statistics = created._properties["statistics"]["query"]["mlStatistics"]
    assert statistics == {"modelType": "ONNX", "trainingType": "SINGLE_TRAINING"}


def test_the_name_of_an_existing_model_is_rejected(world: MlWorld) -> None:
    reason, message = world.refusal("CREATE MODEL d.m OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/identity/*')")

    assert (reason, message) == ("duplicate", f"Already Exists: Model {PROJECT}:learning.m")


def test_the_name_of_a_table_is_rejected(world: MlWorld) -> None:
    reason, message = world.refusal(
        "CREATE OR REPLACE MODEL d.t OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/identity/*')"
    )

    assert (reason, message) == ("duplicate", f"Already Exists: Table {PROJECT}:learning.t")


@pytest.mark.parametrize(
    "sql",
    ["CREATE TABLE d.m (a INT64)", "CREATE OR REPLACE TABLE d.m AS SELECT 1 AS a", "CREATE VIEW d.m AS SELECT 1 AS a"],
)
def test_a_table_cannot_have_the_name_of_a_model(world: MlWorld, sql: str) -> None:
    assert world.refusal(sql) == ("duplicate", f"Already Exists: Model {PROJECT}:learning.m")


def test_no_call_writes_a_table_with_the_name_of_a_model(world: MlWorld) -> None:
    name = f"{PROJECT}.learning.m"
    for write in (
        lambda: world.client.create_table(name),
        lambda: world.client.query("SELECT 1 AS a", bigquery.QueryJobConfig(destination=name)).result(),
        lambda: world.client.load_table_from_json([{"a": 1}], name).result(),
    ):
        with pytest.raises(exceptions.Conflict, match="Already Exists: Model"):
            write()


def test_a_failed_replacement_leaves_the_model(world: MlWorld) -> None:
    world.import_model("kept", "ONNX", "identity/*")
    world.refusal("CREATE OR REPLACE MODEL d.kept OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/nowhere/*')")

    assert world.rows("SELECT y FROM ML.PREDICT(MODEL d.kept, TABLE d.t)") == [{"y": 1.0}]


@pytest.mark.parametrize(
    ("options", "reason", "part"),
    [
        ("MODEL_PATH='gs://bucket/x/*'", "invalidQuery", "Missing required option: MODEL_TYPE"),
        ("MODEL_TYPE='ONNX'", "invalidQuery", "Missing required option: MODEL_PATH"),
        ("MODELTYPE='ONNX', MODEL_PATH='gs://bucket/x/*'", "invalidQuery", "Unknown option: MODELTYPE"),
        ("MODEL_TYPE=ONNX, MODEL_PATH='gs://bucket/x/*'", "invalidQuery", "Unrecognized name: ONNX"),
        ("MODEL_TYPE=5, MODEL_PATH='gs://bucket/x/*'", "invalidQuery", "Option MODEL_TYPE must be a string"),
        ("MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/x/*') AS (SELECT 1", "invalidQuery", "A query (AS) and TRANSFORM"),
        ("MODEL_TYPE='KMEANS'", "notImplemented", "does not train models"),
        ("MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/x/*', FOO=1", "invalidQuery", "Unknown option: FOO"),
        ("MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/x/*'", "notFound", "Not found: URI"),
        ("MODEL_TYPE='ONNX', MODEL_PATH='gs://no-such-bucket/*'", "notFound", "no-such-bucket"),
        ("MODEL_TYPE='ONNX', MODEL_PATH='/tmp/model'", "invalid", "Invalid MODEL_PATH"),
        ("MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/*/x/*'", "invalid", "one wildcard"),
        ("MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/x', KMS_KEY_NAME='k'", "invalidQuery", "KMS_KEY_NAME"),
        (
            "MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/x', VERTEX_AI_MODEL_ID='k'",
            "invalidQuery",
            "only allowed with MODEL_REGISTRY",
        ),
        (
            "MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/x', MODEL_REGISTRY='VERTEX_AI', VERTEX_AI_MODEL_ID='1K'",
            "invalidQuery",
            "Invalid VERTEX_AI_MODEL_ID '1K'",
        ),
    ],
)
def test_options_that_bigquery_rejects_are_rejected(world: MlWorld, options: str, reason: str, part: str) -> None:
    found, message = world.refusal(f"CREATE MODEL d.rejected OPTIONS({options})")

    assert found == reason
    assert part in message


def test_an_option_is_an_expression_with_variables_and_parameters(world: MlWorld) -> None:
    world.run(
        "DECLARE description, folder STRING DEFAULT 'identity'; CREATE MODEL d.expressed OPTIONS(MODEL_TYPE='ONNX', "
        "MODEL_PATH=CONCAT('gs://bucket/', folder, '/*')); ALTER MODEL d.expressed SET OPTIONS(description=description)"
    )
    assert world.model("expressed")["description"] == "identity"

    parameter = bigquery.ScalarQueryParameter("text", "STRING", "given")
    world.run("ALTER MODEL d.expressed SET OPTIONS(description=UPPER(@text))", [parameter])
    assert world.model("expressed")["description"] == "GIVEN"


def test_a_model_is_registered_by_create_and_by_alter(world: MlWorld) -> None:
    world.run(
        "CREATE MODEL d.registered OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/identity/*', "
        "MODEL_REGISTRY='VERTEX_AI', VERTEX_AI_MODEL_ID='titles', VERTEX_AI_MODEL_VERSION_ALIASES=['best'])"
    )
    world.import_model("later", "ONNX", "identity/*")
    world.run("ALTER MODEL d.later SET OPTIONS(vertex_ai_model_id='titles')")

    first, second = (world.model(name)["trainingRuns"][0] for name in ("registered", "later"))
    assert (first["vertexAiModelId"], first["vertexAiModelVersion"]) == ("titles", "1")
    assert first["trainingOptions"]["vertexAiModelVersionAliases"] == ["best"]
    assert (second["vertexAiModelId"], second["vertexAiModelVersion"]) == ("titles", "2")
    _, message = world.refusal("ALTER MODEL d.later SET OPTIONS(vertex_ai_model_id='other')")
    assert "can't be changed" in message


def test_a_model_is_changed_by_alter_and_by_patch(world: MlWorld) -> None:
    world.import_model("altered", "ONNX", "identity/*")
    world.run(
        "ALTER MODEL d.altered SET OPTIONS(description='first', labels=[('team', 'news'), ('a', 'b')], "
        "expiration_timestamp=TIMESTAMP '2100-01-01 00:00:00+00')"
    )
    model = world.client.get_model(f"{PROJECT}.{world.dataset}.altered")
    model.description = "patched"
    model.labels = {"team": "films", "a": None}
    world.client.update_model(model, ["description", "labels"])

    resource = world.model("altered")
    assert resource["description"] == "patched"
    assert resource["labels"] == {"team": "films"}
    assert resource["expirationTime"] == "4102444800000"
    assert world.run("ALTER MODEL IF EXISTS d.none SET OPTIONS(description='x')").ddl_operation_performed == "SKIP"
    assert world.refusal("ALTER MODEL d.altered SET OPTIONS(friendly_name='x')")[1] == "Unknown option: friendly_name"


def test_a_listed_model_is_gone_after_it_is_deleted(world: MlWorld) -> None:
    world.import_model("listed", "ONNX", "identity/*")

    listed = {model.model_id: model for model in world.client.list_models(world.dataset)}
    assert listed["listed"].model_type == "ONNX"
    assert "featureColumns" not in listed["listed"].to_api_repr()
    world.client.delete_model(f"{world.dataset}.listed")
    assert "listed" not in {model.model_id for model in world.client.list_models(world.dataset)}
    assert world.refusal("DROP MODEL d.listed") == ("notFound", f"Not found: Model {PROJECT}:learning.listed")
    assert world.run("DROP MODEL IF EXISTS d.listed").ddl_operation_performed == "SKIP"
