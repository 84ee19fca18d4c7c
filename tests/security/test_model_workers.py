"""Models that never end, crash, or use too much: their job fails, and everything else goes on."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from google.api_core.exceptions import GoogleAPICallError
from onnx import TensorProto, helper

from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.ml.models.catalog import Model
from localcloud.bigquery.ml.models.statements import ModelReference
from localcloud.bigquery.ml.workers.pool import Limits, ModelWorkers
from tests.localcloud.bigquery.ml.world import MlWorld, ml_world
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT, wait_until

ENDLESS = 2**62


def counting() -> bytes:
    """Return a model that counts to its input, one step at a time."""
    scalar = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["going"], ["goes"]),
            helper.make_node("Add", ["count", "one"], ["counted"]),
        ],
        "body",
        [
            scalar("step", TensorProto.INT64, []),
            scalar("going", TensorProto.BOOL, []),
            scalar("count", TensorProto.INT64, [1]),
        ],
        [scalar("goes", TensorProto.BOOL, []), scalar("counted", TensorProto.INT64, [1])],
    )
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMax", ["x"], ["most"], keepdims=0),
            helper.make_node("Loop", ["most", "", "zero"], ["steps"], body=body),
            helper.make_node("Mul", ["x", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "steps"], ["y"]),
        ],
        "graph",
        [scalar("x", TensorProto.INT64, ["N"])],
        [scalar("y", TensorProto.INT64, ["N"])],
        [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in (("zero", 0), ("one", 1))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def filling() -> bytes:
    """Return a model that sums as many ones as its input says."""
    graph = helper.make_graph(
        [
            helper.make_node(
                "ConstantOfShape", ["x"], ["ones"], value=helper.make_tensor("v", TensorProto.INT64, [1], [1])
            ),
            helper.make_node("ReduceSum", ["ones"], ["sum"], keepdims=0),
            helper.make_node("Add", ["x", "x"], ["twice"]),
            helper.make_node("Sub", ["twice", "sum"], ["y"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.INT64, ["N"])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def world() -> Iterator[MlWorld]:
    with ml_world() as running:
        for name, content in (("counting", counting()), ("filling", filling())):
            running.upload(name, {"m.onnx": content})
            running.import_model(name, "ONNX", f"{name}/*")
        yield running


def predict(world: MlWorld, model: str, number: int) -> list[int]:
    rows = world.run(f"SELECT y FROM ML.PREDICT(MODEL d.{model}, (SELECT {number} AS x))").result()
    return [row.y for row in rows]


def workers() -> list[psutil.Process]:
    """Return the processes of this process that run models."""
    templates = [
        each for each in psutil.Process().children() if any("workers.template" in part for part in arguments(each))
    ]
    return [each for template in templates for each in template.children() if arguments(each)]


def arguments(process: psutil.Process) -> list[str]:
    """Return the command line of a process; an empty list if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def working(count: int = 1) -> list[psutil.Process]:
    """Wait until this number of workers computes, and return them."""
    before = {each: each.cpu_times().user for each in workers()}

    def computing() -> list[psutil.Process]:
        found = []
        for each in workers():
            with contextlib.suppress(psutil.Error):
                if each.cpu_times().user > before.setdefault(each, each.cpu_times().user) + 0.1:
                    found.append(each)
        return found if len(found) >= count else []

    return wait_until(computing)


def assert_ended(*processes: psutil.Process) -> None:
    _, alive = psutil.wait_procs(processes, timeout=LAST_LIMIT)
    assert alive == []


STATEMENTS = {
    "a stream": "SELECT y FROM ML.PREDICT(MODEL d.counting, (SELECT {} AS x))",
    # A transaction runs the model as a function of the statement.
    "a function": "BEGIN TRANSACTION; CREATE TABLE d.counted AS "
    "SELECT y FROM ML.PREDICT(MODEL d.counting, (SELECT {} AS x)); COMMIT TRANSACTION;",
}


@pytest.mark.parametrize("way", ["a stream", pytest.param("a function", marks=pytest.mark.matrix)])
def test_an_endless_prediction_ends_when_its_job_is_cancelled(world: MlWorld, way: str) -> None:
    job = world.client.query(world.named(STATEMENTS[way].format(ENDLESS)))
    (worker,) = working()
    job.cancel()

    with pytest.raises(GoogleAPICallError):
        job.result(timeout=LAST_LIMIT)
    assert_ended(worker)
    assert predict(world, "counting", 3) == [3]


