"""A local cloud in a separate process, for measurements."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

START_SECONDS = 120
# The default ports may be those of a local cloud that somebody uses.
FREE_PORTS = ("--port", "0", "--pubsub-port", "0", "--bigquery-port", "0")
MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Running:
    """A running local cloud, whose variables are set in this process."""

    pid: int
    environment: dict[str, str]
    state_file: str
    """The value of LOCALCLOUD_STATE, by which commands find this local cloud."""

    @contextmanager
    def peak_memory(self) -> Iterator[list[float]]:
        """Measure the memory of the local cloud within the block, with that of the processes that run models.

        Yields:
            A list with one number, which is the peak in MB after the block.
        """
        process, ended, peak = psutil.Process(self.pid), threading.Event(), [0.0]

        def watch() -> None:
            while not ended.wait(0.02):
                peak[0] = max(peak[0], _resident(process) / MEGABYTE)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield peak
        finally:
            ended.set()
            watcher.join()


def _resident(process: psutil.Process) -> int:
    """Return the bytes of a process and its children; pages that several of them share count several times."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        # A child can end in between.
        with suppress(psutil.NoSuchProcess):
            total += each.memory_info().rss
    return total


@contextmanager
def local_cloud(*options: str) -> Iterator[Running]:
    """Run a local cloud within the block, with its variables in the environment of this process."""
    with tempfile.TemporaryDirectory() as folder:
        env_file = Path(folder) / "env"
        command = [sys.executable, "-m", "localcloud", "start", "--env-file", str(env_file), *FREE_PORTS, *options]
        state_file = f"{folder}/state.json"
        environment = {**os.environ, "LOCALCLOUD_STATE": state_file}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                deadline = time.monotonic() + START_SECONDS
                while not env_file.exists():
                    if process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError("the local cloud did not start")
                    time.sleep(0.05)
                lines = env_file.read_text().splitlines()
                variables = dict(shlex.split(line.removeprefix("export "))[0].split("=", 1) for line in lines)
                os.environ.update(variables)
                yield Running(process.pid, variables, state_file)
            finally:
                process.terminate()
