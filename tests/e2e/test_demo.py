"""`make demo`: the whole story, written to a pipe."""

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

# CI runs `make demo` itself.
pytestmark = pytest.mark.matrix

DEMO = [sys.executable, "-m", "demo"]


@pytest.fixture(scope="module")
def story() -> str:
    """The output of a demo that succeeds; the model is trained before."""
    saved_model()
    demo = subprocess.run(DEMO, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LAST_LIMIT)
    assert (demo.returncode, demo.stderr) == (0, "")
    return demo.stdout


def test_output_to_a_pipe_is_plain_lines(story: str) -> None:
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


def test_a_drop_becomes_one_model_with_the_columns_of_the_classifier(story: str) -> None:
    assert "4 files, one job:" in story
    assert story.count("CREATE OR REPLACE MODEL `local-project.bqml_tutorial.imported_tf_model`") == 1
    assert re.search(r"input_columns +input STRING", story)
    assert re.search(r"output_columns +dense_1 ARRAY<FLOAT64>", story)


def test_every_title_is_predicted_and_most_predictions_are_right(story: str) -> None:
    titles = next(len(sample.rows) for sample in sample_tables() if sample.table.endswith("hacker_news.full"))
    shares = dict(re.findall(r"^ +(github|nytimes|techcrunch|all) .* ([\d.]+)%$", story, re.MULTILINE))

    assert f"{titles} rows in bqml_tutorial.predictions" in story
    assert set(shares) == {"github", "nytimes", "techcrunch", "all"}
    assert all(80 < float(share) < 100 for share in shares.values())


def test_the_stand_in_for_a_language_model_is_named_as_one(story: str) -> None:
    assert "12 rows in headlines.answers:" in story
    assert "modelVersion is: localcloud-echo (stand-in for gemini-3.8-flash)" in story
    assert "No language model was used" in story


def test_every_kind_of_event_is_received_and_a_repeat_has_the_same_id(story: str) -> None:
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
def started_demo() -> Iterator[subprocess.Popen[str]]:
    """A demo that has just shown the addresses of its services."""
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


@pytest.mark.matrix
def test_an_interrupted_demo_leaves_no_process(started_demo: subprocess.Popen[str]) -> None:
    processes = psutil.Process(started_demo.pid).children(recursive=True)
    started_demo.send_signal(signal.SIGINT)
    _, errors = started_demo.communicate(timeout=LAST_LIMIT)

    assert (started_demo.returncode, errors) == (130, "Stopped.\n")
    assert processes
    assert not psutil.wait_procs(processes, timeout=LAST_LIMIT)[1]
