"""Cloud Storage through a command line and a file system: gcloud storage and gcsfs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet
from pyarrow.fs import GcsFileSystem

from tests.localcloud.storage.world import (
    BUCKET,
    PROJECT,
    Stage,
    StorageWorld,
    storage_world,
)
from tests.waiting import LAST_LIMIT

Gcloud = Callable[..., str]


@pytest.fixture
def world(stage: Stage, tmp_path: Path) -> Iterator[StorageWorld]:
    with storage_world(stage, tmp_path / "storage") as running:
        yield running


@pytest.fixture
def gcloud(world: StorageWorld, tmp_path: Path) -> Gcloud:
    """Runs ``gcloud storage`` in a directory of its own and returns its output."""
    program = shutil.which("gcloud")
    if program is None:
        pytest.skip("the Google Cloud SDK is not installed here; installing it runs this test")
    environment = {
        **os.environ,
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{world.url}/",
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [program, "storage", *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=LAST_LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def uploaded(gcloud: Gcloud, tmp_path: Path) -> dict[str, bytes]:
    """The files of a folder ``drop`` that gcloud has uploaded below ``x/``."""
    files = {"a.txt": b"hello\n", "empty": b"", "sub dir/b ü.bin": os.urandom(3_000_000)}
    for name, content in files.items():
        (tmp_path / "drop" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "drop" / name).write_bytes(content)
    gcloud("cp", "-r", "drop", f"gs://{BUCKET}/x/")
    return files


@pytest.mark.long
def test_gcloud_uploads_a_folder(world: StorageWorld, uploaded: dict[str, bytes]) -> None:
    assert {stored.name: world.store.read(BUCKET, stored.name) for stored in world.store.list(BUCKET)} == {
        f"x/drop/{name}": content for name, content in uploaded.items()
    }


@pytest.mark.matrix
def test_gcloud_copies_lists_moves_and_removes(
    world: StorageWorld, gcloud: Gcloud, uploaded: dict[str, bytes], tmp_path: Path
) -> None:
    assert f"gs://{BUCKET}/x/drop/sub dir/b ü.bin" in gcloud("ls", "-r", f"gs://{BUCKET}/").splitlines()
    assert gcloud("cat", f"gs://{BUCKET}/x/drop/a.txt") == "hello\n"
    (tmp_path / "back").mkdir()
    gcloud("cp", "-r", f"gs://{BUCKET}/x/drop", "back")
    assert {name: (tmp_path / "back" / "drop" / name).read_bytes() for name in uploaded} == uploaded
    gcloud("mv", f"gs://{BUCKET}/x/drop/a.txt", f"gs://{BUCKET}/moved.txt")
    gcloud("rm", "-r", f"gs://{BUCKET}/x")
    assert [stored.name for stored in world.store.list(BUCKET)] == ["moved.txt"]
    assert world.event_names()[-1][0] == "deleted"


@pytest.mark.matrix
def test_gcloud_manages_buckets(world: StorageWorld, gcloud: Gcloud) -> None:
    gcloud("buckets", "create", "gs://made-by-gcloud", "--location=us-central1")
    assert gcloud("buckets", "list", "--format=value(name)").split() == [BUCKET, "made-by-gcloud"]
    described = gcloud("buckets", "describe", "gs://made-by-gcloud", "--format=value(location,name)")
    assert described.split() == ["US-CENTRAL1", "made-by-gcloud"]
    world.store.write("made-by-gcloud", "object", b"x")
    gcloud("rm", "-r", "gs://made-by-gcloud")
    assert [bucket.name for bucket in world.store.buckets()] == [BUCKET]


def test_gcsfs_writes_reads_and_lists(world: StorageWorld) -> None:
    # The plain file system: the extended one first requests a storage layout over gRPC, which is not served here, and
    # gives up after a minute. GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false makes the plain one the default.
    from gcsfs.core import GCSFileSystem

    files = GCSFileSystem(endpoint_url=world.url, token="anon", project=PROJECT, skip_instance_cache=True)
    content = os.urandom(6 * 1024 * 1024)  # more than a block, so that it is uploaded in several requests
    with files.open(f"{BUCKET}/dir/big.bin", "wb") as file:
        file.write(content)
    files.pipe(f"{BUCKET}/dir/ü small.txt", b"small")
    assert sorted(files.ls(f"{BUCKET}/dir")) == [f"{BUCKET}/dir/big.bin", f"{BUCKET}/dir/ü small.txt"]
    assert files.find(BUCKET) == [f"{BUCKET}/dir/big.bin", f"{BUCKET}/dir/ü small.txt"]
    with files.open(f"{BUCKET}/dir/big.bin", "rb") as file:
        file.seek(5_000_000)
        assert file.read(1000) == content[5_000_000:5_001_000]
    assert files.cat(f"{BUCKET}/dir/ü small.txt") == b"small"
    files.rm(f"{BUCKET}/dir", recursive=True)
    assert world.store.list(BUCKET) == []


def test_arrow_writes_and_reads_parquet(world: StorageWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    # Arrow has a client of its own: with STORAGE_EMULATOR_HOST alone it calls Google.
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", world.url)
    arrow_files = GcsFileSystem(anonymous=True)
    parquet.write_table(pyarrow.table({"film": ["Alien", "Brazil"]}), f"{BUCKET}/films.parquet", filesystem=arrow_files)
    assert [stored.name for stored in world.store.list(BUCKET)] == ["films.parquet"]
    read = parquet.read_table(f"{BUCKET}/films.parquet", filesystem=arrow_files)
    assert read.to_pydict() == {"film": ["Alien", "Brazil"]}
