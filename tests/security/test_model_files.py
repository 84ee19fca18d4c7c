"""A model file of any content is read or refused in bounded memory and time."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from localcloud.base.clock import SystemClock
from localcloud.base.http import HttpServer
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.service import Storage
from shared.drops import limits
from shared.drops.contents.files import DropFiles, StoredFile
from shared.drops.drop import DropPath
from shared.drops.formats.saved_model import Graph, read_graph
from shared.errors import Rejected
from tests.model_files import InMemory, field, graph, graph_around, varint

MEBIBYTE = limits.MEBIBYTE
MEMORY = 64
# Ten on an ordinary machine; the time counts double where others use the same core.
CPU_SECONDS = 25

# Reads a file on the disk, and prints what came of it and what it took.
CHILD = """
import json, resource, sys, time
from pathlib import Path
from shared.drops.formats.saved_model import read_graph
from shared.errors import Rejected
from tests.model_files import OnDisk
file = OnDisk(Path(sys.argv[1]))
before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
try:
    result = repr(read_graph(file))
except Rejected as error:
    result = error.problem.message
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(json.dumps({"result": result, "reads": len(file.reads), "MiB": used / 1024, "CPU": time.process_time() - begun}))
"""


def read_in_a_process(path: Path) -> dict[str, Any]:
    """Return what came of reading the graph ``path``, after checking what it took."""
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert outcome["MiB"] < MEMORY, outcome
    assert outcome["CPU"] < CPU_SECONDS, outcome
    return outcome


def sparse(path: Path, beginning: bytes, size: int, *, end: bytes = b"") -> Path:
    """Write a file whose middle is ``size`` zeros, which take no room on the disk."""
    with path.open("wb") as file:
        file.write(beginning)
        file.seek(size, 1)
        file.write(end)
        file.truncate(len(beginning) + size + len(end))
    return path


def test_a_graph_around_one_large_tensor_is_read_in_a_few_ranges(tmp_path: Path) -> None:
    # A second graph follows after the tensor.
    path = sparse(tmp_path / "graph", graph_around(440 * MEBIBYTE), 440 * MEBIBYTE, end=graph(field(2, b"VarHandleOp")))
    outcome = read_in_a_process(path)
    assert outcome["result"] == "Graph(assets=(), has_variables=True)"
    assert outcome["reads"] <= 3


@pytest.mark.long
def test_millions_of_empty_messages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    path.write_bytes(field(2, b"") * (4 * MEBIBYTE))
    assert read_in_a_process(path)["result"].startswith("saved_model.pb has more than 2,000,000 fields")


def test_a_graph_of_many_tensors_takes_a_bounded_number_of_reads(tmp_path: Path) -> None:
    path = tmp_path / "graph"
    node = varint(1 << 3 | 2) + varint(MEBIBYTE) + varint(5 << 3 | 2) + varint(MEBIBYTE - 4)
    total = 440 * (MEBIBYTE + 4)
    beginning = varint(2 << 3 | 2) + varint(total)
    beginning = varint(2 << 3 | 2) + varint(len(beginning) + total) + beginning
    with path.open("wb") as file:
        file.write(beginning)
        for _ in range(440):
            file.write(node)
            file.seek(MEBIBYTE + 4 - len(node), 1)
        file.truncate(len(beginning) + total)
    outcome = read_in_a_process(path)
    assert outcome["result"] == "Graph(assets=(), has_variables=False)"
    assert outcome["reads"] <= 57


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"".join(field(2, field(6, field(2, b"%d" % n))) for n in range(1001)), "names more than 1,000 assets"),
        (field(2, field(6, field(2, b"x" * 10_000_000))), "an asset with more than 1024 bytes"),
        (field(2, field(6, field(2, b"../../x"))), "has a part that is empty, . or .."),
        (field(2, field(6, field(2, b""))), "has a part that is empty, . or .."),
        (field(2, field(6, field(2, b"a\nb"))), "holds a control character or a line end"),
        (field(2, field(6, field(2, b"x", size=2**40))), "not a SavedModel"),
        (field(2, b"", size=2**63), "not a SavedModel"),
        (b"\x12" + b"\xff" * 1_000_000, "not a SavedModel"),
        (gzip.compress(bytes(10_000_000), mtime=0), "not a SavedModel"),
        (field(2, graph_around(10)[2:]) + b"\x0a\x03ab", "not a SavedModel"),
        (b"\x13" * 1_000_000, "not a SavedModel"),
    ],
    ids=[
        "assets",
        "name",
        "path",
        "no name",
        "line end",
        "length",
        "huge length",
        "endless integer",
        "gzip",
        "truncated",
        "groups",
    ],
)
def test_a_crafted_graph_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(Rejected, match=message):
        read_graph(InMemory(content))


def test_messages_nested_very_deep_are_skipped() -> None:
    nested = b""
    for _ in range(3000):
        nested = field(2, nested)
    assert read_graph(InMemory(nested)) == Graph((), has_variables=False)


@pytest.fixture(scope="module")
def bucket_and_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[storage.Bucket, ObjectStore]]:
    """A bucket of a local Cloud Storage, through the official client and directly."""
    with ExitStack() as closing:
        service = Storage(tmp_path_factory.mktemp("storage"), clock=SystemClock(), project="units")
        closing.callback(service.close)
        service.store.ensure_bucket("models")
        server = HttpServer(service.app)
        server.start()
        closing.callback(server.stop)
        client = storage.Client("units", AnonymousCredentials(), client_options={"api_endpoint": server.url})
        yield client.bucket("models"), service.store


@contextmanager
def downloads(client: storage.Client) -> Iterator[list[int]]:
    """Yield the sizes in bytes of the downloads that the client makes meanwhile."""
    sizes: list[int] = []

    def note(response: Any, *_: Any, **__: Any) -> None:
        if "alt=media" in response.url:
            sizes.append(int(response.headers["content-length"]))

    hooks = client._http.hooks["response"]
    hooks.append(note)
    try:
        yield sizes
    finally:
        hooks.remove(note)


def test_a_graph_in_a_bucket_is_read_in_ranges(bucket_and_store: tuple[storage.Bucket, ObjectStore]) -> None:
    bucket, store = bucket_and_store
    path = DropPath("films", "genres", "ranges")
    size = 3 * limits.WINDOW_BYTES
    content = graph_around(size) + bytes(size) + field(2, field(6, field(2, b"words.txt")))
    store.write("models", f"{path.prefix}saved_model.pb", content)
    with downloads(bucket.client) as calls:
        drop = DropFiles(bucket.client, "models", "units").read(path)
    assert drop.graph == Graph(("assets/words.txt",), has_variables=False)
    assert len(calls) == 2
    assert sum(calls) <= limits.WINDOW_BYTES + 100


def test_a_range_of_a_file_that_was_overwritten_is_not_read(
    bucket_and_store: tuple[storage.Bucket, ObjectStore],
) -> None:
    bucket, store = bucket_and_store
    path = DropPath("films", "genres", "overwritten")
    store.write("models", f"{path.prefix}saved_model.pb", b"0123456789")
    [file] = DropFiles(bucket.client, "models", "units").list(path).files
    stored = StoredFile(bucket, path.prefix, file)
    assert stored.read(2, 5) == b"234"
    store.write("models", f"{path.prefix}saved_model.pb", b"abcdefghij")
    with pytest.raises(NotFound):
        stored.read(5, 8)


def test_a_graph_that_is_stored_with_gzip_encoding_is_not_unpacked(
    bucket_and_store: tuple[storage.Bucket, ObjectStore],
) -> None:
    bucket, _ = bucket_and_store
    path = DropPath("films", "genres", "gzip")
    blob = bucket.blob(f"{path.prefix}saved_model.pb")
    blob.content_encoding = "gzip"
    blob.upload_from_string(gzip.compress(bytes(50 * MEBIBYTE)))
    with pytest.raises(Rejected, match="is not a SavedModel"):
        DropFiles(bucket.client, "models", "units").read(path)


def test_a_graph_is_read_once_whether_it_is_refused_or_not(
    bucket_and_store: tuple[storage.Bucket, ObjectStore],
) -> None:
    bucket, store = bucket_and_store
    files = DropFiles(bucket.client, "models", "units")
    for content in (b"not a graph", graph(field(2, b"Const"))):
        path = DropPath("films", "genres", f"once-{len(content)}")
        store.write("models", f"{path.prefix}saved_model.pb", content)
        with downloads(bucket.client) as first:
            drop, problem = files.read_or_list(path)
        with downloads(bucket.client) as second:
            assert files.read_or_list(path) == (drop, problem)
        assert (len(first), len(second)) == (1, 0)


@pytest.mark.matrix
def test_a_folder_with_very_many_objects_is_refused(bucket_and_store: tuple[storage.Bucket, ObjectStore]) -> None:
    bucket, store = bucket_and_store
    path = DropPath("films", "genres", "many")
    for number in range(limits.LISTED_CHARACTERS // 1000 + 1):
        store.write("models", f"{path.prefix}assets/{number:0980d}", b"")
    files = DropFiles(bucket.client, "models", "units")
    drop, problem = files.read_or_list(path)
    assert problem is not None and problem.code == "too_large"
    assert drop.is_truncated
    assert sum(len(file.name) for file in drop.files) <= limits.LISTED_CHARACTERS
