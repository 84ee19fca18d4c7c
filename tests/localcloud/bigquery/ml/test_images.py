"""Object tables and images: the statements of the wildlife lab with a small model, and each image function."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest
from google.api_core import exceptions
from onnx import TensorProto, helper
from PIL import Image

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.features.images import (
    convert_color,
    decode,
    resize,
    to_whole_numbers,
)
from tests.localcloud.bigquery.ml.world import PROJECT, MlWorld, ml_world

COLORS = {"fox": (250, 60, 10), "frog": (10, 200, 30), "whale": (20, 40, 230)}


def picture(color: tuple[int, int, int], size: tuple[int, int], kind: str) -> bytes:
    """Return an image of one color with reproducible noise."""
    noise = np.random.default_rng(sum(color)).integers(-5, 5, (size[1], size[0], 3))
    pixels = np.clip(np.array(color) + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def network() -> bytes:
    """Return a model that classifies images as mostly red, green or blue."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["input"], ["means"], axes=[1, 2], keepdims=0),
            helper.make_node("ArgMax", ["means"], ["class_label"], axis=1, keepdims=0),
        ],
        "colours",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 16, 24, 3])],
        [helper.make_tensor_value_info("class_label", TensorProto.INT64, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    with ml_world() as running:
        for name, color in COLORS.items():
            running.store.write(
                "models",
                f"images/{name}.png",
                picture(color, (31, 20), "PNG"),
                content_type="image/png",
                metadata={"animal": name},
            )
        running.upload("net", {"resnet.onnx": network()})
        running.run(
            "CREATE OR REPLACE EXTERNAL TABLE `d.wildlife` WITH CONNECTION `us.onnx_conn` "
            "OPTIONS(object_metadata = 'SIMPLE', uris = ['gs://bucket/images/*'])"
        )
        running.run(
            "CREATE OR REPLACE MODEL d.model OPTIONS(MODEL_TYPE='ONNX', MODEL_PATH='gs://bucket/net/resnet.onnx')"
        )
        running.run(
            "CREATE TABLE d.classifier AS SELECT * FROM UNNEST([STRUCT(1 AS ID, 'red' AS Classification), STRUCT(2, 'green'), "
            "STRUCT(3, 'blue'), STRUCT(4, 'none')])"
        )
        yield running


def test_an_object_table_lists_the_objects(world: MlWorld) -> None:
    rows = sorted(world.rows("SELECT * FROM d.wildlife"), key=lambda row: row["uri"])

    stored = world.store.list("models", "images/")
    assert list(rows[0]) == ["uri", "generation", "content_type", "size", "md5_hash", "updated", "metadata"]
    assert [(row["uri"], row["generation"], row["size"]) for row in rows] == [
        (f"gs://models/{one.name}", one.generation, one.size) for one in stored
    ]
    assert rows[0]["metadata"] == [{"name": "animal", "value": "fox"}]
    assert rows[0]["content_type"] == "image/png"


@pytest.mark.long
def test_the_statements_of_the_wildlife_lab_classify_its_images(world: MlWorld) -> None:
    rows = world.rows(
        "SELECT uri, Classification FROM (SELECT uri, class_label FROM ML.PREDICT(MODEL `d.model`, (SELECT uri, "
        "ML.RESIZE_IMAGE(ML.DECODE_IMAGE(DATA), 16, 24, FALSE) AS input FROM `d.wildlife`))) JOIN d.classifier "
        "ON class_label = ID - 1"
    )
    as_in_the_lab = world.rows(
        "SELECT Classification FROM d.classifier WHERE EXISTS (SELECT class_label FROM ML.PREDICT(MODEL `d.model`, "
        "(SELECT ML.RESIZE_IMAGE(ML.DECODE_IMAGE(DATA), 16, 24, FALSE) AS input FROM d.wildlife)) "
        "WHERE class_label = ID - 1)"
    )

    assert {row["uri"].rpartition("/")[2]: row["Classification"] for row in rows} == {
        "fox.png": "red",
        "frog.png": "green",
        "whale.png": "blue",
    }
    assert sorted(row["Classification"] for row in as_in_the_lab) == ["blue", "green", "red"]


@pytest.mark.long
def test_a_model_receives_the_exact_pixels(world: MlWorld) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["input"], ["seen"])],
        "seen",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 20, 31, 3])],
        [helper.make_tensor_value_info("seen", TensorProto.FLOAT, ["N", 20, 31, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    world.upload("seen", {"m.onnx": model.SerializeToString()})
    world.import_model("seen", "ONNX", "seen/*")

    rows = world.rows(
        "SELECT uri, seen FROM ML.PREDICT(MODEL d.seen, (SELECT uri, ML.DECODE_IMAGE(data) AS input FROM d.wildlife))"
    )

    session = onnxruntime.InferenceSession(model.SerializeToString())
    for row in rows:
        with Image.open(io.BytesIO(world.store.read("models", row["uri"].removeprefix("gs://models/")))) as opened:
            pixels = np.asarray(opened, np.float32)[None] / 255
        np.testing.assert_allclose(row["seen"], session.run(None, {"input": pixels})[0].reshape(-1), atol=1e-6)


def test_an_object_table_reflects_changes_in_the_bucket(world: MlWorld) -> None:
    world.upload("moving", {"a.txt": b"a", "b.txt": b"bb"})
    world.run(
        "CREATE EXTERNAL TABLE d.moving WITH CONNECTION `us.c` "
        "OPTIONS(object_metadata='SIMPLE', uris=['gs://bucket/moving/*'])"
    )
    before = world.rows("SELECT size, TO_BASE64(data) AS content FROM d.moving AS m ORDER BY uri")
    world.store.delete("models", "moving/a.txt")
    world.upload("moving", {"c.txt": b"ccc"})

    assert before == [{"size": 1, "content": "YQ=="}, {"size": 2, "content": "YmI="}]
    assert world.rows("SELECT size FROM d.moving") == [{"size": 2}, {"size": 3}]
    world.run("DROP TABLE d.moving")
    assert world.refusal("SELECT * FROM d.moving")[0] == "notFound"
    world.run("CREATE TABLE d.moving AS SELECT 1 AS size")
    assert world.rows("SELECT * FROM d.moving") == [{"size": 1}]


OBJECTS = "WITH CONNECTION `us.c` OPTIONS(object_metadata='SIMPLE', uris=['gs://bucket/images/*'])"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT ref FROM d.wildlife", "The column ref of object tables is not supported"),
        ("SELECT OBJ.GET_ACCESS_URL(w.ref, 'r') FROM d.wildlife AS w", "OBJ.GET_ACCESS_URL is not supported"),
        ("SELECT OBJ.MAKE_REF(uri, 'us.c') FROM d.wildlife", "OBJ.MAKE_REF is not supported"),
    ],
)
def test_references_to_objects_are_refused_by_name(world: MlWorld, query: str, message: str) -> None:
    for dry_run in (False, True):
        assert message in world.refusal(query, dry_run=dry_run)[1]
    assert world.rows("SELECT ref FROM (SELECT 1 AS ref FROM d.wildlife LIMIT 1)") == [{"ref": 1}]


@pytest.mark.parametrize("end", ["", ";", "; SELECT 1"])
def test_an_external_table_is_dropped_and_its_objects_stay(world: MlWorld, end: str) -> None:
    world.run(f"CREATE EXTERNAL TABLE d.passing {OBJECTS}")
    job = world.run(f"DROP EXTERNAL TABLE `d.passing`{end}")
    if end != "; SELECT 1":
        assert (job.statement_type, job.ddl_operation_performed) == ("DROP_EXTERNAL_TABLE", "DROP")
    assert world.refusal("SELECT * FROM d.passing")[0] == "notFound"
    assert world.run("DROP EXTERNAL TABLE IF EXISTS d.passing").ddl_operation_performed == "SKIP"
    assert len(world.store.list("models", "images/")) == len(COLORS)


@pytest.mark.parametrize(
    ("statement", "reason", "message"),
    [
        ("DROP EXTERNAL TABLE d.missing", "notFound", "Not found: Table local-project:learning.missing"),
        ("DROP EXTERNAL TABLE nowhere.x", "notFound", "Not found: Dataset local-project:nowhere"),
        (
            "DROP EXTERNAL TABLE d.classifier",
            "invalidQuery",
            "Cannot drop local-project:learning.classifier which has type TABLE. An external table was expected.",
        ),
        ("DROP EXTERNAL TABLE IF EXISTS", "invalidQuery", "Unexpected end of statement"),
        ("DROP EXTERNAL TABLE d.wildlife CASCADE", "invalidQuery", "Expected end of input"),
        (f"CREATE OR REPLACE EXTERNAL TABLE d.classifier {OBJECTS}", "invalid", "it is currently a TABLE"),
        (f"CREATE EXTERNAL TABLE d.wildlife {OBJECTS}", "duplicate", "Already Exists: Table"),
        (
            f"CREATE EXTERNAL TABLE d.x {OBJECTS.replace('gs://bucket', 'gs://no-bucket')}",
            "accessDenied",
            "on bucket no-bucket (or it may not exist)",
        ),
        (
            f"CREATE EXTERNAL TABLE d.x {OBJECTS.replace('us.c', 'us-east1.c')}",
            "invalid",
            "it is in location us-east1, and dataset local-project:learning is in us",
        ),
    ],
)
def test_an_external_table_that_cannot_be_created_or_dropped_is_an_error(
    world: MlWorld, statement: str, reason: str, message: str
) -> None:
    # Google's client takes a 409 for a dry run as that of a job id, and looks for the job for minutes.
    for dry_run in (False,) if reason == "duplicate" else (False, True):
        found = world.refusal(statement, dry_run=dry_run)
        assert found[0] == reason
        assert message in found[1]


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("WITH CONNECTION `us.c` OPTIONS(object_metadata='FULL', uris=['gs://bucket/*'])", "only value"),
        ("WITH CONNECTION `us.c` OPTIONS(object_metadata='SIMPLE')", "uris must be an array"),
        ("WITH CONNECTION `us.c` OPTIONS(object_metadata='SIMPLE', uris=['/tmp/*'])", "Cloud Storage URI"),
        (
            "WITH CONNECTION `us.c` OPTIONS(object_metadata='SIMPLE', uris=['gs://bucket/*'], foo=1)",
            "Unknown option: foo",
        ),
        (
            "WITH CONNECTION `us.c` OPTIONS(object_metadata='SIMPLE', uris=['gs://bucket/*'], metadata_cache_mode='NEVER')",
            "must be AUTOMATIC or MANUAL, not NEVER",
        ),
        (f"{OBJECTS.removesuffix(')')}, description=7)", "description must be a STRING"),
        ("OPTIONS(object_metadata='SIMPLE', uris=['gs://bucket/*'])", "WITH CONNECTION is missing"),
    ],
)
def test_an_invalid_object_table_is_rejected(world: MlWorld, statement: str, part: str) -> None:
    assert part in world.refusal(f"CREATE EXTERNAL TABLE d.refused {statement}")[1]
    assert "refused" not in {each.table_id for each in world.client.list_tables(world.dataset)}


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO d.wildlife (uri) VALUES ('x')",
        "UPDATE d.wildlife SET uri = 'x' WHERE TRUE",
        "DELETE FROM d.wildlife WHERE TRUE",
        "MERGE d.wildlife USING (SELECT 1) ON FALSE WHEN NOT MATCHED THEN INSERT (uri) VALUES ('x')",
        "TRUNCATE TABLE d.wildlife",
        "ALTER TABLE d.wildlife ADD COLUMN animal STRING",
        "CREATE TABLE d.copied COPY d.wildlife",
        "CREATE TABLE d.copied CLONE d.wildlife",
        "CREATE SNAPSHOT TABLE d.copied CLONE d.wildlife",
        "SELECT 1; TRUNCATE TABLE d.wildlife",
        "LOAD DATA INTO d.wildlife FROM FILES (format='CSV', uris=['gs://bucket/images/x'])",
    ],
)
def test_no_statement_writes_or_copies_an_object_table(world: MlWorld, statement: str) -> None:
    assert "it is currently an EXTERNAL table" in world.refusal(statement)[1]
    assert len(world.rows("SELECT uri FROM d.wildlife")) == len(COLORS)


