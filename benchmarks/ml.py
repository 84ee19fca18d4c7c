"""ML.PREDICT compared with its runtime, its memory, and a small query compared with bqemulator alone."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery, storage

from benchmarks.figures import Figure, median_seconds
from benchmarks.local import Running, local_cloud
from examples.train_classifier import saved_model

ROWS = 1_000_000
BATCH = 8_192
RUNS = 5
FEATURES = 32
# Units in each of two hidden layers. The small network is so fast that reading and writing the rows dominates.
HIDDEN, HIDDEN_SMALL = 1024, 256
DATASET = "bench"
SMALL_QUERIES = 300


def measure() -> list[Figure]:
    """Measure rates, memory and the round trip of a query."""
    with local_cloud("--no-functions") as cloud:
        client = bigquery.Client()
        client.create_dataset(DATASET, exists_ok=True)
        bucket = storage.Client().bucket(os.environ["OUTPUT_BUCKET"])
        figures = _rates("text classifier", 0.95, client, *_classifier(client, bucket))
        figures += _rates("ONNX network", 0.9, client, *_network(client, bucket, HIDDEN))
        small = _rates("small ONNX network", 0.0, client, *_network(client, bucket, HIDDEN_SMALL))
        figures += [replace(figure, limit="", meets_limit=None) for figure in small]
        figures += _memory(client, cloud)
        figures += _round_trip(client)
    return figures


def _rates(
    name: str, least: float, client: bigquery.Client, model: str, source: str, columns: str, direct: Callable[[], None]
) -> list[Figure]:
    """Compare the rates of three kinds of query with the runtime called directly on the same data.

    Args:
        name: The name in the table.
        least: The limit of the ratio where the rows are written.
        client: BigQuery of the local cloud.
        model: The name of the model.
        source: The query for its input.
        columns: The columns to write: the output of the model first, then a key of the row.
        direct: Calls the runtime.
    """
    predict = f"ML.PREDICT(MODEL {DATASET}.{model}, ({source}))"
    output = bigquery.QueryJobConfig(destination=f"{client.project}.{DATASET}.out", write_disposition="WRITE_TRUNCATE")
    ways: dict[str, Callable[[], None]] = {
        "direct": direct,
        "create": lambda: _run(client, f"CREATE OR REPLACE TABLE {DATASET}.out AS SELECT {columns} FROM {predict}"),
        "destination": lambda: _run(client, f"SELECT {columns} FROM {predict}", output),
        "elsewhere": lambda: _run(
            client,
            f"WITH predictions AS (SELECT * FROM {predict}) "
            f"SELECT COUNT(*), SUM(ARRAY_LENGTH({columns.split(',')[0]})) FROM predictions",
        ),
    }
    taken = median_seconds(ways, RUNS)
    limits = {"create": least, "destination": least, "elsewhere": 0.5}
    titles = {"create": "CREATE TABLE AS", "destination": "destination table", "elsewhere": "in a CTE, aggregated"}
    return [
        Figure(
            "ml",
            f"{name}: {titles[way]}, {ROWS:,} rows",
            f"{ROWS / taken[way] / 1e6:.2f} M rows/s",
            f"direct {ROWS / taken['direct'] / 1e6:.2f} M rows/s: ratio {taken['direct'] / taken[way]:.2f}",
            f">= {limit}",
            taken["direct"] / taken[way] >= limit,
        )
        for way, limit in limits.items()
    ]


def _classifier(client: bigquery.Client, bucket: storage.Bucket) -> tuple[str, str, str, Callable[[], None]]:
    folder = saved_model(Path(".cache/classifier"))
    for file in folder.rglob("*"):
        if file.is_file():
            bucket.blob(f"bench/classifier/{file.relative_to(folder)}").upload_from_filename(str(file))
    _run(
        client,
        f"CREATE OR REPLACE MODEL {DATASET}.classifier "
        f"OPTIONS (MODEL_TYPE='TENSORFLOW', MODEL_PATH='gs://{bucket.name}/bench/classifier/*')",
    )
    _run(
        client,
        f"CREATE OR REPLACE TABLE {DATASET}.titles AS SELECT CONCAT(title, ' ', CAST(n AS STRING)) AS title "
        f"FROM `bigquery-public-data.hacker_news.full` CROSS JOIN UNNEST(GENERATE_ARRAY(1, 667)) AS n LIMIT {ROWS}",
    )
    rows = client.list_rows(f"{DATASET}.titles").to_arrow(create_bqstorage_client=False)
    titles: list[str] = rows.column("title").to_pylist()

    import tensorflow as tf

    loaded = tf.saved_model.load(str(folder))
    serve = loaded.signatures["serving_default"]

    def direct() -> None:
        for start in range(0, ROWS, BATCH):
            serve(input=tf.constant(titles[start : start + BATCH]))["dense_1"].numpy()

    return (
        "classifier",
        f"SELECT title AS input FROM {DATASET}.titles",
        "dense_1, input",
        _with_references(direct, loaded),
    )


def _network(client: bigquery.Client, bucket: storage.Bucket, hidden: int) -> tuple[str, str, str, Callable[[], None]]:
    import onnxruntime

    content = _onnx_network(hidden)
    bucket.blob("bench/network/network.onnx").upload_from_string(content)
    _run(
        client,
        f"CREATE OR REPLACE MODEL {DATASET}.network "
        f"OPTIONS (MODEL_TYPE='ONNX', MODEL_PATH='gs://{bucket.name}/bench/network/network.onnx')",
    )
    values = ", ".join(f"MOD(n * {step + 3}, 1000) / 1000" for step in range(FEATURES))
    _run(
        client,
        f"CREATE OR REPLACE TABLE {DATASET}.vectors AS SELECT n, [{values}] AS features "
        f"FROM UNNEST(GENERATE_ARRAY(1, {ROWS})) AS n",
    )
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    steps = np.arange(3, FEATURES + 3)
    vectors = ((np.arange(1, ROWS + 1)[:, None] * steps) % 1000 / 1000).astype(np.float32)

    def direct() -> None:
        for start in range(0, ROWS, BATCH):
            session.run(None, {"features": vectors[start : start + BATCH]})

    return "network", f"SELECT n, features FROM {DATASET}.vectors", "output, n", direct


def _memory(client: bigquery.Client, cloud: Running) -> list[Figure]:
    peaks = {}
    for millions in (1, 10):
        repeats = f"CROSS JOIN UNNEST(GENERATE_ARRAY(1, {millions})) AS copy"
        source = f"SELECT title AS input, copy FROM {DATASET}.titles {repeats}"
        predict = f"ML.PREDICT(MODEL {DATASET}.classifier, ({source}))"
        with cloud.peak_memory() as peak:
            _run(client, f"CREATE OR REPLACE TABLE {DATASET}.out AS SELECT * FROM {predict}")
        peaks[millions] = peak[0]
        _run(client, f"DROP TABLE {DATASET}.out")
    more = peaks[10] - peaks[1]
    return [
        Figure(
            "ml",
            "memory while predicting 10,000,000 rows into a table",
            f"{peaks[10]:.0f} MB",
            f"1,000,000 rows: {peaks[1]:.0f} MB, {more:+.0f} MB",
            "<= +300 MB",
            more <= 300,
        )
    ]


def _round_trip(client: bigquery.Client) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        with subprocess.Popen([sys.executable, "-m", "benchmarks.bare_emulator", str(port_file)]) as process:
            while not port_file.exists():
                time.sleep(0.05)
            options = ClientOptions(api_endpoint=f"http://127.0.0.1:{port_file.read_text()}")
            bare = bigquery.Client("bench", credentials=AnonymousCredentials(), client_options=options)
            taken: dict[str, list[float]] = {"layer": [], "bare": []}
            for _ in range(SMALL_QUERIES):
                for name, each in (("layer", client), ("bare", bare)):
                    started = time.perf_counter()
                    list(each.query_and_wait("SELECT 1 AS one"))
                    taken[name].append(time.perf_counter() - started)
            process.terminate()
    layer, alone = (statistics.median(taken[name][20:]) * 1000 for name in ("layer", "bare"))
    return [
        Figure(
            "ml",
            "round trip of SELECT 1",
            f"{layer:.1f} ms",
            f"bqemulator alone {alone:.1f} ms: {layer - alone:+.1f} ms",
            "<= +3 ms",
            layer - alone <= 3,
        )
    ]


def _onnx_network(hidden: int) -> bytes:
    """Return a network of three layers, in an opset that BigQuery supports."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(7)
    shapes = {"first": (FEATURES, hidden), "second": (hidden, hidden), "third": (hidden, 8)}
    weights = [
        numpy_helper.from_array(random.standard_normal(shape, dtype=np.float32) * 0.1, name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("MatMul", ["features", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["c"]),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("MatMul", ["d", "third"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["output"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, FEATURES])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None, 8])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _with_references(run: Callable[[], None], *needed: Any) -> Callable[[], None]:
    """Return ``run`` with references to the objects that it needs: a signature does not keep its SavedModel alive."""

    def run_with_references() -> None:
        assert needed
        run()

    return run_with_references


def _run(client: bigquery.Client, sql: str, config: bigquery.QueryJobConfig | None = None) -> None:
    client.query_and_wait(sql, job_config=config)
