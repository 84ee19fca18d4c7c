"""Environments of libraries that are too large, or too old, for the environment of the tests."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT


def environment(name: str) -> Path:
    """Return the Python of an environment, which is made from `tests/environments` if it does not exist."""
    requirements = ROOT / "tests" / "environments" / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]
    folder = ROOT / ".cache" / "environments" / f"{name}-{digest}"
    python = folder / "bin" / "python"
    finished = folder / "finished"
    if not finished.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "-r", str(requirements)], check=True)
        finished.touch()
    return python


def run_module(name: str, module: str, *arguments: str) -> str:
    """Run a module of this source in an environment, and return what it prints."""
    command = [str(environment(name)), "-W", "ignore", "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
