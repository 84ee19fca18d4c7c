"""The real gcloud as the runner of a ``Cloud``: each command is a fork of a process that has loaded gcloud."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.planning.steps import Words

FORKS = Path(__file__).with_name("gcloud_forks.py")


class RealGcloud:
    """Runs commands of gcloud."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        """Use a running ``gcloud_forks.py``, and a folder for the output of commands."""
        self._process = process
        self._output, self._errors = folder / "output", folder / "errors"

    def __call__(self, words: Words) -> subprocess.CompletedProcess[str]:
        """Run one command."""
        return self._run(words)

    def parse(self, words: Words) -> subprocess.CompletedProcess[str]:
        """Let gcloud read one command, without running it."""
        return self._run((words[0], "--parse-only", *words[1:]))

    def _run(self, words: Words) -> subprocess.CompletedProcess[str]:
        assert words[0] == "gcloud"
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps([str(self._output), str(self._errors), *words[1:]]) + "\n")
        self._process.stdin.flush()
        code = self._process.stdout.readline()
        assert code, "gcloud ended"
        return subprocess.CompletedProcess(words, int(code), self._output.read_text(), self._errors.read_text())


@contextmanager
def running(folder: Path) -> Iterator[RealGcloud]:
    """Start gcloud with the variables of this process; ``folder`` is for the output of commands."""
    program = shutil.which("gcloud")
    assert program is not None
    sdk = Path(program).resolve().parent.parent
    bundled = sdk / "platform" / "bundledpythonunix" / "bin" / "python3"
    python = str(bundled) if bundled.exists() else sys.executable
    command = [python, "-S", str(FORKS), str(sdk / "lib")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield RealGcloud(process, folder)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
