"""Values that Google Cloud does not take are refused when the declaration is read, and those that it takes are not."""

from __future__ import annotations

import copy

import pytest
import yaml

from declaration.reading import DeclarationError, parse_declaration
from tests.unit.declaration.documents import SMALL, error_of

DOCUMENT = yaml.safe_load(SMALL.read_text(encoding="utf-8"))
FUNCTION = "functions.keep_message"
FUNCTION_NAME = (
    "a name of 1 to 63 lowercase letters, digits and hyphens that starts with a letter and does not end with a hyphen"
)
TOPIC_NAME = (
    "a name of 3 to 255 letters, digits and characters of - . _ ~ + that starts with a letter, and not with goog"
)
BUCKET_NAME = (
    "a name of 3 to 63 lowercase letters, digits, hyphens, underscores and dots that starts and ends with a letter or digit, "
    "is no IP address, does not start with goog and does not contain google; {project} stands for the project"
)
SOFT_DELETE = "0, or a whole number from 604800 to 7776000, 7 to 90 days"
MEMORY = "an amount of memory from 128Mi to 32Gi, such as 512Mi"
CPU = "one of 1, 2, 4, 6, 8, or from 0.08 to 0.999 with three decimals at most"


def changed(field: str, value: object) -> str:
    """Return the small declaration with ``value`` in ``field``, a path with dots."""
    document = section = copy.deepcopy(DOCUMENT)
    *parents, last = field.split(".")
    for parent in parents:
        section = section[parent]
    section[last] = value
    return yaml.safe_dump(document, sort_keys=False)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        (f"{FUNCTION}.memory", "1Mi", MEMORY),
        (f"{FUNCTION}.memory", "999Gi", MEMORY),
        (f"{FUNCTION}.memory", "0512Mi", MEMORY),
        (f"{FUNCTION}.cpu", 3, CPU),
        (f"{FUNCTION}.cpu", 16, CPU),
        (f"{FUNCTION}.cpu", 0.01, CPU),
        (f"{FUNCTION}.cpu", 1.5, CPU),
        (f"{FUNCTION}.cpu", True, CPU),
        (f"{FUNCTION}.service", "predict-", FUNCTION_NAME),
        (f"{FUNCTION}.service", "p" * 64, FUNCTION_NAME),
        (f"{FUNCTION}.maximum_instances", 0, "a whole number from 1 to 1000"),
        ("functions.keep_object.trigger.storage", "google.cloud.storage.object.v1.created", None),
        ("topics.watched.name", "google-predict", TOPIC_NAME),
        ("topics.watched.name", "ab", TOPIC_NAME),
        ("topics.watched.name", "t" * 256, TOPIC_NAME),
        ("topics.dead.hold", "events/log", TOPIC_NAME),
        ("buckets.kept.name", "googles-models", BUCKET_NAME),
        ("buckets.kept.name", "my-g00gle-models", BUCKET_NAME),
        ("buckets.kept.name", "ab", BUCKET_NAME),
        ("buckets.kept.name", "m" * 64, BUCKET_NAME),
        ("buckets.kept.name", "{project}-" + "m" * 57, BUCKET_NAME),
        ("buckets.kept.name", "models-", BUCKET_NAME),
        ("buckets.kept.name", "192.168.5.4", BUCKET_NAME),
        ("buckets.kept.name", "{region}-models", BUCKET_NAME),
        ("buckets.kept.soft_delete_seconds", 3600, SOFT_DELETE),
        ("buckets.kept.soft_delete_seconds", 91 * 86400, SOFT_DELETE),
        ("accounts.runtime.id", "short", None),
        ("accounts.runtime.id", "runtime-account-", None),
        ("accounts.runtime.roles", ("roles/x",), "a role such as roles/pubsub.publisher"),
        ("buckets.kept.uploaders", ("user:ada",), "a member such as user:ada@example.com, and never the public"),
        ("buckets.kept.env", "PORT", "the name of a variable such as MODEL_BUCKET, which is not reserved"),
        ("topics.watched.env", "THREADS", "the name of a variable such as MODEL_BUCKET, which is not reserved"),
        ("region", "moon-west1", "a region such as us-central1"),
        ("region", "us-central", "a region such as us-central1"),
        ("runtime", "python310", "a runtime of Python 3.11 or newer, such as python312"),
        ("schedules.call.job", "every minute", "a name of 1 to 500 letters, digits, hyphens and underscores"),
    ],
)
def test_an_impossible_value_is_refused(field: str, value: object, expected: str | None) -> None:
    if isinstance(value, tuple):
        reason = error_of(changed(field, list(value)), f"{field}[0]")
    else:
        reason = error_of(changed(field, value), field)

    assert reason.startswith("is ")
    assert f"; expected {expected or ''}" in reason


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (f"{FUNCTION}.memory", "4Gi"),
        (f"{FUNCTION}.cpu", 2),
        (f"{FUNCTION}.service", "p"),
        (f"{FUNCTION}.maximum_instances", 1000),
        ("topics.watched.name", "Films.to_predict~1+2"),
        ("buckets.kept.name", "models.example.com"),
        ("buckets.kept.name", "{project}_models"),
        ("buckets.kept.soft_delete_seconds", 604800),
        ("region", "northamerica-northeast1"),
        ("region", "me-central2"),
        ("runtime", "python313"),
    ],
)
def test_a_possible_value_is_read(field: str, value: object) -> None:
    parse_declaration(changed(field, value))


