"""Hides what TensorFlow's libraries log before their log level can be set."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Abseil logs to stderr at every level until it is initialized. Its prefix:
# https://abseil.io/docs/cpp/guides/logging#prefix
_STARTUP_LOG = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog\(\)|[IW]\d{4} [\d:.]+ +\d+ \S+:\d+\] "
)


@contextmanager
def without_startup_logs() -> Iterator[None]:
    """Remove Abseil's log lines from everything that is written to the process's stderr in the ``with`` block."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as captured:
        stderr = os.dup(2)
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            captured.seek(0)
            for line in captured:
                if not _STARTUP_LOG.match(line):
                    os.write(stderr, line)
            os.close(stderr)
