"""Cleans up after a local cloud that was itself killed: run as a process of its own, outliving it for a moment.

Its standard input is a pipe from the local cloud, with a line for every process group that starts (``+123``) and ends
(``-123``) and every folder to remove (``/path``). The pipe ends when the local cloud does, however it does: then what
is left is killed and removed. It stands alone and imports nothing of the project, so that it starts in an instant.
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
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__))],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._pipe: IO[str] = self._process.stdin  # type: ignore[assignment]

    def started(self, group: int) -> None:
        """Kill the process group ``group`` if the local cloud ends before saying that it has ended."""
        self._say(f"+{group}")

    def ended(self, group: int) -> None:
        """Forget the process group ``group``: its number may soon be another's."""
        self._say(f"-{group}")

    def remove(self, folder: Path) -> None:
        """Remove ``folder`` when the local cloud has ended."""
        self._say(str(folder))

    def close(self) -> None:
        """Have everything that is left cleaned up now, and wait for it."""
        self._pipe.close()
        self._process.wait()

    def _say(self, line: str) -> None:
        self._pipe.write(f"{line}\n")
        self._pipe.flush()


def clean_up(lines: IO[str]) -> None:
    """Follow ``lines`` to their end, then kill and remove what they left behind."""
    groups: set[int] = set()
    folders: list[str] = []
    for line in lines:
        match line[0], line[1:].strip():
            case "+", group:
                groups.add(int(group))
            case "-", group:
                groups.discard(int(group))
            case _:
                folders.append(line.strip())
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    clean_up(sys.stdin)
