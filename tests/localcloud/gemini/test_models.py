"""The table of models: what is served where, until when, and the file that changes it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from localcloud.base.clock import Clock, ManualClock
from localcloud.gemini.errors import BackendError
from localcloud.gemini.models import MODELS, STAGES, ModelTable, models_from


def clock_of(moment: str) -> ManualClock:
    return ManualClock(datetime.fromisoformat(moment).replace(tzinfo=UTC))


def served(name: str, location: str, clock: Clock | None = None) -> bool:
    try:
        ModelTable(clock or clock_of("2026-11-26")).find("p", location, name)
    except BackendError as error:
        assert (error.code, error.status) == (404, "NOT_FOUND")
        return False
    return True


@pytest.mark.parametrize(
    ("name", "locations"),
    [
        ("gemini-3.8-flash", {"global", "us", "eu"}),
        ("gemini-3.8-flash@default", {"global", "us", "eu"}),
        ("gemini-2.5-flash", {"global", "us-central1", "europe-west4", "asia-east1"}),
        ("gemini-embedding-001", {"us-central1", "europe-west4"}),
        ("text-embedding-005", {"global", "us-central1", "europe-west4", "asia-east1"}),
        ("gemini-1.5-pro-002", set()),
        ("gemini-2.0-flash", set()),
        ("gemini-9-nonsense", set()),
    ],
)
def test_a_model_is_served_in_its_locations_only(name: str, locations: set[str]) -> None:
    asked = ("global", "us", "eu", "us-central1", "europe-west4", "asia-east1")
    assert {location for location in asked if served(name, location)} == locations


def test_a_model_is_served_until_the_day_before_it_retires() -> None:
    assert served("gemini-3.8-flash", "global", clock_of("2027-09-01T23:59:59"))
    assert not served("gemini-3.8-flash", "global", clock_of("2027-09-02"))


def test_a_model_of_another_publisher_is_not_served() -> None:
    with pytest.raises(BackendError, match=r"publishers/anthropic/models/.* was not found"):
        ModelTable(clock_of("2026-11-26")).find("p", "global", "gemini-3.8-flash", publisher="anthropic")


def test_every_stage_of_the_table_is_a_launch_stage() -> None:
    assert {model.stage for model in MODELS.values()} <= set(STAGES)


def test_a_file_changes_adds_and_removes_models(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    changes = {
        "gemini-2.5-flash": {"retires": "2026-10-20"},
        "gemini-9": {"locations": ["eu"], "batch": False},
        "gemini-4-neon": None,
    }
    path.write_text(json.dumps(changes))

    models = models_from(path)

    assert models["gemini-2.5-flash"].retires == date(2026, 10, 20)
    assert models["gemini-2.5-flash"].locations == MODELS["gemini-2.5-flash"].locations
    assert (models["gemini-9"].locations, models["gemini-9"].batch) == (("eu",), False)
    assert "gemini-4-neon" not in models
    assert "gemini-3.8-flash" in models


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "must be a JSON object"),
        ("{", "cannot be read"),
        ('{"m": 1}', "'m'.*an object of fields, or null"),
        ('{"m": {"retired": "2027-01-01"}}', "no field 'retired'; the fields are locations, "),
        ('{"m": {"retires": "soon"}}', "retires must be a day such as 2027-03-31, not 'soon'"),
        ('{"m": {"locations": ["mars"]}}', "locations must be a list of global, us, eu"),
        ('{"m": {"batch": "yes"}}', "batch cannot be 'yes'"),
        ('{"m": {"stage": "BETA"}}', "stage must be one of GA, PUBLIC_PREVIEW"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "models.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason):
        models_from(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        models_from(tmp_path / "none.json")
