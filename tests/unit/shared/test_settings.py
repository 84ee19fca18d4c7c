"""Settings: each is read from its variable, has a default, and is named if it is wrong."""

from __future__ import annotations

from dataclasses import MISSING, fields

import pytest

from shared.settings import SettingError, Settings, main, problem_of
from tests.conftest import variables

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
    assert settings.drop_stuck_seconds == 900
    assert settings.poll_again_seconds == 4
    assert settings.lease_seconds == 120
    assert settings.vertex_settle == 120
    assert settings.reconcile_seconds == 3600
    assert settings.vertex_location == "global"
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
    ("name", "text", "expected"),
    [
        ("DROP_STUCK_SECONDS", "abc", "a number of seconds from 0 to 31622400"),
        ("SETTLE_SECONDS", "-1", "a number of seconds from 0 to 86400"),
        ("SETTLE_SECONDS", "nan", "a number of seconds"),
        ("LEASE_SECONDS", "0", "a number of seconds from 1 to 3600"),
        ("MAX_CONCURRENT_BATCHES", "8.5", "a whole number from 1 to 10000"),
        ("POLL_THREADS", "0", "a whole number from 1 to 64"),
        ("SAFE_IMPORT", "maybe", "1, true, yes or on, or 0, false, no or off"),
        ("READABLE_DATASETS", "a b", "names separated by commas"),
        ("GEMINI_PRICES", "gemini-3.8-flash=0.25", "models with their prices, separated by commas"),
        ("EVENTS_TOPIC", "modeldrop-events", "the full name of a topic: projects/PROJECT/topics/TOPIC"),
    ],
)
def test_an_invalid_setting_is_named_with_its_text_and_what_is_right(name: str, text: str, expected: str) -> None:
    with pytest.raises(SettingError) as error:
        Settings.from_environment({**REQUIRED, name: text})
    assert f"the setting {name} is '{text}'; expected {expected}" in str(error.value)


def test_prices_are_read_by_model() -> None:
    text = "gemini-3.8-flash=0.25/1.5, gemini-3.5-flash-lite=0.1/0"
    settings = Settings.from_environment({**REQUIRED, "GEMINI_PRICES": text})
    assert settings.gemini_prices == (("gemini-3.8-flash", 0.25, 1.5), ("gemini-3.5-flash-lite", 0.1, 0.0))


def test_the_error_has_a_line_for_each_invalid_setting() -> None:
    with pytest.raises(SettingError) as error:
        Settings.from_environment({**REQUIRED, "POLL_THREADS": "many", "SAFE_IMPORT": "maybe"})
    assert [line.split()[2] for line in str(error.value).splitlines()] == ["SAFE_IMPORT", "POLL_THREADS"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("DROP_STUCK_SECOND", "is not a setting; did you mean DROP_STUCK_SECONDS?"),
        ("settle_seconds", "is not a setting; did you mean SETTLE_SECONDS?"),
        ("COLOUR", "is not a setting"),
        ("SETTLE_SECONDS", None),
    ],
)
def test_a_name_that_is_not_a_setting_is_refused_with_a_suggestion(name: str, problem: str | None) -> None:
    assert problem_of(name, "2") == problem


def test_the_command_prints_the_names_of_all_settings(capsys: pytest.CaptureFixture[str]) -> None:
    with variables(REQUIRED):
        assert main(["SETTLE_SECONDS"]) == 0
    assert capsys.readouterr().out.split() == [each.name.upper() for each in fields(Settings)]


def test_the_command_prints_every_wrong_name_and_value(capsys: pytest.CaptureFixture[str]) -> None:
    with variables({**REQUIRED, "DROP_STUCK_SECONDS": "abc"}):
        assert main(["SETTLE_SECONDS", "SETTLE_SECOND"]) == 1
    named, valued = capsys.readouterr().err.splitlines()
    assert named == "SETTLE_SECOND is not a setting; did you mean SETTLE_SECONDS?"
    assert valued.startswith("the setting DROP_STUCK_SECONDS is 'abc'; expected a number of seconds")


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
