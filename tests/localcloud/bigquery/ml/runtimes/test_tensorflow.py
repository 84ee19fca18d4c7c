"""SavedModels: imported from a bucket, used in all kinds of queries, exported, and rejected if incomplete."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.api_core.exceptions import Conflict, NotFound
from google.cloud import bigquery

from tests.localcloud.bigquery.ml.world import (
    BUCKET,
    PROJECT,
    MlWorld,
    ml_world,
)
from tests.model_files import read_columns
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT

TEXTS = ["one", "two", "three", "Füße", "", "one two"]


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with three inputs, four outputs, a variable and a vocabulary."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    home = tmp_path_factory.mktemp("saved")
    vocabulary = home / "vocabulary.txt"
    vocabulary.write_text("one\ntwo\n")

    class Classifier(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = tf.Variable(np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2))
            words = tf.lookup.TextFileInitializer(
                str(vocabulary),
                tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
                tf.int64,
                tf.lookup.TextFileIndex.LINE_NUMBER,
            )
            self.table = tf.lookup.StaticVocabularyTable(words, 1)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.string, name="text"),
                tf.TensorSpec([None, 3], tf.float32, name="vector"),
                tf.TensorSpec([None], tf.int32, name="number"),
            ]
        )
        def serve(self, text: Any, vector: Any, number: Any) -> dict[str, Any]:
            return {
                "scores": tf.nn.softmax(vector @ self.weights),
                "word": self.table.lookup(text) + tf.cast(number, tf.int64),
                "shout": tf.strings.upper(text, encoding="utf-8"),
                "large": number > 2,
            }

    module = Classifier()
    folder = home / "model"
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


@pytest.fixture(scope="module")
def world(saved_model: Path) -> Iterator[MlWorld]:
    with ml_world() as running:
        running.upload_folder("classifier/1", saved_model)
        running.import_model("m", "TENSORFLOW", "classifier/1/*")
        rows = ", ".join(
            f"STRUCT('{text}' AS text, [{i}.5, {i * 2}.0, 0.25] AS vector, {i} AS number, 'k{i}' AS key_)"
            for i, text in enumerate(TEXTS)
        )
        running.run(f"CREATE TABLE d.t AS SELECT * FROM UNNEST([{rows}])")
        yield running


def expected(saved_model: Path) -> dict[str, list[Any]]:
    """Return TensorFlow's own outputs for the rows of ``d.t``."""
    import tensorflow as tf

    serve = tf.saved_model.load(str(saved_model)).signatures["serving_default"]
    outputs = serve(
        text=tf.constant(TEXTS),
        vector=tf.constant([[i + 0.5, i * 2.0, 0.25] for i in range(len(TEXTS))], tf.float32),
        number=tf.constant(list(range(len(TEXTS))), tf.int32),
    )
    values = {name: value.numpy().tolist() for name, value in outputs.items()}
    values["shout"] = [value.decode() for value in values["shout"]]
    return values


def test_a_model_predicts_like_tensorflow(world: MlWorld, saved_model: Path) -> None:
    rows = sorted(world.rows("SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.t)"), key=lambda row: row["key_"])

    assert list(rows[0]) == ["large", "scores", "shout", "word", "text", "vector", "number", "key_"]
    direct = expected(saved_model)
    assert [row["text"] for row in rows] == TEXTS
    for name in ("word", "shout", "large"):
        assert [row[name] for row in rows] == direct[name]
    np.testing.assert_allclose([row["scores"] for row in rows], direct["scores"], rtol=1e-6)


