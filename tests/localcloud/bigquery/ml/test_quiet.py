"""The local cloud's stderr is for what somebody should read."""

from __future__ import annotations

import subprocess
import sys

from tests.waiting import LAST_LIMIT

PROGRAM = """
import sys
from localcloud.bigquery.ml.runtimes.startup_logs import without_startup_logs

with without_startup_logs():
    from localcloud.bigquery.ml.runtimes import tensorflow, tensorflow_lite

    print("a line of somebody else", file=sys.stderr)
print(tensorflow.tf.constant([1.0]) + 1)
print("a line after it", file=sys.stderr)
"""


def test_tensorflow_is_imported_without_its_chatter_and_nothing_else_is_lost() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=LAST_LIMIT, check=True
    )
    assert "tf.Tensor([2.]" in done.stdout
    assert done.stderr.splitlines() == ["a line of somebody else", "a line after it"]
