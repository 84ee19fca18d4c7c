"""Run the demo: ``python -m demo``."""

from __future__ import annotations

import argparse
import sys

from demo import run

if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m demo", description="Run the demo in a local cloud.").parse_args()
    sys.exit(run())
