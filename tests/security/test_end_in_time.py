"""The process of the local cloud ends in time, even if one of its threads cannot be stopped."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import threading
from localcloud.base.ending import ended_in_time
with ended_in_time({seconds}):
    {work}
print("stopped")
"""


def run(seconds: float, work: str) -> subprocess.CompletedProcess[str]:
    code = CHILD.format(seconds=seconds, work=work)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_stop_that_does_not_end_ends_the_process() -> None:
    ended = run(0.1, "threading.Event().wait()")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "the local cloud ends without it" in ended.stderr


def test_a_stop_that_ends_in_time_continues() -> None:
    ended = run(3600, "pass")
    assert (ended.returncode, ended.stdout) == (0, "stopped\n")
