"""functions.yaml is read whole, and whatever cannot or must not be deployed is refused by the name of its field."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

import main
from deploy.declaration import (
    DECLARATION,
    HttpTrigger,
    StorageTrigger,
    TopicTrigger,
    parse_declaration,
    read_declaration,
)
from deploy.section import DeclarationError


def changed(place: str, value: object) -> str:
    """Return functions.yaml with ``value`` at ``place``, a path with dots."""
    document: dict[str, Any] = copy.deepcopy(yaml.safe_load(DECLARATION.read_text(encoding="utf-8")))
    *parents, last = place.split(".")
    section = document
    for parent in parents:
        section = section.setdefault(parent, {})
    section[last] = value
    return yaml.safe_dump(document)


def test_declaration_has_every_entry_point_of_main() -> None:
    assert set(read_declaration().functions) == set(main.ENTRY_POINTS)


def test_triggers_are_read() -> None:
    triggers = {name: function.trigger for name, function in read_declaration().functions.items()}

    assert triggers == {
        "import_model": StorageTrigger("google.cloud.storage.object.v1.finalized", "model"),
        "predict": TopicTrigger("predict"),
        "submit_batch": HttpTrigger("POST"),
        "submit_batch_message": TopicTrigger("batch"),
        "poll_jobs": HttpTrigger("POST"),
        "manage_model": TopicTrigger("models"),
    }


def test_names_hold_the_project() -> None:
    declaration = read_declaration()

    assert declaration.buckets["model"].name("films") == "films-modeldrop-models"
    assert declaration.accounts["runtime"].email("films") == "modeldrop-runtime@films.iam.gserviceaccount.com"


def test_dead_letters_and_events_are_held() -> None:
    assert {topic.name: topic.hold for topic in read_declaration().topics.values() if topic.hold} == {
        "modeldrop-events": "modeldrop-events-log",
        "modeldrop-dead-letters": "modeldrop-dead-letters-hold",
    }


def test_settings_become_text_and_empty_ones_are_left_out() -> None:
    text = changed("settings", {"SETTLE_SECONDS": 5, "SAFE_IMPORT": None})

    assert parse_declaration(text).settings == {"SETTLE_SECONDS": "5"}


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("functions.submit_batch.allow_unauthenticated", True),
        ("functions.submit_batch.allow_unauthenticated", False),
        ("functions.submit_batch.authentication", "none"),
        ("functions.submit_batch.public", True),
        ("functions.submit_batch.invokers", ["allUsers"]),
        ("functions.submit_batch.trigger.unauthenticated", True),
        ("functions.poll_jobs.trigger.invoker", "allAuthenticatedUsers"),
        ("functions.predict.ingress_settings", "all"),
    ],
)
def test_function_without_authentication_cannot_be_declared(place: str, value: object) -> None:
    with pytest.raises(DeclarationError) as refused:
        parse_declaration(changed(place, value))

    assert str(refused.value) == (
        f"functions.yaml.{place} is refused: functions are only ever deployed with authentication"
    )


@pytest.mark.parametrize("public", ["allUsers", "allAuthenticatedUsers"])
def test_everybody_is_no_account(public: str) -> None:
    with pytest.raises(DeclarationError, match=r"accounts\.invoker\.id"):
        parse_declaration(changed("accounts.invoker.id", public))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("region", "moon"),
        ("runtime", "nodejs22"),
        ("functions.predict.service", "predict --allow-unauthenticated"),
        ("functions.predict.memory", "512"),
        ("functions.predict.timeout_seconds", 541),
        ("functions.submit_batch.timeout_seconds", 3601),
        ("functions.predict.concurrency", 0),
        ("functions.predict.concurrency", True),
        ("functions.submit_batch.trigger.http", "GET"),
        ("functions.predict.colour", "blue"),
        ("functions.predict.trigger.topic", "nothing"),
        ("functions.import_model.trigger.bucket", "nothing"),
        ("retry.maximum_delivery_attempts", 4),
        ("retry.maximum_delivery_attempts", 101),
        ("retry.minimum_backoff_seconds", 601),
        ("retry.maximum_backoff_seconds", 5),
        ("retry.dead_letter_topic", "nothing"),
        ("schedules.poll.cron", "every minute"),
        ("schedules.poll.function", "predict"),
        ("schedules.poll.attempt_deadline_seconds", 1801),
        ("accounts.runtime.roles", ["owner"]),
        ("accounts.runtime.bucket_roles", {"nothing": ["roles/storage.objectUser"]}),
        ("topics.predict.env", "predict-topic"),
    ],
)
def test_wrong_field_is_named(place: str, value: object) -> None:
    with pytest.raises(DeclarationError) as refused:
        parse_declaration(changed(place, value))

    assert str(refused.value).startswith(f"functions.yaml.{place}")


@pytest.mark.parametrize(
    "place", ["region", "functions.predict.service", "functions.predict.trigger", "topics.batch.name"]
)
def test_missing_field_is_named(place: str) -> None:
    with pytest.raises(DeclarationError, match=rf"^functions\.yaml\.{place} is missing$"):
        parse_declaration(changed(place, None))


def test_several_calls_at_once_need_a_whole_cpu() -> None:
    with pytest.raises(DeclarationError, match=r"functions\.predict\.concurrency"):
        parse_declaration(changed("functions.predict.cpu", None))


@pytest.mark.parametrize("account", ["runtime", "invoker", "build"])
def test_each_account_is_needed(account: str) -> None:
    with pytest.raises(DeclarationError, match="accounts"):
        parse_declaration(changed(f"accounts.{account}", None))


@pytest.mark.parametrize("text", ["", "- a list", "functions: [", "region: us-central1"])
def test_text_that_is_no_declaration_is_refused(text: str) -> None:
    with pytest.raises(DeclarationError, match=r"functions\.yaml"):
        parse_declaration(text)