INPUT = "(SELECT * FROM d.t WHERE number > 2)"
QUERIES = {
    "a CTE": f"WITH p AS (SELECT * FROM ML.PREDICT(MODEL d.m, {INPUT})) SELECT key_, shout FROM p",
    "a CTE as input": "WITH s AS (SELECT * FROM d.t WHERE number > 2) SELECT key_, shout FROM ML.PREDICT(MODEL d.m, TABLE s)",
    "nested CTEs": "WITH s AS (SELECT * FROM d.t), u AS (WITH v AS (SELECT * FROM s WHERE number > 2) "
    "SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT * FROM v))) SELECT key_, shout FROM u",
    "a join": f"SELECT t.key_, p.shout FROM d.t AS t JOIN ML.PREDICT(MODEL d.m, {INPUT}) AS p ON t.key_ = p.key_",
    "a subquery": f"SELECT * FROM (SELECT key_, shout FROM (SELECT * FROM ML.PREDICT(MODEL d.m, {INPUT})))",
    "a filter": "SELECT key_, shout FROM ML.PREDICT(MODEL d.m, TABLE d.t) WHERE large",
    "another prediction": "SELECT key_, UPPER(shout) AS shout FROM ML.PREDICT(MODEL d.m, "
    f"(SELECT shout AS text, vector, number, key_ FROM ML.PREDICT(MODEL d.m, {INPUT})))",
    "other cases": f"select key_, Shout from ml.predict(model d.m, (select TEXT, Vector, NUMBER, key_ from {INPUT}))",
    "a set operation": "SELECT key_, shout FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.t WHERE number = 3)) UNION ALL "
    "SELECT key_, shout FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.t WHERE number > 3))",
    "comments and strings": f"SELECT key_, shout /* ML.PREDICT( */ FROM ML.PREDICT(MODEL d.m, {INPUT}) "
    "WHERE key_ != 'AI.GENERATE(' -- ML.PREDICT(",
}


@pytest.mark.parametrize("place", QUERIES)
def test_a_prediction_works_anywhere_in_a_query(world: MlWorld, place: str) -> None:
    rows = world.rows(QUERIES[place])

    results = sorted((row["key_"], row.get("shout", row.get("Shout"))) for row in rows)
    assert results == [("k3", "FÜSSE"), ("k4", ""), ("k5", "ONE TWO")]


@pytest.mark.long
def test_a_view_uses_the_current_version_of_the_model(world: MlWorld, saved_model: Path) -> None:
    world.upload_folder("viewed", saved_model)
    world.import_model("viewed", "TENSORFLOW", "viewed/*")
    world.run("CREATE VIEW d.v AS SELECT key_, word FROM ML.PREDICT(MODEL d.viewed, TABLE d.t)")

    before = world.rows("SELECT * FROM d.v")
    world.upload("viewed/assets", {"vocabulary.txt": b"three\none\n"})
    world.import_model("viewed", "TENSORFLOW", "viewed/*")
    after = world.rows("SELECT * FROM d.v")

    assert {row["key_"]: row["word"] for row in before} == {"k0": 0, "k1": 2, "k2": 4, "k3": 5, "k4": 6, "k5": 7}
    assert {row["key_"]: row["word"] for row in after} == {"k0": 1, "k1": 3, "k2": 2, "k3": 5, "k4": 6, "k5": 7}


def test_a_prediction_works_in_create_insert_merge_and_scripts(world: MlWorld) -> None:
    world.run(
        "CREATE OR REPLACE TABLE d.o AS SELECT key_, shout FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.t LIMIT 3))"
    )
    inserted = world.run(
        "INSERT INTO d.o SELECT key_, shout FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.t WHERE number = 5))"
    )
    world.run(
        "MERGE d.o AS o USING (SELECT key_, shout FROM ML.PREDICT(MODEL d.m, TABLE d.t)) AS p ON o.key_ = p.key_ "
        "WHEN MATCHED THEN UPDATE SET shout = CONCAT(p.shout, '!') "
        "WHEN NOT MATCHED THEN INSERT (key_, shout) VALUES (p.key_, p.shout)"
    )
    world.run(
        "DECLARE wanted INT64 DEFAULT 4; CREATE TEMP TABLE some AS SELECT * FROM d.t WHERE number >= wanted; "
        "INSERT INTO d.o SELECT 'script', shout FROM ML.PREDICT(MODEL d.m, (SELECT * FROM some)) WHERE number > wanted;"
    )

    assert inserted.num_dml_affected_rows == 1
    rows = sorted((row["key_"], row["shout"]) for row in world.rows("SELECT * FROM d.o"))
    assert len(rows) == 7
    assert [row for row in rows if not row[1].endswith("!")] == [("k3", "FÜSSE"), ("k4", ""), ("script", "ONE TWO")]