def test_no_job_copies_an_object_table_and_no_call_inserts_into_it(world: MlWorld) -> None:
    table, target = f"{PROJECT}.{world.dataset}.wildlife", f"{PROJECT}.{world.dataset}.copied"
    for call in (
        lambda: world.client.copy_table(table, target).result(),
        lambda: world.client.extract_table(table, "gs://models/copied.json").result(),
        lambda: world.client.insert_rows_json(table, [{"uri": "x"}]),
    ):
        with pytest.raises(exceptions.BadRequest, match="it is currently an EXTERNAL table"):
            call()


def test_images_are_resized_and_converted_in_sql(world: MlWorld) -> None:
    rows = world.rows(
        "SELECT ML.CONVERT_IMAGE_TYPE(ML.RESIZE_IMAGE(ML.DECODE_IMAGE(data), 1, 1, FALSE)) AS whole, "
        "ML.CONVERT_COLOR_SPACE(ML.RESIZE_IMAGE(ML.DECODE_IMAGE(data), 4, 6, TRUE), 'GRAYSCALE') AS grey, "
        "ML.DECODE_IMAGE(CAST(NULL AS BYTES)) AS nothing FROM d.wildlife WHERE uri LIKE '%fox%'"
    )

    assert rows[0]["whole"]["_field_1"] == [1, 1, 3]
    np.testing.assert_allclose(rows[0]["whole"]["_field_2"], COLORS["fox"], atol=6)
    assert rows[0]["grey"]["_field_1"] == [4, 6, 1]
    assert len(rows[0]["grey"]["_field_2"]) == 24
    assert rows[0]["nothing"] is None


