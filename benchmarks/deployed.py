"""Runs a module with the packages of a deployed function alone: ``python -m benchmarks.deployed MODULE [ARGUMENT ...]``.

The variable ``BENCHMARK_PACKAGES`` says which packages a deployed function would not have: Google's clients import some of them
if they are there, which takes more time and memory than the rest of the function.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import types

PACKAGES = "BENCHMARK_PACKAGES"


def main() -> None:
    """Hide the packages, and run the module that the arguments name."""
    packages = json.loads(os.environ.pop(PACKAGES))
    # A module that is None here cannot be imported: https://docs.python.org/3/reference/import.html#the-module-cache
    sys.modules.update(dict.fromkeys(packages["absent"]))
    for name, folder in packages["overwritten"].items():
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
