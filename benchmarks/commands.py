"""The time of the commands that say what happened: a process each, against a local cloud with one model and one prediction."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from benchmarks.figures import Figure
from benchmarks.load import DATASET, Client
from benchmarks.local import local_cloud

RUNS = 5
MOST_SECONDS = 1.0
REQUEST_ID = "first-prediction"
COMMANDS = (
    ("status",),
    ("status", "--json"),
    ("why", f"{DATASET}.film"),
    ("why", REQUEST_ID),
    ("events",),
    ("logs",),
)
# The client of Cloud Storage, which all of them but `logs` need.
CLIENT = "from google.cloud import storage; storage.Client(project='p', credentials=None)"


def measure() -> list[Figure]:
    """Measure each command, and the import of the client of Cloud Storage."""
    with local_cloud("--set", "SETTLE_SECONDS=0") as cloud, Client(os.environ) as client:
        os.environ["LOCALCLOUD_STATE"] = cloud.state_file
        client.drop("film", 0.5)
        client.wait_for_event("modeldrop.model.imported.v1", "model", f"{client.project}.{DATASET}.film")
        client.publish_predictions({REQUEST_ID: "films"}, "film")
        client.wait_for_event("modeldrop.prediction.succeeded.v1", "request_id", REQUEST_ID)
        seconds = {command: _seconds("-m", "modeldrop", *command) for command in COMMANDS}
        import_alone = _seconds("-c", CLIENT)
    return [
        Figure(
            "commands",
            f"modeldrop {' '.join(command)}",
            f"{taken:.2f} s",
            f"the client of Cloud Storage alone: {import_alone:.2f} s",
            f"< {MOST_SECONDS:.0f} s",
            taken < MOST_SECONDS,
        )
        for command, taken in seconds.items()
    ]


def _seconds(*arguments: str) -> float:
    """Return the median time of a process of Python in seconds, from its start to its end."""
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)