def test_the_input_of_a_prediction_can_use_query_parameters(world: MlWorld) -> None:
    job = world.run(
        "CREATE OR REPLACE TABLE d.some AS SELECT key_ FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.t WHERE number = @n))",
        [bigquery.ScalarQueryParameter("n", "INT64", 3)],
    )

    assert job.statement_type == "CREATE_TABLE_AS_SELECT"
    assert world.rows("SELECT * FROM d.some") == [{"key_": "k3"}]


def test_a_dry_run_returns_the_schema_and_rejects_a_missing_column(world: MlWorld) -> None:
    schema = world.dry_run("SELECT *\nFROM ML.PREDICT(MODEL d.m, (SELECT text, vector, number FROM d.t))")
    missing = world.refusal("SELECT *\nFROM ML.PREDICT(MODEL d.m, (SELECT text, number FROM d.t))", dry_run=True)

    assert schema == [
        ("large", "BOOLEAN", "NULLABLE"),
        ("scores", "FLOAT", "REPEATED"),
        ("shout", "STRING", "NULLABLE"),
        ("word", "INTEGER", "NULLABLE"),
        ("text", "STRING", "NULLABLE"),
        ("vector", "FLOAT", "REPEATED"),
        ("number", "INTEGER", "NULLABLE"),
    ]
    assert missing == (
        "invalidQuery",
        "Invalid table-valued function ML.PREDICT\n"
        "Column vector is not found in the input data to the PREDICT function. at [2:6]",
    )


@pytest.mark.parametrize(
    ("query", "part"),
    [
        (
            "SELECT 1 AS text, vector, number FROM d.t",
            "Column text in the input data to the PREDICT function has type INT64",
        ),
        ("SELECT text, vector, '1' AS number FROM d.t", "Column number in the input data"),
        ("SELECT text, vector, 1.5 AS number FROM d.t", "Column number in the input data"),
        ("SELECT text, 1.5 AS vector, number FROM d.t", "Column vector in the input data"),
    ],
)
def test_a_column_whose_type_cannot_be_coerced_is_rejected(world: MlWorld, query: str, part: str) -> None:
    reason, message = world.refusal(f"SELECT * FROM ML.PREDICT(MODEL d.m, ({query}))", dry_run=True)

    assert reason == "invalidQuery"
    assert part in message


def test_integers_are_coerced_to_floats(world: MlWorld) -> None:
    query = "SELECT scores FROM ML.PREDICT(MODEL d.m, (SELECT 'a' AS text, [{}] AS vector, 1 AS number))"

    assert world.rows(query.format("1, 2, 3")) == world.rows(query.format("1.0, 2.0, 3.0"))


@pytest.mark.parametrize("destination", [True, False])
@pytest.mark.parametrize(
    ("query", "part"),
    [
        (
            "SELECT NULLIF(text, 'two') AS text, vector, number FROM d.t",
            "Input column text of ML.PREDICT has NULL values",
        ),
        (
            "SELECT text, vector, NULLIF(number, 3) AS number FROM d.t",
            "Input column number of ML.PREDICT has NULL values",
        ),
        ("SELECT text, [1.0, 2.0] AS vector, number FROM d.t", "must hold arrays of 3 elements"),
        ("SELECT text, vector, 3000000000 AS number FROM d.t", "a value of input number is out of the range of int32"),
    ],
)
def test_the_error_of_an_invalid_row_names_the_column(world: MlWorld, query: str, part: str, destination: bool) -> None:
    sql = f"SELECT shout FROM ML.PREDICT(MODEL d.m, ({query}))"
    reason, message = world.refusal(f"CREATE TABLE d.never AS {sql}" if destination else sql)

    assert reason == "invalidQuery"
    assert part in message
    assert "never" not in {table.table_id for table in world.client.list_tables(world.dataset)}