def test_an_invalid_image_is_rejected(world: MlWorld) -> None:
    world.upload("broken", {"x.png": b"not an image"})
    world.run(
        "CREATE EXTERNAL TABLE d.broken WITH CONNECTION `us.c` "
        "OPTIONS(object_metadata='SIMPLE', uris=['gs://bucket/broken/*'])"
    )

    assert "not a JPEG, PNG or BMP" in world.refusal("SELECT ML.DECODE_IMAGE(data) AS i FROM d.broken")[1]
    without_decoding = world.refusal("SELECT ML.RESIZE_IMAGE(data, 1, 1, FALSE) AS i FROM d.broken")[1]
    assert "No matching signature for function ML.RESIZE_IMAGE for argument types: BYTES" in without_decoding
    assert (
        "images of the model's dimensions [16, 24, 3]"
        in (
            world.refusal(
                "SELECT * FROM ML.PREDICT(MODEL d.model, (SELECT ML.DECODE_IMAGE(data) AS input FROM d.wildlife))"
            )[1]
        )
    )


@pytest.mark.parametrize("kind", ["PNG", "BMP"])
def test_decoded_pixels_are_from_0_to_1(kind: str) -> None:
    content = picture((250, 60, 10), (7, 5), kind)

    with Image.open(io.BytesIO(content)) as opened:
        expected = np.asarray(opened.convert("RGB")) / 255
    np.testing.assert_allclose(decode(content), expected, atol=1e-6)


