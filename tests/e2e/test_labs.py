"""The commands of docs/labs.md, run as printed: both labs of the course."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
import requests

from examples.make_wildlife import ANIMALS
from localcloud.running import STATE_VARIABLE, StateFile
from localcloud.samples.films import FILMS
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT

pytestmark = pytest.mark.long

PAGE = (ROOT / "docs" / "labs.md").read_text()
TICK_SECONDS = 0.5

Shell = Callable[[str], list[str]]


def commands(heading: str) -> list[str]:
    """Return the commands of a section, which begin with ``$``; indented lines continue them."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```console\n(.*?)```", section, re.DOTALL)
    return [command.strip() for block in blocks for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]]


@contextmanager
def ticking(url: str) -> Iterator[None]:
    """Call the poller again and again, as Cloud Scheduler does every minute."""
    ended = Event()

    def tick() -> None:
        while not ended.wait(TICK_SECONDS):
            requests.post(url, json={}, timeout=LAST_LIMIT)

    thread = Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@pytest.fixture
def shell(environment: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    """Runs the commands of a section in a folder of their own, and returns what each has printed."""
    for program in ("bq", "gcloud"):
        if shutil.which(program) is None:
            pytest.skip("the Google Cloud SDK is not installed here; installing it runs this test")
    # As `modeldrop start` does, so that `modeldrop wait` finds the local cloud.
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state.json"))
    state = StateFile(environment)
    # The commands of this source tree, wherever the package is installed from.
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, command in (("python", sys.executable), ("modeldrop", f"{sys.executable} -m modeldrop")):
        (tools / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tools / name).chmod(0o755)
    path = f"{tools}:/usr/local/bin:/usr/bin:/bin"
    variables = {"PATH": path, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **state.environment}

    def run(heading: str) -> list[str]:
        printed = []
        for command in commands(heading):
            done = subprocess.run(
                ["bash", "-c", command],
                env=variables,
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=LAST_LIMIT,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
            printed.append(done.stdout)
        return printed

    with ticking(environment["POLL_JOBS_URL"]):
        yield run
    state.delete()


def test_the_lab_about_wildlife_runs_as_printed_and_by_messages(shell: Shell) -> None:
    assert len(shell("Differences from Google Cloud")) == 3
    animals = shell("Wildlife, as printed")[-1]
    assert all(f"| {animal.name} " in animals or f"{animal.name} |" in animals for animal in ANIMALS)
    assert "ostrich" not in animals
    classified = shell("Wildlife, by drops and messages")[-1]
    for animal in ANIMALS:
        assert re.search(rf"/{animal.file} +\| +{animal.name} ", classified)


def test_the_lab_about_posters_runs_by_drops_and_messages(shell: Shell) -> None:
    matches = shell("Posters, by drops and messages")[-1]
    assert all(f"/{film.slug}.jpg" in matches for film in FILMS)
