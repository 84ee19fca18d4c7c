"""The settings of the functions: the one list of their names, defaults and meanings.

The environment variable of a setting is its name in upper case. A test compares the README's table with this list.
`python -m shared.settings NAME ...` checks the settings in its environment, and that each name is one of a setting.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from typing import Any

YEAR = 366 * 86400.0
# How many threads of a process may call services at the same time.
MOST_THREADS = 64

_TOPIC = re.compile(r"projects/[^/\s]+/topics/[^/\s]+")
_SCHEDULE = re.compile(r"projects/[^/\s]+/locations/[^/\s]+/jobs/[^/\s]+")
_LOCATION = re.compile(r"global|us|eu|[a-z]+(?:-[a-z]+)+[0-9]{1,2}")
_DATASET = re.compile(r"(?:[a-z0-9][a-z0-9.:-]*\.)?[A-Za-z0-9_]+")
_PRICE = re.compile(r"([a-z0-9][a-z0-9._-]*)=([0-9]+(?:\.[0-9]+)?)/([0-9]+(?:\.[0-9]+)?)")
# The variables of OpenTelemetry, which its own libraries read and check (``spans.py``).
OPENTELEMETRY = "OTEL_"
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class SettingError(ValueError):
    """A setting is missing or invalid. The function cannot start."""


@dataclass(frozen=True)
class Values:
    """The values that a setting may have."""

    read: Callable[[str], Any]
    """Converts the variable's text; raises ``ValueError`` if it is not one of these values."""
    expected: str
    """What is right, for an error: "true or false"."""


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not pattern.fullmatch(value):
            raise ValueError
        return value

    return read


