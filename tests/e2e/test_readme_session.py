"""The README's session in Python, run as it is printed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping

import pytest
import requests

from tests.readme import ROOT, blocks
from tests.waiting import LAST_LIMIT

pytestmark = pytest.mark.long

TICK_SECONDS = 0.5


def test_session_prints_what_the_readme_says(environment: Mapping[str, str]) -> None:
    [program], [printed] = blocks("python", "A session"), blocks("", "A session")
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as session:
        try:
            for _ in range(int(LAST_LIMIT / TICK_SECONDS)):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, errors = session.communicate(timeout=TICK_SECONDS)
                    break
                # As Cloud Scheduler does every minute.
                requests.post(environment["POLL_JOBS_URL"], json={}, timeout=LAST_LIMIT).raise_for_status()
        finally:
            session.kill()

    assert (session.returncode, errors) == (0, "")
    assert output == printed