@pytest.mark.parametrize(
    ("call", "part"),
    [
        ("ML.PREDICT(MODEL d.nothing, TABLE d.t)", f"Not found: Model {PROJECT}:learning.nothing"),
        ("ML.PREDICT(MODEL d.m, SELECT 1)", "Each subquery argument for table-valued function calls must be enclosed"),
        ("ML.PREDICT(MODEL d.m)", "It takes a model, a table or a query"),
        ("ML.PREDICT(d.m, TABLE d.t)", "Its first argument must be MODEL"),
        ("ML.PREDICT(MODEL d.m, TABLE d.t, STRUCT(0.5 AS threshold))", "option threshold is not supported"),
        ("ML.PREDICT(MODEL d.m, TABLE d.t, STRUCT(1 AS other))", "Unknown option other"),
    ],
)
def test_an_invalid_call_is_rejected(world: MlWorld, call: str, part: str) -> None:
    _, message = world.refusal(f"SELECT * FROM {call}", dry_run=True)

    assert part.lower() in message.lower()


def test_the_resource_has_the_columns_that_the_functions_read(world: MlWorld, saved_model: Path) -> None:
    assert world.columns("m") == read_columns("TENSORFLOW", (saved_model / "saved_model.pb").read_bytes())


def test_the_resource_contains_inputs_outputs_and_origin(world: MlWorld) -> None:
    model = world.model("m")

    assert model["modelType"] == "TENSORFLOW"
    assert model["location"] == "US"
    assert {column["name"]: column["type"]["typeKind"] for column in model["featureColumns"]} == {
        "number": "INT64",
        "text": "STRING",
        "vector": "ARRAY",
    }
    assert model["labelColumns"][1] == {
        "name": "scores",
        "type": {"typeKind": "ARRAY", "arrayElementType": {"typeKind": "FLOAT64"}},
    }
    assert model["trainingRuns"][0]["trainingOptions"]["modelUri"] == f"gs://{BUCKET}/classifier/1/*"


VALUES = {
    "a_date": "DATE '2024-02-29'",
    "a_datetime": "DATETIME '2024-02-29 12:30:00.123456'",
    "a_time": "TIME '12:30:00.123456'",
    "a_timestamp": "TIMESTAMP '2024-02-29 12:30:00.123456+00'",
    "a_number": "NUMERIC '12345678901234567890.123456789'",
    "some_bytes": "FROM_BASE64('AP8=')",
    "a_struct": "STRUCT(1 AS a, ['x', 'y'] AS b)",
    "some_structs": "[STRUCT(1 AS a), STRUCT(2 AS a)]",
    "nothing": "CAST(NULL AS STRING)",
    "json": "JSON '{\"a\": [1, 2]}'",
    "large": "BIGNUMERIC '0.12345678901234567890123456789'",
}


@pytest.mark.parametrize("name", VALUES)
def test_columns_of_every_type_pass_through(world: MlWorld, name: str) -> None:
    value = f"{VALUES[name]} AS kept"
    query = f"SELECT 'two' AS text, [1.0, 2.0, 3.0] AS vector, 1 AS number, {value}"

    passed = world.rows(f"SELECT kept FROM ML.PREDICT(MODEL d.m, ({query}))")

    assert passed == world.rows(f"SELECT {value}")


def test_an_empty_input_has_an_empty_result(world: MlWorld) -> None:
    assert world.rows("SELECT * FROM ML.PREDICT(MODEL d.m, (SELECT * FROM d.t WHERE FALSE))") == []


def test_a_model_predicts_after_its_files_are_deleted(world: MlWorld, saved_model: Path) -> None:
    world.upload_folder("gone", saved_model)
    world.import_model("frozen", "TENSORFLOW", "gone/*")
    for stored in world.store.list(BUCKET, "gone/"):
        world.store.delete(BUCKET, stored.name)

    assert len(world.rows("SELECT word FROM ML.PREDICT(MODEL d.frozen, TABLE d.t)")) == len(TEXTS)


@pytest.mark.parametrize(
    ("missing", "part"),
    [
        ("variables/variables.data-00000-of-00001", "variables/variables.data-00000-of-00001 is missing"),
        ("variables/variables.index", "variables/variables.index is missing"),
        ("assets/vocabulary.txt", "assets/vocabulary.txt is missing"),
        ("saved_model.pb", "holds no saved_model.pb"),
    ],
)
def test_the_error_of_an_incomplete_model_names_the_missing_file(
    world: MlWorld, saved_model: Path, missing: str, part: str
) -> None:
    prefix = f"partial/{missing}"
    world.upload_folder(prefix, saved_model)
    world.store.delete(BUCKET, f"{prefix}/{missing}")

    _, message = world.refusal(
        f"CREATE MODEL d.partial OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://bucket/{prefix}/*')"
    )

    assert part in message
    with pytest.raises(NotFound):
        world.model("partial")


