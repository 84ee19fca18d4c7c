"""Calls the poller as Cloud Scheduler does, in a process of its own: ``python -m benchmarks.poller CALLS``.

It prints a line of JSON for each call: its result, its seconds, its CPU time, and the memory of the process in MB.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path

from shared.engine.services import services
from shared.poller.minutes import poll

INTERVAL_SECONDS = 60.0


def main(calls: int) -> None:
    """Call the poller at the full minutes since the start of this process."""
    started = time.monotonic()
    for number in range(calls):
        time.sleep(max(0.0, started + number * INTERVAL_SECONDS - time.monotonic()))
        megabytes = _megabytes("VmRSS")
        began, cpu = time.monotonic(), time.process_time()
        minute = poll(services())
        print(
            json.dumps(
                {
                    **asdict(minute),
                    "seconds": time.monotonic() - began,
                    "cpu": time.process_time() - cpu,
                    "megabytes_before": megabytes,
                    "megabytes": _megabytes("VmHWM"),
                }
            ),
            flush=True,
        )


def _megabytes(field: str) -> float:
    """Return the memory of this process: ``VmRSS`` now, or ``VmHWM`` at most so far. The functions do not have psutil."""
    [kilobytes] = re.findall(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kilobytes) / 1024


if __name__ == "__main__":
    main(int(sys.argv[1]))
