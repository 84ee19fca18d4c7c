"""Types of single values; each error says what would be right."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, PlainValidator

from declaration.cron import problem_of_cron
from declaration.limits import (
    ACCOUNT_ID,
    BUCKET_NAME,
    DATASET,
    FUNCTION_NAME,
    JOB_NAME,
    LEAST_CPU,
    MEMBER,
    MEMORY_MIB,
    MIB_PER_GIB,
    NAME,
    PUBSUB_NAME,
    REGION,
    ROLE,
    RUNTIME,
    SHORTEST_PROJECT_ID,
    SOFT_DELETE_SECONDS,
    STORAGE_EVENT,
    VARIABLE,
    WHOLE_CPUS,
    Form,
    Range,
)


def text(form: Form) -> BeforeValidator:
    """Accept text of a form."""

    def is_valid(value: object) -> bool:
        return isinstance(value, str) and re.fullmatch(form.pattern, value) is not None

    return _check(is_valid, form.expected)


def number(limits: Range) -> BeforeValidator:
    """Accept whole numbers in a range."""
    return _check(lambda value: _is_in(value, limits), f"a whole number from {limits.least} to {limits.most}")


def _is_in(value: object, limits: Range) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and limits.least <= value <= limits.most


def _check(is_valid: Callable[[object], bool], expected: str) -> BeforeValidator:
    def check(value: object) -> object:
        if not is_valid(value):
            raise ValueError(f"expected {expected}")
        return value

    return BeforeValidator(check)


def _is_cpu(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value in WHOLE_CPUS or (LEAST_CPU <= value < 1 and round(value, 3) == value)


def _is_memory(value: object) -> bool:
    is_text = isinstance(value, str) and re.fullmatch(r"[1-9]\d*(Mi|Gi)", value) is not None
    return is_text and _is_in(mebibytes(str(value)), MEMORY_MIB)


def mebibytes(memory: str) -> int:
    """Return an amount of memory such as ``2Gi`` in MiB."""
    return int(memory[:-2]) * (MIB_PER_GIB if memory.endswith("Gi") else 1)


def _is_bucket_name(value: object) -> bool:
    if not isinstance(value, str):
        return False
    return re.fullmatch(BUCKET_NAME.pattern, value.replace("{project}", SHORTEST_PROJECT_ID)) is not None


def _is_soft_delete(value: object) -> bool:
    return (value == 0 and not isinstance(value, bool)) or _is_in(value, SOFT_DELETE_SECONDS)


def _cron(value: object) -> object:
    problem = problem_of_cron(value if isinstance(value, str) else "")
    if problem:
        raise ValueError(problem)
    return value


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    again = [value for position, value in enumerate(values) if value in values[:position]]
    if again:
        raise ValueError(f"expected each of them once, and {again[0]} is there twice")
    return values


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


_LIST = (Field(strict=False), AfterValidator(_each_once))
"""What makes a list of YAML a tuple, in which nothing is twice."""
Key = Annotated[str, text(Form(r".+", "text"))]
"""The key of something that is declared elsewhere in the file."""
Region = Annotated[str, text(REGION)]
Runtime = Annotated[str, text(RUNTIME)]
Variable = Annotated[str, text(VARIABLE)]
Name = Annotated[str, text(NAME)]
"""The name of a declaration, which is part of other names."""
FunctionName = Annotated[str, text(FUNCTION_NAME)]
PubSubName = Annotated[str, text(PUBSUB_NAME)]
"""The name of a topic or of a subscription."""
JobName = Annotated[str, text(JOB_NAME)]
BucketName = Annotated[str, _check(_is_bucket_name, f"{BUCKET_NAME.expected}; {{project}} stands for the project")]
SoftDeleteSeconds = Annotated[
    int,
    _check(
        _is_soft_delete,
        f"0, or a whole number from {SOFT_DELETE_SECONDS.least} to {SOFT_DELETE_SECONDS.most}, 7 to 90 days",
    ),
]
AccountId = Annotated[str, text(ACCOUNT_ID)]
Role = Annotated[str, text(ROLE)]
Roles = Annotated[tuple[Role, ...], *_LIST]
Member = Annotated[str, text(MEMBER)]
Members = Annotated[tuple[Member, ...], *_LIST]
Dataset = Annotated[str, text(DATASET)]
Datasets = Annotated[tuple[Dataset, ...], *_LIST]
KmsKey = Annotated[
    str,
    text(
        Form(
            r"projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+",
            "the name of a key: projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY",
        )
    ),
]
KmsKeys = Annotated[tuple[KmsKey, ...], *_LIST]
Memory = Annotated[str, _check(_is_memory, "an amount of memory from 128Mi to 32Gi, such as 512Mi")]
Cpu = Annotated[
    int | float,
    _check(
        _is_cpu, f"one of {', '.join(map(str, WHOLE_CPUS))}, or from {LEAST_CPU} to 0.999 with three decimals at most"
    ),
]
Cron = Annotated[str, BeforeValidator(_cron)]
StorageEvent = Annotated[str, text(STORAGE_EVENT)]
Verb = Annotated[str, text(Form(r"POST", "POST"))]
Json = Annotated[JsonValue, PlainValidator(_json)]
Module = Annotated[
    str, text(Form(r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*", "the name of a module such as shared.settings"))
]
Channel = Annotated[
    str,
    text(
        Form(
            r"projects/[a-z0-9:.-]+/notificationChannels/\d+",
            "the name of a notification channel: projects/PROJECT/notificationChannels/NUMBER; addresses are in `emails`",
        )
    ),
]
Channels = Annotated[tuple[Channel, ...], *_LIST]
Email = Annotated[str, text(Form(r"[\w.+%-]+@[\w-]+(\.[\w-]+)+", "an e-mail address such as ada@example.com"))]
Emails = Annotated[tuple[Email, ...], *_LIST]
Setting = Annotated[str, BeforeValidator(_setting_text)]
