"""Cleans up after a local cloud, even if that was killed: it runs in a separate process.

Its standard input is a pipe from the local cloud, with a line for every process group that starts (``+123``) or ends
(``-123``) and for every folder to remove (``/path``). The pipe closes when the local cloud ends for any reason. Then the
remaining process groups are killed and the folders are removed. The script imports nothing of the project, so that it
starts quickly.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO


class Janitor:
    """The local cloud's end of the pipe."""

    def __init__(self) -> None:
        """Start the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__))],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._pipe: IO[str] = self._process.stdin  # type: ignore[assignment]

    def started(self, group: int) -> None:
        """Register the process group ``group``, which is killed if it still exists when the local cloud ends."""
        self._write(f"+{group}")

    def ended(self, group: int) -> None:
        """Unregister the process group ``group``: its number may be used again."""
        self._write(f"-{group}")

    def remove(self, folder: Path) -> None:
        """Remove ``folder`` when the local cloud has ended."""
        self._write(str(folder))

    def close(self) -> None:
        """Clean up now, and wait until that is done."""
        self._pipe.close()
        self._process.wait()

    def _write(self, line: str) -> None:
        self._pipe.write(f"{line}\n")
        self._pipe.flush()


def clean_up(lines: IO[str]) -> None:
    """Read ``lines`` to the end, then kill the remaining process groups and remove the folders."""
    groups: set[int] = set()
    folders: list[str] = []
    for line in lines:
        match line[0], line[1:].strip():
            case "+", number:
                groups.add(int(number))
            case "-", number:
                groups.discard(int(number))
            case _:
                folders.append(line.strip())
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    clean_up(sys.stdin)
