"""Settings: each is read from its variable, has a default, and is named if it is wrong."""

from __future__ import annotations

from dataclasses import MISSING, fields

import pytest

from shared.settings import SettingError, Settings

REQUIRED = {
    "GOOGLE_CLOUD_PROJECT": "my-project",
    "MODEL_BUCKET": "models",
    "STATE_BUCKET": "state",
    "OUTPUT_BUCKET": "output",
    "EVENTS_TOPIC": "projects/my-project/topics/modeldrop-events",
}


def test_a_setting_without_a_default_is_required() -> None:
    without_default = {each.name.upper() for each in fields(Settings) if each.default is MISSING}
    assert without_default == set(REQUIRED)
    settings = Settings.from_environment(REQUIRED)
    assert settings.google_cloud_project == "my-project"
    assert settings.events_topic == "projects/my-project/topics/modeldrop-events"


def test_defaults_are_those_of_the_design() -> None:
    settings = Settings.from_environment(REQUIRED)
    assert settings.settle_seconds == 20
    assert settings.lease_seconds == 120
    assert settings.vertex_settle == 120
    assert settings.reconcile_seconds == 3600
    assert settings.vertex_location == "us-central1"
    assert settings.vertex_endpoint == ""
    assert settings.readable_datasets == settings.writable_datasets == ()
    assert settings.safe_import is settings.allow_external_query is settings.allow_ai_functions is False
    # 72 h in the queue and 24 h of work: https://docs.cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-gemini
    assert settings.batch_deadline_seconds == (72 + 24) * 3600


@pytest.mark.parametrize("name", sorted(REQUIRED))
def test_a_missing_setting_is_named(name: str) -> None:
    environment = {each: value for each, value in REQUIRED.items() if each != name}
    with pytest.raises(SettingError, match=name):
        Settings.from_environment(environment)


def test_an_empty_setting_is_missing() -> None:
    with pytest.raises(SettingError, match="MODEL_BUCKET"):
        Settings.from_environment({**REQUIRED, "MODEL_BUCKET": ""})
    assert Settings.from_environment({**REQUIRED, "SETTLE_SECONDS": ""}).settle_seconds == 20


def test_the_error_names_all_missing_settings() -> None:
    with pytest.raises(SettingError) as error:
        Settings.from_environment({})
    assert all(name in str(error.value) for name in REQUIRED)


@pytest.mark.parametrize(
    ("name", "text"), [("SETTLE_SECONDS", "soon"), ("MAX_CONCURRENT_BATCHES", "8.5"), ("POLL_THREADS", "many")]
)
def test_an_invalid_setting_is_named_with_its_text(name: str, text: str) -> None:
    with pytest.raises(SettingError, match=f"{name} is '{text}'"):
        Settings.from_environment({**REQUIRED, name: text})


@pytest.mark.parametrize(
    ("text", "means"),
    [("1", True), ("true", True), ("YES", True), (" on ", True), ("0", False), ("false", False), ("no", False)],
)
def test_a_switch_is_on_or_off(text: str, means: bool) -> None:
    assert Settings.from_environment({**REQUIRED, "SAFE_IMPORT": text}).safe_import is means


@pytest.mark.parametrize(
    ("text", "means"),
    [("a", ("a",)), ("a, p.b ,", ("a", "p.b")), (" , ", ()), ("p-1.news,films", ("p-1.news", "films"))],
)
def test_datasets_are_separated_by_commas(text: str, means: tuple[str, ...]) -> None:
    settings = Settings.from_environment({**REQUIRED, "READABLE_DATASETS": text, "WRITABLE_DATASETS": text})
    assert settings.readable_datasets == settings.writable_datasets == means


def test_every_setting_has_a_meaning() -> None:
    assert all(each.metadata["meaning"].endswith((".", "`.")) for each in fields(Settings))
