"""Types of single values; each error says what would be right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, Field, JsonValue, PlainValidator


def text(pattern: str, expected: str) -> BeforeValidator:
    """Accept text that matches ``pattern``, which ``expected`` describes to a person."""

    def is_valid(value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(pattern, value) is not None

    return _check(is_valid, expected)


def number(least: int, most: int) -> BeforeValidator:
    """Accept whole numbers from ``least`` to ``most``."""

    def is_valid(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most

    return _check(is_valid, f"a whole number from {least} to {most}")


def _check(is_valid: Callable[[object], bool], expected: str) -> BeforeValidator:
    def check(value: object) -> object:
        if not is_valid(value):
            raise ValueError(f"expected {expected}")
        return value

    return BeforeValidator(check)


def _setting_text(value: object) -> object:
    """Return a setting as the text of an environment variable."""
    if value is None:
        raise ValueError("expected a value; remove the setting to keep its default")
    if not isinstance(value, str | int | float):
        raise ValueError("expected text, a number, or true or false")
    return str(value)


def _json(value: JsonValue) -> JsonValue:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"expected a value that JSON has: {error}") from error
    return value


Key = Annotated[str, text(r".+", "text")]
"""The key of something that is declared elsewhere in the file."""
Region = Annotated[str, text(r"[a-z]+-[a-z]+\d+", "a region such as us-central1")]
Runtime = Annotated[str, text(r"python3\d\d", "a Python runtime such as python312")]
Variable = Annotated[str, text(r"[A-Z][A-Z0-9_]*", "the name of a variable such as MODEL_BUCKET")]
Resource = Annotated[
    str,
    text(r"[a-z][a-z0-9-]{2,62}", "a name of 3 to 63 lowercase letters, digits and hyphens that starts with a letter"),
]
BucketName = Annotated[str, text(r"[a-z0-9{][a-z0-9{}._-]+", "the name of a bucket, which may contain {project}")]
AccountId = Annotated[
    str,
    text(
        r"[a-z][a-z0-9-]{4,28}[a-z0-9]",
        "an id of 6 to 30 lowercase letters, digits and hyphens that starts with a letter",
    ),
]
Role = Annotated[str, text(r"roles/[A-Za-z.]+", "a role such as roles/pubsub.publisher")]
Roles = Annotated[tuple[Role, ...], Field(strict=False)]
Member = Annotated[
    str,
    text(
        r"(user|group|serviceAccount|domain):[^\s:]+|principal(Set)?://\S+",
        "a member such as user:ada@example.com, and never the public",
    ),
]
Members = Annotated[tuple[Member, ...], Field(strict=False)]
Dataset = Annotated[
    str, text(r"([a-z][a-z0-9:.-]{4,61}[a-z0-9]\.)?\w{1,1024}", "a dataset: `dataset`, or `project.dataset`")
]
Datasets = Annotated[tuple[Dataset, ...], Field(strict=False)]
KmsKey = Annotated[
    str,
    text(
        r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+",
        "the name of a key: projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY",
    ),
]
KmsKeys = Annotated[tuple[KmsKey, ...], Field(strict=False)]
Memory = Annotated[str, text(r"\d+(Mi|Gi)", "an amount of memory such as 512Mi")]
Cron = Annotated[str, text(r"\S+( \S+){4}", 'a cron expression of five fields such as "* * * * *"')]
StorageEvent = Annotated[
    str,
    text(
        r"google\.cloud\.storage\.object\.v1\.[A-Za-z]+",
        "an event type such as google.cloud.storage.object.v1.finalized",
    ),
]
Verb = Annotated[str, text(r"POST", "POST")]
Json = Annotated[JsonValue, PlainValidator(_json)]
Module = Annotated[str, text(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*", "the name of a module such as shared.settings")]
Channel = Annotated[
    str,
    text(
        r"projects/[a-z0-9:.-]+/notificationChannels/\d+",
        "the name of a notification channel: projects/PROJECT/notificationChannels/NUMBER; addresses are in `emails`",
    ),
]
Channels = Annotated[tuple[Channel, ...], Field(strict=False)]
Email = Annotated[str, text(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+", "an e-mail address such as ada@example.com")]
Emails = Annotated[tuple[Email, ...], Field(strict=False)]
Setting = Annotated[str, BeforeValidator(_setting_text)]