@pytest.mark.long
def test_an_endless_prediction_ends_at_the_timeout_of_its_job(world: MlWorld) -> None:
    from google.cloud import bigquery

    job = world.client.query(
        world.named(STATEMENTS["a stream"].format(ENDLESS)), job_config=bigquery.QueryJobConfig(job_timeout_ms=500)
    )

    with pytest.raises(GoogleAPICallError, match="timed out"):
        job.result(timeout=LAST_LIMIT)


@pytest.mark.matrix
def test_a_job_of_the_same_model_succeeds_when_another_one_is_cancelled(world: MlWorld) -> None:
    endless = world.client.query(world.named(STATEMENTS["a stream"].format(ENDLESS)))
    working()
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(predict, world, "counting", 200_000)
        endless.cancel()

        assert other.result(LAST_LIMIT) == [200_000]


def test_a_crash_of_the_process_fails_its_job_and_nothing_else(world: MlWorld) -> None:
    job = world.client.query(world.named(STATEMENTS["a stream"].format(ENDLESS)))
    (worker,) = working()
    worker.kill()

    with pytest.raises(GoogleAPICallError) as raised:
        job.result(timeout=LAST_LIMIT)
    assert raised.value.errors[0]["reason"] == "resourcesExceeded"
    assert "ended with SIGKILL" in raised.value.errors[0]["message"]
    assert predict(world, "counting", 4) == [4]


@pytest.mark.long
def test_a_model_that_needs_too_much_memory_fails_its_job_and_nothing_else(world: MlWorld) -> None:
    reason, message = world.refusal("SELECT y FROM ML.PREDICT(MODEL d.filling, (SELECT 100000000000 AS x))")

    assert reason == "resourcesExceeded"
    assert "memory" in message
    assert predict(world, "filling", 5) == [5]


@pytest.mark.matrix
def test_an_endless_prediction_does_not_delay_the_end_of_the_service() -> None:
    with ml_world() as running:
        running.upload("counting", {"m.onnx": counting()})
        running.import_model("counting", "ONNX", "counting/*")
        running.client.query(running.named(STATEMENTS["a stream"].format(ENDLESS)))
        (worker,) = working()

    assert_ended(worker)


# The pool


@pytest.fixture
def model(tmp_path: Path) -> Callable[[ModelWorkers, str], Model]:
    """Loads the counting model in a pool, under a version's name."""
    (tmp_path / "model.onnx").write_bytes(counting())

    def load(workers: ModelWorkers, version: str) -> Model:
        signature = workers.load(version, "ONNX", tmp_path, None, "p:d.m", threading.Event())
        return Model(ModelReference("p", "d", "m"), version, "ONNX", {}, tmp_path, signature)

    return load


@pytest.fixture
def pool() -> Iterator[Callable[..., ModelWorkers]]:
    """Creates pools with limits."""
    created = []

    def create(**limits: float) -> ModelWorkers:
        created.append(ModelWorkers(Limits(**limits)))  # type: ignore[arg-type]
        return created[-1]

    yield create
    for each in created:
        each.close()


def count(workers: ModelWorkers, model: Model, number: int, cancelled: threading.Event | None = None) -> list[int]:
    result = workers.predict(model, {"x": pa.array([number])}, cancelled or threading.Event())
    values: list[int] = result["y"].to_pylist()
    return values


@pytest.mark.long
def test_a_batch_that_takes_too_long_fails(
    pool: Callable[..., ModelWorkers], model: Callable[[ModelWorkers, str], Model]
) -> None:
    limited = pool(batch_seconds=0.5)
    present = workers()
    loaded = model(limited, "one")
    (worker,) = set(workers()) - set(present)

    with pytest.raises(QueryError, match=r"longer than the 0\.5 seconds"):
        count(limited, loaded, ENDLESS)
    assert_ended(worker)


@pytest.mark.long
def test_jobs_whose_shared_worker_crashes_run_again_in_workers_of_their_own(
    pool: Callable[..., ModelWorkers], model: Callable[[ModelWorkers, str], Model]
) -> None:
    shared_pool = pool()
    present = workers()
    loaded = model(shared_pool, "one")
    (shared,) = set(workers()) - set(present)
    idle = {thread.id: thread.user_time for thread in shared.threads()}

    def both_compute() -> bool:
        return sum(thread.user_time > idle.get(thread.id, 0) + 0.05 for thread in shared.threads()) >= 2

    with ThreadPoolExecutor(2) as threads:
        endless = [threads.submit(count, shared_pool, loaded, ENDLESS, threading.Event()) for _ in range(2)]
        wait_until(both_compute)
        shared.kill()
        assert_ended(shared)

        for each in working(2):
            each.kill()
        for future in endless:
            with pytest.raises(QueryError, match="ended with SIGKILL"):
                future.result(LAST_LIMIT)


