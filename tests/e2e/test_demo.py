"""`make demo`: the whole story, told to a pipe, with what really happened."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from examples.train_classifier import saved_model
from localcloud.samples.tables import sample_tables
from tests.paths import ROOT
from tests.waiting import LAST_LIMIT

DEMO = [sys.executable, "-m", "demo"]


@pytest.fixture(scope="module")
def story() -> str:
    """What the demo tells when everything goes well; training the model belongs to the set-up."""
    saved_model()
    demo = subprocess.run(DEMO, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LAST_LIMIT)
    assert (demo.returncode, demo.stderr) == (0, "")
    return demo.stdout


def test_story_is_plain_lines_when_nobody_watches_a_terminal(story: str) -> None:
    assert "\x1b" not in story
    assert not set(story) & set("─━│┃⠋⠙⠹")
    assert [line for line in story.splitlines() if re.match(r"\d\. ", line)] == [
        "0. A cloud on this machine",
        "1. A model",
        "2. The drop",
        "3. Predictions",
        "4. A batch for Gemini",
        "5. Schedules and events",
    ]


def test_drop_becomes_one_model_with_the_classifiers_columns(story: str) -> None:
    assert "4 files, one job:" in story
    assert story.count("CREATE OR REPLACE MODEL `local-project.bqml_tutorial.imported_tf_model`") == 1
    assert re.search(r"input_columns +input STRING", story)
    assert re.search(r"output_columns +dense_1 ARRAY<FLOAT64>", story)


def test_every_title_is_predicted_and_most_are_right(story: str) -> None:
    titles = next(len(sample.rows) for sample in sample_tables() if sample.table.endswith("hacker_news.full"))
    shares = dict(re.findall(r"^ +(github|nytimes|techcrunch|all) .* ([\d.]+)%$", story, re.MULTILINE))

    assert f"{titles} rows in bqml_tutorial.predictions" in story
    assert set(shares) == {"github", "nytimes", "techcrunch", "all"}
    assert all(80 < float(share) < 100 for share in shares.values())


def test_stand_in_for_a_language_model_says_that_it_is_one(story: str) -> None:
    assert "12 rows in headlines.answers:" in story
    assert "modelVersion is: localcloud-echo (stand-in for gemini-2.5-flash)" in story
    assert "So no language model has answered." in story


def test_events_of_every_kind_come_and_a_repeat_has_the_same_id(story: str) -> None:
    events = re.findall(r"^ +(modeldrop\.\S+) +succeeded +(\S+) +(\S+) +(\S+) *$", story, re.MULTILINE)

    assert [event_type for event_type, *_ in events] == [
        "modeldrop.model.imported.v1",
        "modeldrop.prediction.succeeded.v1",
        "modeldrop.batch.succeeded.v1",
        "modeldrop.prediction.succeeded.v1",
        "modeldrop.prediction.succeeded.v1",
    ]
    assert events[-1] == events[-2]
    assert len({event_id for *_, event_id in events}) == 4


@pytest.fixture
def told_so_far() -> Iterator[subprocess.Popen[str]]:
    """A demo that has just told where its services are."""
    demo = subprocess.Popen(
        DEMO, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}
    )
    try:
        assert demo.stdout is not None
        assert any("manage_model" in line for line in demo.stdout)
        yield demo
    finally:
        demo.kill()
        demo.communicate()


def test_interrupted_demo_leaves_nothing_running(told_so_far: subprocess.Popen[str]) -> None:
    processes = psutil.Process(told_so_far.pid).children(recursive=True)
    told_so_far.send_signal(signal.SIGINT)
    _, errors = told_so_far.communicate(timeout=LAST_LIMIT)

    assert (told_so_far.returncode, errors) == (130, "Stopped.\n")
    assert processes
    assert not psutil.wait_procs(processes, timeout=LAST_LIMIT)[1]