def test_an_export_has_the_same_files(world: MlWorld, saved_model: Path) -> None:
    world.run("EXPORT MODEL d.m OPTIONS(URI='gs://bucket/exported/m/')")

    files = {str(file.relative_to(saved_model)): file.read_bytes() for file in saved_model.rglob("*") if file.is_file()}
    assert "assets/vocabulary.txt" in files
    exported = {stored.name: stored for stored in world.store.list(BUCKET, "exported/m/")}
    assert {name: world.store.read(BUCKET, f"exported/m/{name}") for name in files} == files
    assert len(exported) == len(files)


@pytest.mark.long
def test_a_model_survives_a_restart(saved_model: Path, tmp_path: Path) -> None:
    with ml_world(tmp_path) as first:
        first.upload_folder("m", saved_model)
        first.import_model("m", "TENSORFLOW", "m/*")
        before = first.model("m")

    with ml_world(tmp_path) as second:
        assert second.model("m") == before
        query = "SELECT 'two' AS text, [1.0, 2.0, 3.0] AS vector, 5 AS number"
        assert second.rows(f"SELECT word, shout FROM ML.PREDICT(MODEL d.m, ({query}))") == [{"word": 6, "shout": "TWO"}]
        with pytest.raises(Conflict):
            second.run("CREATE MODEL d.m OPTIONS(MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://bucket/m/*')")


@pytest.mark.long
def test_many_rows_of_many_lengths_keep_their_order(world: MlWorld, saved_model: Path) -> None:
    world.run(
        "CREATE OR REPLACE TABLE d.many AS SELECT FORMAT('row %d', n) AS text, [n / 10.0, 1.0, 2.0] AS vector, "
        "MOD(n, 7) AS number, n FROM UNNEST(GENERATE_ARRAY(1, 40000)) AS n"
    )
    world.run("CREATE OR REPLACE TABLE d.predicted AS SELECT * FROM ML.PREDICT(MODEL d.m, TABLE d.many)")

    wrong = world.rows(
        "SELECT COUNT(*) AS rows_, COUNTIF(shout != UPPER(text) OR word != 2 + number OR large != (number > 2)) AS wrong "
        "FROM d.predicted"
    )
    assert wrong == [{"rows_": 40000, "wrong": 0}]


RESTARTED = """
import sys
from pathlib import Path
from tests.localcloud.bigquery.ml.world import ml_world
with ml_world(Path(sys.argv[1])) as world:
    for model in ("one", "two"):
        sql = (
            f"SELECT word FROM ML.PREDICT(MODEL d.{model}, "
            "(SELECT 'two' AS text, [1.0, 2.0, 3.0] AS vector, 5 AS number))"
        )
        print([row.word for row in world.run(sql).result()], flush=True)
print("tensorflow" in sys.modules)
"""


@pytest.fixture(scope="module")
def restarted(saved_model: Path, tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A process that predicts with two models of an earlier one; only a new process imports TensorFlow to do so."""
    directory = tmp_path_factory.mktemp("data")
    with ml_world(directory) as world:
        world.upload_folder("m", saved_model)
        for model in ("one", "two"):
            world.import_model(model, "TENSORFLOW", "m/*")
    # A file, because DuckDB shows progress bars in the processes of `python -c`.
    program = directory / "restarted.py"
    program.write_text(RESTARTED)
    # This process sets the level when it imports TensorFlow; the new one has to do that itself.
    environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, str(program), str(directory)],
        cwd=ROOT,
        env=environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LAST_LIMIT,
    )


@pytest.mark.matrix
def test_one_model_after_the_other_predicts_after_a_restart(restarted: subprocess.CompletedProcess[str]) -> None:
    assert (restarted.returncode, restarted.stdout) == (0, "[6]\n[6]\nFalse\n"), restarted.stderr[-2000:]


@pytest.mark.matrix
def test_the_import_of_tensorflow_logs_nothing(restarted: subprocess.CompletedProcess[str]) -> None:
    assert restarted.stderr == ""