@pytest.mark.parametrize(
    ("cpu", "memory", "concurrency", "field", "reason"),
    [
        (8, "2Gi", 1, "memory", "is 2Gi; expected 4Gi to 32Gi, because `cpu` is 8"),
        (4, "512Mi", 1, "memory", "is 512Mi; expected 2Gi to 16Gi, because `cpu` is 4"),
        (1, "8Gi", 1, "memory", "is 8Gi; expected 128Mi to 4Gi, because `cpu` is 1"),
        (0.25, "1Gi", 1, "memory", "is 1Gi; expected 128Mi to 512Mi, because `cpu` is 0.25"),
        (
            0.5,
            "1Gi",
            2,
            "concurrency",
            "is 2; expected 1, because a function has 0.5 CPU; or declare `cpu: 1` or more",
        ),
        (6, "16Gi", 100, None, None),
        (0.083, "512Mi", 1, None, None),
        (None, "32Gi", 1, None, None),
    ],
)
def test_memory_and_concurrency_fit_the_cpus(
    cpu: float | None, memory: str, concurrency: int, field: str | None, reason: str | None
) -> None:
    function = {
        "service": "keep-message",
        "trigger": {"topic": "watched"},
        "memory": memory,
        "cpu": cpu,
        "timeout_seconds": 60,
        "concurrency": concurrency,
    }
    text = changed(FUNCTION, function)

    if field is None:
        assert parse_declaration(text).functions["keep_message"].cpu == cpu
    else:
        assert error_of(text, f"{FUNCTION}.{field}") == reason


@pytest.mark.parametrize(
    "cron",
    ["*/15 * * * *", "0 9-17/2 * * MON-FRI", "0 0 1,15 JAN,JUL *", "59 23 31 12 7", "0 0 31 2 MON", "0 0 29 2 *"],
)
def test_a_cron_expression_is_read(cron: str) -> None:
    assert parse_declaration(changed("schedules.call.cron", cron)).schedules["call"].cron == cron


ANY = ", or *, ranges, lists and steps of them; found"


@pytest.mark.parametrize(
    ("cron", "reason"),
    [
        ("60 * * * *", f"expected 0 to 59 as the minute{ANY} 60"),
        ("0 24 * * *", f"expected 0 to 23 as the hour{ANY} 24"),
        ("0 0 L * *", f"expected 1 to 31 as the day of the month{ANY} L"),
        ("0 0 1 13 *", f"expected 1 to 12, or JAN to DEC as the month{ANY} 13"),
        ("0 0 * * FUNDAY", f"expected 0 to 7, or SUN to SAT as the day of the week{ANY} FUNDAY"),
        ("0 0 * * FRI-MON", f"expected 0 to 7, or SUN to SAT as the day of the week{ANY} FRI-MON"),
        ("*/0 * * * *", f"expected 0 to 59 as the minute{ANY} */0"),
        ("5/10 * * * *", f"expected 0 to 59 as the minute{ANY} 5/10"),
        ("0,, * * * *", f"expected 0 to 59 as the minute{ANY} 0,,"),
        ("0 0 31 2,4 *", "expected a day that exists, and 2,4 has no day 31"),
        ("* * * * * *", 'expected a cron expression of five fields such as "* * * * *"'),
        ("@daily", 'expected a cron expression of five fields such as "* * * * *"'),
    ],
)
def test_a_cron_expression_that_is_never_due_is_refused(cron: str, reason: str) -> None:
    assert error_of(changed("schedules.call.cron", cron), "schedules.call.cron") == f"is '{cron}'; {reason}"


@pytest.mark.parametrize(
    ("section", "key", "expected"),
    [
        ("environments", "Staging", "lowercase letters, digits and hyphens between them"),
        ("environments", "", "lowercase letters, digits and hyphens between them"),
        ("functions", "keep-it", "the name of a Python function in main.py"),
    ],
)
def test_a_key_that_is_part_of_a_name_is_held_to_its_form(section: str, key: str, expected: str) -> None:
    entry = {**DOCUMENT["functions"]["keep_call"], "service": "keep-it", "env": None} if section == "functions" else {}
    text = changed(section, {**DOCUMENT.get(section, {}), key: entry})

    assert error_of(text, section) == f"has {key!r}; expected {expected}"


@pytest.mark.parametrize(
    ("keys", "roles", "field", "other"),
    [
        ([], ["roles/cloudkms.cryptoKeyEncrypterDecrypter"], "keys", "key_roles"),
        (["projects/p/locations/us/keyRings/r/cryptoKeys/k"], [], "key_roles", "keys"),
    ],
)
def test_a_feature_with_keys_that_is_on_names_keys_and_roles(
    keys: list[str], roles: list[str], field: str, other: str
) -> None:
    feature = {"enabled": True, "keys": keys, "key_roles": roles}

    reason = error_of(changed("features", {"customer_keys": feature}), f"features.customer_keys.{field}")

    assert reason == f"is empty; expected some, because {other} are given and the feature is on"


def test_the_name_of_a_bucket_may_be_too_long_for_one_project_only() -> None:
    text = changed("buckets.kept.name", "{project}-" + "m" * 41)
    parse_declaration(text, project="films-of-all-times-12")

    with pytest.raises(
        DeclarationError, match=r"buckets\.kept\.name is films-of-all-times-123-m+ in the project films"
    ):
        parse_declaration(text, project="films-of-all-times-123")