@pytest.mark.matrix
def test_the_pool_ends_the_worker_that_was_used_longest_ago(
    pool: Callable[..., ModelWorkers], model: Callable[[ModelWorkers, str], Model]
) -> None:
    small = pool(workers=2)
    present = set(workers())
    assert count(small, model(small, "one"), 3) == [3]
    (first,) = set(workers()) - present
    for version in ("two", "three"):
        assert count(small, model(small, version), 3) == [3]

    assert_ended(first)
    assert len(set(workers()) - present) == 2


@pytest.mark.long
def test_an_idle_worker_ends_and_the_next_batch_starts_another_one(
    pool: Callable[..., ModelWorkers], model: Callable[[ModelWorkers, str], Model]
) -> None:
    impatient = pool(idle_seconds=0.2)
    present = set(workers())
    loaded = model(impatient, "one")
    assert_ended(*(set(workers()) - present))

    assert count(impatient, loaded, 3) == [3]


# The sandbox

ATTEMPTS = """
import json, os, socket, subprocess, sys, threading
from pathlib import Path
from localcloud.base.sandbox import restrict

model, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
restrict(model, 4 * 1024**3)

def outcome(attempt):
    try:
        return repr(attempt())
    except BaseException as error:
        return type(error).__name__

def in_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(outcome(lambda: (elsewhere / "secret").read_text())))
    thread.start()
    thread.join()
    return results[0]

print(json.dumps({
    "reads the model": outcome(lambda: (model / "file").read_text()),
    "starts a thread": outcome(in_thread),
    "reads elsewhere": outcome(lambda: (elsewhere / "secret").read_text()),
    "lists elsewhere": outcome(lambda: os.listdir(elsewhere)),
    "reads another process": outcome(lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes()),
    "writes to the model": outcome(lambda: (model / "written").write_text("x")),
    "writes elsewhere": outcome(lambda: (elsewhere / "written").write_text("x")),
    "deletes": outcome(lambda: (model / "file").unlink()),
    "writes to its folder": outcome(lambda: Path("written").write_text("x")),
    "connects": outcome(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[3])))),
    "connects locally": outcome(lambda: socket.socket(socket.AF_UNIX)),
    "runs a program": outcome(lambda: subprocess.run(["/bin/true"])),
    "forks": outcome(os.fork),
    "signals": outcome(lambda: os.kill(os.getppid(), 0)),
    "allocates": outcome(lambda: len(bytearray(8 * 1024**3))),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are parts of Linux")
def test_a_worker_reads_its_model_and_reaches_nothing_else(tmp_path: Path) -> None:
    import socket

    model, elsewhere = tmp_path / "model", tmp_path / "elsewhere"
    for folder, file in ((model, "file"), (elsewhere, "secret")):
        folder.mkdir()
        (folder / file).write_text("content")
    program = tmp_path / "attempts.py"
    program.write_text(ATTEMPTS)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        done = subprocess.run(
            [sys.executable, str(program), str(model), str(elsewhere), port],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=LAST_LIMIT,
        )

    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    allowed = {"reads the model": "'content'", "starts a thread": "'PermissionError'"}
    assert {name: outcome for name, outcome in outcomes.items() if name in allowed} == allowed
    refused = {name: outcome for name, outcome in outcomes.items() if name not in allowed}
    expected = dict.fromkeys(refused, "PermissionError")
    expected |= {"allocates": "MemoryError"}
    assert {**refused, "writes to its folder": "PermissionError"} == expected
    assert sorted(path.name for path in tmp_path.rglob("written")) == []


OWNER = """
import sys, threading
from pathlib import Path
from localcloud.bigquery.ml.workers.pool import ModelWorkers
workers = ModelWorkers()
workers.load("one", "ONNX", Path(sys.argv[1]), None, "p:d.m", threading.Event())
print("loaded", flush=True)
sys.stdin.read()
"""


@pytest.mark.long
def test_workers_end_with_the_local_cloud_and_have_no_credentials(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(counting())
    secret = {"GOOGLE_APPLICATION_CREDENTIALS": "/tmp/key.json", "GEMINI_API_KEY": "secret"}
    program = tmp_path / "owner.py"
    program.write_text(OWNER)
    with subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | secret,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "loaded\n"
        processes = psutil.Process(owner.pid).children(recursive=True)
        environments = [process.environ() for process in processes]
        owner.kill()

    assert len(processes) == 2
    assert not any(secret.keys() & environment.keys() for environment in environments)
    _, alive = psutil.wait_procs(processes, timeout=LAST_LIMIT)
    assert alive == []
