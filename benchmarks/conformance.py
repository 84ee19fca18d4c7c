"""Runs bqemulator's recorded corpus against the local BigQuery: ``python -m benchmarks.conformance FOLDER``.

FOLDER is a copy of bqemulator's repository. Its tests compare responses with the ones that BigQuery gave; this module is a
plugin that gives them the address of a local BigQuery. docs/bigquery.md lists what fails.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcloud.base.clock import SystemClock
from localcloud.bigquery.server import BigQuery
from localcloud.storage.service import Storage

_TESTS = Path("tests", "conformance")
_PROJECT = "local-project"
# The bucket of the corpus's exports, unless a variable names another one.
_BUCKET = "bqemu-conformance-no-bucket-set"


@dataclass(frozen=True)
class Endpoint:
    """What the corpus's tests read of a running emulator."""

    rest_url: str
    grpc_endpoint: str
    project_id: str


@pytest.fixture(scope="session")
def bqemu_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """Run a local BigQuery. The name is the one that the corpus's tests ask for."""
    clock = SystemClock()
    storage = Storage(tmp_path_factory.mktemp("storage"), clock=clock, project=_PROJECT)
    storage.store.ensure_bucket(_BUCKET)
    service = BigQuery(clock=clock, project=_PROJECT, store=storage.store)
    service.start()
    try:
        yield Endpoint(service.url, f"127.0.0.1:{service.storage_api_port}", _PROJECT)
    finally:
        service.stop()
        storage.close()


def main(arguments: Sequence[str]) -> int:
    """Run the corpus, and return pytest's exit code.

    Args:
        arguments: The folder, and further arguments of pytest.
    """
    if not arguments or not Path(arguments[0], _TESTS, "test_corpus.py").is_file():
        print("usage: python -m benchmarks.conformance FOLDER [PYTEST_ARGUMENT ...]", file=sys.stderr)
        print(f"FOLDER is a copy of bqemulator's repository, with {_TESTS / 'test_corpus.py'}.", file=sys.stderr)
        return 2
    folder = Path(arguments[0]).resolve()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:bqemulator",
        "-p",
        "no:cacheprovider",
        "-p",
        "benchmarks.conformance",
    ]
    # The corpus marks what bqemulator alone fails; here everything counts.
    command += [
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        "--confcutdir",
        str(folder / _TESTS),
        "--runxfail",
        "-q",
        "--tb=line",
    ]
    command += [*arguments[1:], str(_TESTS / "test_corpus.py")]
    paths = [str(folder), str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH", "")]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
