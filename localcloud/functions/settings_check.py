"""Checks the settings of the functions before they start, by the command that their source has for this.

The command is `python -m MODULE NAME ...`, with the variables of the functions, in the folder of the source. It checks their
settings and that each NAME is one, and prints the names of all settings. The local cloud itself knows no setting.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

CHECK_SECONDS = 60


class SettingsError(RuntimeError):
    """A setting of the functions is wrong, so that no function can start."""


def checked_environment(
    module: str, source: Path, environment: Mapping[str, str], names: Collection[str]
) -> dict[str, str]:
    """Return the variables of the functions, with the settings that only this process's environment has.

    Args:
        module: The module that checks settings.
        source: The folder with the functions' ``main.py``.
        environment: The variables of the functions.
        names: The names that must be settings.

    Raises:
        SettingsError: A setting is wrong; the message has a line for each.
    """
    try:
        answer = subprocess.run(
            [sys.executable, "-m", module, *sorted(names)],
            cwd=source,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=CHECK_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise SettingsError(f"python -m {module} did not end within {CHECK_SECONDS} s") from error
    if answer.returncode:
        raise SettingsError(answer.stderr.strip() or f"python -m {module} ended with {answer.returncode}")
    others = [name for name in answer.stdout.split() if name in os.environ and name not in environment]
    return {**environment, **{name: os.environ[name] for name in others}}
