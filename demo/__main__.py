"""Run the demo: ``python -m demo``."""

from __future__ import annotations

import sys

from demo import run

if __name__ == "__main__":
    sys.exit(run())
