"""TensorFlow's import without what its libraries print before they take orders about logging."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# https://abseil.io/docs/cpp/guides/logging#prefix ; before it is set up it prints to stderr whatever the level.
_CHATTER = re.compile(rb"WARNING: All log messages before absl::InitializeLog\(\)|[IW]\d{4} [\d:.]+ +\d+ \S+:\d+\] ")


@contextmanager
def without_chatter() -> Iterator[None]:
    """Hold back what is written to the process's stderr meanwhile, and let go of it without the chatter."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        kept = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            held.seek(0)
            for line in held:
                if not _CHATTER.match(line):
                    os.write(kept, line)
            os.close(kept)