def test_resizing_equals_tensorflows_bilinear_interpolation() -> None:
    import tensorflow as tf

    image = np.random.default_rng(1).random((13, 29, 3)).astype(np.float32)

    for height, width, preserve in ((5, 8, False), (40, 31, False), (10, 10, True)):
        expected = tf.image.resize(image, [height, width], preserve_aspect_ratio=preserve).numpy()
        np.testing.assert_allclose(resize(image, height, width, preserve_aspect_ratio=preserve), expected, atol=1e-5)


def test_color_conversion_equals_tensorflows() -> None:
    import tensorflow as tf

    image = np.random.default_rng(2).random((4, 5, 3)).astype(np.float32)
    image[0] = 0.5

    np.testing.assert_allclose(convert_color(image, "HSV"), tf.image.rgb_to_hsv(image), atol=1e-5)
    np.testing.assert_allclose(convert_color(image, "YIQ"), tf.image.rgb_to_yiq(image), atol=1e-4)
    np.testing.assert_allclose(convert_color(image, "YUV"), tf.image.rgb_to_yuv(image), atol=1e-4)
    np.testing.assert_allclose(convert_color(image, "grayscale"), tf.image.rgb_to_grayscale(image), atol=1e-3)
    expected = tf.image.convert_image_dtype(image, tf.uint8, saturate=True)
    np.testing.assert_array_equal(to_whole_numbers(image), expected)
    with pytest.raises(QueryError, match="unknown color space"):
        convert_color(image, "CMYK")
