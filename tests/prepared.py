"""What the tests need and what takes long to make: `make setup` makes it once, in `.cache`.

    python -m tests.prepared

A test that finds it missing makes it.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

MODELS_SOURCE = ROOT / "tests" / "e2e" / "saved_models.py"


def saved_models_folder() -> Path:
    """Return the folder of the SavedModels of the program ``MODELS_SOURCE``, as it is now; it exists once they are made."""
    return ROOT / ".cache" / "saved-models" / hashlib.sha256(MODELS_SOURCE.read_bytes()).hexdigest()[:16]


def prepare() -> None:
    """Compile the GoogleSQL parser and the tests, train the classifier of the examples, and make the tests' SavedModels."""
    subprocess.run([sys.executable, "-m", "tests.contract.googlesql"], check=True)
    subprocess.run([sys.executable, "-m", "examples.train_classifier"], check=True, stdout=subprocess.DEVNULL)
    if not saved_models_folder().exists():
        subprocess.run([sys.executable, "-m", "tests.e2e.saved_models", "make"], check=True, stderr=subprocess.DEVNULL)
    # pytest compiles every module of the tests when it first imports it.
    subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "--quiet"], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    prepare()
