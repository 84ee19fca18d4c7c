"""The README matches the code: its tables list what the code has, and its examples are accepted."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from dataclasses import MISSING, Field, fields
from datetime import UTC, datetime

import pytest
import yaml

import main
from examples.train_classifier import read_titles
from localcloud.samples.tables import sample_tables
from shared.batches.actions import BatchAction
from shared.batches.request import BatchRequest
from shared.drops.manifest import MODEL_TYPES, Manifest, read_manifest
from shared.events.outgoing import EVENT_TYPES, OTHER_TYPES
from shared.messages.predict_request import PredictRequest
from shared.models.request import ManageRequest
from shared.settings import Settings
from tests.readme import (
    README,
    ROOT,
    blocks,
    rows,
)
from tests.waiting import LAST_LIMIT

PROJECT = "my-project"
SETTINGS = Settings(
    google_cloud_project=PROJECT,
    model_bucket=f"{PROJECT}-modeldrop-models",
    state_bucket=f"{PROJECT}-modeldrop-state",
    output_bucket=f"{PROJECT}-modeldrop-output",
    events_topic=f"projects/{PROJECT}/topics/modeldrop-events",
)
NOW = datetime(2026, 1, 5, 8, tzinfo=UTC)

MESSAGES = {
    "Predict": "predict_message.json",
    "Batch": "batch_request.json",
    "Batch action": "batch_action.json",
    "Manage": "manage_message.json",
}

# What a modeldrop.yaml may say of each field.
MANIFEST = {
    "target": "other.model",
    "type": "ONNX",
    "description": "Distinguishes publishers.",
    "labels": {"team": "news"},
    "expires_after": "30d",
    "kms_key": "projects/my-project/locations/us/keyRings/ring/cryptoKeys/key",
    "input": {"age": "INT64"},
    "output": {"score": "FLOAT64"},
    "files": 4,
    "registry": {"id": "publisher"},
    "check": {"query": "SELECT 1 AS x, 2 AS expected_y"},
    "predict": {"input": {"table": "news.articles"}, "output": {"table": "news.predictions"}},
    "remote": {"connection": "us.gemini_conn", "endpoint": "gemini-3.8-flash"},
    "deploy": {"endpoint": "publisher", "machine_type": "n1-standard-2", "traffic": 100},
}
TOGETHER = {"input": "output", "output": "input", "deploy": "registry"}


def default_of(field: Field[object]) -> str:
    if field.default is MISSING:
        return "required"
    match field.default:
        case bool() as value:
            return f"`{int(value)}`"
        case float() as value:
            return f"`{value:g}`"
        case "" | ():
            return "empty"
        case value:
            return f"`{value}`"


def test_every_setting_is_listed_with_its_default_and_meaning() -> None:
    assert rows("Settings") == [
        [f"`{field.name.upper()}`", default_of(field), field.metadata["meaning"]] for field in fields(Settings)
    ]


def test_every_type_of_event_is_listed_once() -> None:
    listed = [name.strip("`") for name, _ in rows("Events")]

    assert len(listed) == len(set(listed))
    assert set(listed) == {*EVENT_TYPES.values(), *OTHER_TYPES}


def test_every_function_is_listed_with_its_topic() -> None:
    text = (ROOT / "deploy" / "functions.yaml").read_text().replace("{name}", "modeldrop")
    declared = yaml.safe_load(text)
    listed = {name.strip("`"): trigger for name, trigger, _ in rows("Functions")}

    assert list(listed) == list(main.ENTRY_POINTS)
    assert set(listed) == set(declared["functions"])
    for name, function in declared["functions"].items():
        if topic := function["trigger"].get("topic"):
            assert f"`{declared['topics'][topic]['name']}`" in listed[name]
        else:
            assert "`" not in listed[name]


@pytest.mark.parametrize(("heading", "schema"), MESSAGES.items())
def test_every_field_of_a_message_is_listed(heading: str, schema: str) -> None:
    body = json.loads((ROOT / "shared" / "schemas" / schema).read_text())
    # A message may have one of several forms.
    forms = [body["$defs"][form["$ref"].rpartition("/")[2]] for form in body.get("oneOf", ()) if "$ref" in form]
    properties = {name for each in (body, *forms) for name in each["properties"]}

    assert {name.strip("`") for name, _ in rows(heading)} == properties


def test_the_examples_of_messages_are_accepted() -> None:
    predict, batch, action, manage = (json.loads(blocks("json", heading)[0]) for heading in MESSAGES)

    assert PredictRequest.parse(predict, SETTINGS, NOW).request_id == "nightly-2026-01-05"
    assert BatchRequest.parse(batch, SETTINGS, NOW).request_id == "summaries-2026-01-05"
    assert BatchAction.parse(action, NOW).action == "retry_failed_rows"
    assert ManageRequest.parse(manage, SETTINGS, NOW).path.prefix == "news/publisher/1/"


def test_every_type_of_drop_is_listed() -> None:
    assert [kind for kind, *_ in rows("Model drops") if kind.isupper()] == list(MODEL_TYPES)


def test_the_listed_fields_of_modeldrop_yaml_are_accepted() -> None:
    listed = [name for cell, *_ in rows("Model drops") for name in re.findall(r"`(\w+)`", cell)]

    assert listed == list(MANIFEST)
    for name in listed:
        given = {name: MANIFEST[name], **({TOGETHER[name]: MANIFEST[TOGETHER[name]]} if name in TOGETHER else {})}
        assert read_manifest(yaml.safe_dump(given).encode(), PROJECT) != Manifest()


def test_every_make_target_is_listed() -> None:
    targets = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()

    assert {command.split()[1].strip("`") for command, _ in rows("Commands") if "`make" in command} == set(targets)


@pytest.mark.parametrize("command", [command.strip("`") for command, _ in rows("Commands") if "python -m" in command])
def test_every_command_exists_with_its_options(command: str) -> None:
    listed = next(listed for cell, listed in rows("Commands") if cell == f"`{command}`")
    words = command.removeprefix("python ").split(" --project")[0].split()
    asked = subprocess.run(
        [sys.executable, *words, "--help"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=LAST_LIMIT
    )

    assert asked.returncode == 0, asked.stderr
    for option in re.findall(r"--[a-z-]+", f"{command} {listed}"):
        assert option in asked.stdout


def test_the_session_shows_the_results_of_its_own_commands() -> None:
    session = "\n".join(blocks("console", "A session"))
    commands = re.findall(r"^\$ (.+(?:\n    .+)*)", session, re.MULTILINE)
    words = [shlex.split(command, comments=True) for command in commands]
    message = next(json.loads(word.partition("=")[2]) for each in words for word in each if word[:10] == "--message=")
    request = PredictRequest.parse(message, SETTINGS, NOW)

    assert str(request.model) == "my-project.news.publisher"
    assert next(each[-1] for each in words if each[:2] == ["bq", "query"]) == "SELECT * FROM news.predictions LIMIT 3"
    assert any("$MODEL_BUCKET/news/publisher/1/" in word for each in words for word in each)
    titles = {row["title"] for sample in sample_tables() for row in sample.rows if "title" in row}
    for title, _ in read_titles("heldout")[:3]:
        assert title in titles
        assert title in session


def test_every_link_leads_to_a_file() -> None:
    for path in [README, *(ROOT / "docs").glob("*.md")]:
        links = re.findall(r"\]\((?!https?://)([^)#]+)\)", path.read_text())
        assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_module_that_the_architecture_names_exists() -> None:
    named = re.findall(r"`((?:\w+/)*\w+\.py)`", (ROOT / "docs" / "architecture.md").read_text())
    folders = ("functions", "shared", "localcloud", "deploy", "demo")
    sources = [
        "/main.py",
        *(f"/{path.relative_to(ROOT)}" for folder in folders for path in (ROOT / folder).rglob("*.py")),
    ]

    assert named
    assert [name for name in named if not any(path.endswith(f"/{name}") for path in sources)] == []