def _read_datasets(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not all(map(_DATASET.fullmatch, names)):
        raise ValueError
    return names


def _read_switch(value: str) -> bool:
    word = value.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError
    return word in _TRUE


def _read_prices(value: str) -> tuple[tuple[str, float, float], ...]:
    prices = []
    for price in filter(None, map(str.strip, value.split(","))):
        match = _PRICE.fullmatch(price)
        if match is None:
            raise ValueError
        prices.append((match[1], float(match[2]), float(match[3])))
    return tuple(prices)


def _number(convert: Callable[[str], float], least: float, most: float, unit: str) -> Values:
    def read(value: str) -> float:
        number = convert(value)
        # A comparison with NaN is false.
        if not least <= number <= most:
            raise ValueError
        return number

    return Values(read, f"{unit} from {least:.10g} to {most:.10g}")


def seconds(least: float = 0.0, most: float = YEAR) -> Values:
    """Return the values of a duration."""
    return _number(float, least, most, "a number of seconds")


def days(least: float, most: float) -> Values:
    """Return the values of a duration in days."""
    return _number(float, least, most, "a number of days")


def whole(least: int, most: int) -> Values:
    """Return the values of a count."""
    return _number(int, least, most, "a whole number")


TEXT = Values(str, "text")
LOCATION = Values(_matching(_LOCATION), "global, us, eu, or a region such as us-central1")
TOPIC = Values(_matching(_TOPIC), "the full name of a topic: projects/PROJECT/topics/TOPIC")
SCHEDULE = Values(
    _matching(_SCHEDULE), "the full name of a job of Cloud Scheduler: projects/PROJECT/locations/LOCATION/jobs/JOB"
)
DATASETS = Values(_read_datasets, "names separated by commas, each dataset or project.dataset")
PRICES = Values(_read_prices, "models with their prices, separated by commas: gemini-3.8-flash=0.25/1.5")
SWITCH = Values(_read_switch, "1, true, yes or on, or 0, false, no or off")

REQUIRED = object()


def setting(values: Values, meaning: str, default: Any = REQUIRED) -> Any:
    """Declare a setting.

    Args:
        values: The values that it may have.
        meaning: One sentence for the README.
        default: The value without a variable; ``REQUIRED`` if the variable must be set.
    """
    metadata = {"values": values, "meaning": meaning}
    return field(metadata=metadata) if default is REQUIRED else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a function."""

    google_cloud_project: str = setting(TEXT, "The project that jobs run in.")
    model_bucket: str = setting(TEXT, "The bucket for model drops.")
    state_bucket: str = setting(TEXT, "The bucket for the ledger.")
    output_bucket: str = setting(
        TEXT, "The bucket for the answers of batches that read from Cloud Storage and name no output."
    )
    events_topic: str = setting(TOPIC, "The topic for events: `projects/P/topics/T`.")
    predict_topic: str = setting(TOPIC, "The topic for predict messages, which rejections name.", "")
    batch_topic: str = setting(TOPIC, "The topic for batch requests, which rejections name.", "")
    models_topic: str = setting(TOPIC, "The topic for manage messages, which rejections name.", "")
    vertex_location: str = setting(
        LOCATION, "The location of Gemini batches that name none: `global`, `us`, `eu` or a region.", "global"
    )
    vertex_endpoint: str = setting(TEXT, "The address of Vertex AI. Empty: the address of each batch's location.", "")
    settle_seconds: float = setting(seconds(0, 86400), "How long a drop must be unchanged before it is imported.", 20.0)
    settle_wait_seconds: float = setting(
        seconds(0, 90),
        "How long the call that notices a new drop waits for it to settle, because the poller may be a minute away. 0: it does "
        "not wait.",
        70.0,
    )
    drop_stuck_seconds: float = setting(
        seconds(), "How long a drop may be incomplete before it is reported as stuck.", 900.0
    )
    safe_import: bool = setting(SWITCH, "Import every drop as a candidate first, even a drop without a check.", False)
    readable_datasets: tuple[str, ...] = setting(
        DATASETS,
        "The datasets that queries may read, separated by commas: `project.dataset`, or `dataset` in this project. Empty: all.",
        (),
    )
    writable_datasets: tuple[str, ...] = setting(
        DATASETS,
        "The datasets that jobs may write and whose models messages may change, separated by commas: `project.dataset`, or "
        "`dataset` in this project. Empty: all.",
        (),
    )
    allow_external_query: bool = setting(SWITCH, "Allow `EXTERNAL_QUERY` in a message's query.", False)
    allow_ai_functions: bool = setting(
        SWITCH, "Allow functions such as `AI.*` in a message's query, which call a model for each row.", False
    )
    max_concurrent_batches: int = setting(
        whole(1, 10_000), "How many Gemini batches run at once. Others wait in the ledger.", 8
    )
    max_batch_requests: int = setting(
        whole(1, 1_000_000),
        "How many requests one Gemini job has at most. More of them are divided into several jobs of one batch.",
        200_000,
    )
    batch_tables_days: float = setting(
        days(0.01, 3650),
        "How many days the tables that Modeldrop creates for a batch, with its requests and answers, are kept at most.",
        7.0,
    )
    gemini_prices: tuple[tuple[str, float, float], ...] = setting(
        PRICES,
        "The prices of a million input and answer tokens in a batch, for estimates: `MODEL=INPUT/ANSWER`, separated by commas.",
        (),
    )
    lease_seconds: float = setting(
        seconds(1, 3600), "How long a claim is valid. Then another call may take the work over.", 120.0
    )
    object_write_seconds: float = setting(
        seconds(0, 10),
        "How far apart two writes of one object of the ledger are at least, because Cloud Storage takes about one a second.",
        1.0,
    )
    vertex_settle: float = setting(
        seconds(0, 3600), "How many seconds after its lease an unanswered batch submission is looked up.", 120.0
    )
    wait_seconds: float = setting(
        seconds(0.1, 86400), "How often work that waits for quota or for a model is tried again.", 30.0
    )
    access_wait_seconds: float = setting(
        seconds(0, 86400),
        "How long after the state bucket was created work waits in the ledger that is refused for a missing right, because new "
        "rights take minutes to be effective. 0: it fails at once.",
        600.0,
    )
    model_wait_seconds: float = setting(
        seconds(), "How long a prediction waits for a model whose drop is being imported.", 86400.0
    )
    create_model_deadline_seconds: float = setting(
        seconds(), "How long an import may run before it is reported as stuck.", 86400.0
    )
    query_deadline_seconds: float = setting(
        seconds(), "How long a query may run before it is reported as stuck.", 43200.0
    )
    deploy_deadline_seconds: float = setting(
        seconds(), "How long a change of an endpoint may take before it is reported as stuck.", 7200.0
    )
    batch_deadline_seconds: float = setting(
        seconds(),
        "How long a Gemini batch may take before it is reported as stuck: 72 h in the queue and 24 h of work.",
        345600.0,
    )
    poll_again_seconds: float = setting(
        seconds(0, 60),
        "How often the poller looks again within its minute while work is open. 0: only once a minute.",
        4.0,
    )
    poll_schedule: str = setting(
        SCHEDULE,
        "The job of Cloud Scheduler that calls the poller: `projects/P/locations/L/jobs/J`. A function that starts work on an "
        "idle project runs it. Empty: that work waits for the next minute.",
        "",
    )
    scheduler_endpoint: str = setting(TEXT, "The address of Cloud Scheduler. Empty: Google's.", "")
    poll_budget_seconds: float = setting(
        seconds(1, 3600), "How long one call of the poller may take; less than the function's timeout.", 240.0
    )
    poll_threads: int = setting(whole(1, MOST_THREADS), "How many items the poller handles at the same time.", 64)
    poll_part_items: int = setting(
        whole(1, 1000),
        "How many predictions the poller continues itself in one tick if it finds twice as many; it hands out the others in "
        "parts of this size.",
        250,
    )
    work_topic: str = setting(
        TOPIC,
        "The topic on which the poller hands out parts of its work. Empty: it continues all work itself.",
        "",
    )
    stuck_looks: int = setting(
        whole(1, 100),
        "After how many attempts that kill the poller, or fail, work is reported as stuck and set aside.",
        3,
    )
    reconcile_seconds: float = setting(
        seconds(1), "How often the poller looks for drops whose events were lost.", 3600.0
    )
    ledger_retention_days: float = setting(days(0, 3650), "How many days finished work is kept in the ledger.", 30.0)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read all settings; raise ``SettingError`` with a line for each that is invalid, or with all that are missing."""
        values: dict[str, Any] = {}
        wrong: list[str] = []
        for each in fields(cls):
            name = each.name.upper()
            text = environment.get(name, "")
            if problem := problem_of(name, text):
                wrong.append(f"the setting {name} {problem}")
            elif text:
                values[each.name] = each.metadata["values"].read(text)
        if wrong:
            raise SettingError("\n".join(wrong))
        missing = [each.name.upper() for each in fields(cls) if each.name not in values and each.default is MISSING]
        if missing:
            raise SettingError(f"the setting {missing[0]} is missing; required are {', '.join(missing)}")
        return cls(**values)


def problem_of(name: str, text: str) -> str | None:
    """Return what is wrong with a variable, as the rest of a sentence that begins with its name; None if it is right.

    Args:
        name: The name of the variable.
        text: Its text; a setting that is empty has its default.
    """
    known: dict[str, Field[Any]] = {each.name.upper(): each for each in fields(Settings)}
    if name.startswith(OPENTELEMETRY):
        return None
    if name not in known:
        similar = difflib.get_close_matches(name.upper(), known, n=1)
        return f"is not a setting; did you mean {similar[0]}?" if similar else "is not a setting"
    values: Values = known[name].metadata["values"]
    try:
        if text:
            values.read(text)
    except (ValueError, OverflowError):
        return f"is {text[:80]!r}; expected {values.expected}"
    return None


@cache
def settings() -> Settings:
    """Return the settings of this process, read from its environment once."""
    return Settings.from_environment(os.environ)


def main(names: Sequence[str] = ()) -> int:
    """Check the settings in the environment, and that ``names`` are settings.

    Returns:
        0 after the names of all settings are printed, one a line; 1 after the problems are printed on stderr.
    """
    problems = list(_problems(names))
    print(
        "\n".join(problems or [each.name.upper() for each in fields(Settings)]), file=sys.stderr if problems else None
    )
    return int(bool(problems))


def _problems(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if problem := problem_of(name, ""):
            yield f"{name} {problem}"
    try:
        Settings.from_environment(os.environ)
    except SettingError as error:
        yield str(error)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
