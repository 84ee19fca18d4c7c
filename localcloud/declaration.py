"""Reads deploy/functions.yaml, the one declaration of functions, triggers, topics, buckets and schedules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

_Item = TypeVar("_Item")


class DeclarationError(ValueError):
    """The declaration says something that cannot be meant; the message names the place."""


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the variable that tells the functions its name."""

    key: str
    name: str
    env: str


@dataclass(frozen=True)
class Topic:
    """A topic; ``hold`` is the subscription that keeps what comes, if there is one."""

    key: str
    name: str
    env: str
    hold: str | None = None


@dataclass(frozen=True)
class Retry:
    """How an event that a function did not take is delivered again; ``dead_letter_topic`` is the key of a topic."""

    minimum_backoff_seconds: float
    maximum_backoff_seconds: float
    maximum_delivery_attempts: int
    dead_letter_topic: str | None


@dataclass(frozen=True)
class StorageTrigger:
    """Events of one type from one bucket (its key)."""

    event_type: str
    bucket: str


@dataclass(frozen=True)
class TopicTrigger:
    """Messages of one topic (its key)."""

    topic: str


@dataclass(frozen=True)
class HttpTrigger:
    """Calls from outside."""

    verb: str


Trigger = StorageTrigger | TopicTrigger | HttpTrigger


@dataclass(frozen=True)
class Function:
    """One function: its entry point in main.py, the service that it runs as, and what starts it."""

    name: str
    service: str
    trigger: Trigger
    timeout_seconds: int
    concurrency: int
    env: str | None = None

    @property
    def signature_type(self) -> str:
        """What functions-framework calls the kind of function, ``http`` or ``cloudevent``.

        It is what a deployment with this trigger asks for; a function's own decorator counts for more.
        """
        return "http" if isinstance(self.trigger, HttpTrigger) else "cloudevent"


@dataclass(frozen=True)
class Schedule:
    """An HTTP function that Cloud Scheduler calls by a cron expression in UTC."""

    name: str
    cron: str
    function: str
    body: Any
    attempt_deadline_seconds: int


@dataclass(frozen=True)
class Declaration:
    """Everything that is deployed; names stand with the project filled in."""

    region: str
    runtime_account: str
    """Id of the account that the functions run as."""
    buckets: Mapping[str, Bucket]
    topics: Mapping[str, Topic]
    retry: Retry
    functions: Mapping[str, Function]
    schedules: Mapping[str, Schedule]
    settings: Mapping[str, str | None] = field(default_factory=dict)
    """Settings of the functions by name; one without a value keeps the functions' own default."""


def read_declaration(path: Path, *, project: str) -> Declaration:
    """Read the declaration in ``path`` for ``project``.

    Raises ``DeclarationError`` with the place of what is missing, unknown or of the wrong type.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DeclarationError(f"The declaration cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise DeclarationError(f"{path} is not YAML: {error}") from error
    place = _Place(document, path.name)
    declaration = Declaration(
        region=place.text("region"),
        runtime_account=place.inside("accounts").inside("runtime").text("id"),
        buckets=place.each("buckets", lambda key, item: _bucket(key, item, project)),
        topics=place.each("topics", _topic),
        retry=_retry(place.inside("retry")),
        functions=place.each("functions", _function),
        schedules=place.each("schedules", _schedule),
        settings={name: None if value is None else str(value) for name, value in place.mapping("settings").items()},
    )
    _check_references(declaration, path.name)
    return declaration


class _Place:
    """A mapping of the document that knows where it stands, so that an error can say it."""

    def __init__(self, value: Any, where: str) -> None:
        if not isinstance(value, dict):
            raise DeclarationError(f"{where}: expected a mapping, found {value!r}")
        self.where = where
        self._value = value

    def text(self, key: str, default: str | None = None) -> str:
        return str(self._get(key, str, default))

    def optional_text(self, key: str) -> str | None:
        return None if self._value.get(key) is None else self.text(key)

    def number(self, key: str, default: float | None = None) -> float:
        return float(self._get(key, int | float, default))

    def mapping(self, key: str) -> dict[str, Any]:
        return dict(self._get(key, dict, {}))

    def inside(self, key: str) -> _Place:
        return _Place(self._get(key, dict, None), f"{self.where}: {key}")

    def each(self, key: str, parse: Callable[[str, _Place], _Item]) -> dict[str, _Item]:
        return {
            name: parse(name, _Place(value, f"{self.where}: {key}.{name}")) for name, value in self.mapping(key).items()
        }

    def value(self, key: str, default: Any) -> Any:
        return self._value.get(key, default)

    def has(self, key: str) -> bool:
        return key in self._value

    def _get(self, key: str, kind: Any, default: Any) -> Any:
        value = self._value.get(key, default)
        if value is None:
            raise DeclarationError(f"{self.where}: `{key}` is missing")
        if not isinstance(value, kind) or isinstance(value, bool):
            raise DeclarationError(f"{self.where}: `{key}` cannot be {value!r}")
        return value


def _bucket(key: str, place: _Place, project: str) -> Bucket:
    return Bucket(key, place.text("name").replace("{project}", project), place.text("env"))


def _topic(key: str, place: _Place) -> Topic:
    return Topic(key, place.text("name"), place.text("env"), place.optional_text("hold"))


def _retry(place: _Place) -> Retry:
    return Retry(
        minimum_backoff_seconds=place.number("minimum_backoff_seconds"),
        maximum_backoff_seconds=place.number("maximum_backoff_seconds"),
        maximum_delivery_attempts=int(place.number("maximum_delivery_attempts")),
        dead_letter_topic=place.optional_text("dead_letter_topic"),
    )


def _function(key: str, place: _Place) -> Function:
    return Function(
        name=key,
        service=place.text("service"),
        trigger=_trigger(place.inside("trigger")),
        timeout_seconds=int(place.number("timeout_seconds", 60)),
        concurrency=int(place.number("concurrency", 1)),
        env=place.optional_text("env"),
    )


def _trigger(place: _Place) -> Trigger:
    if place.has("storage"):
        return StorageTrigger(place.text("storage"), place.text("bucket"))
    if place.has("topic"):
        return TopicTrigger(place.text("topic"))
    if place.has("http"):
        return HttpTrigger(place.text("http"))
    raise DeclarationError(f"{place.where}: a trigger is one of `storage`, `topic` and `http`")


def _schedule(key: str, place: _Place) -> Schedule:
    return Schedule(
        name=place.text("job", key),
        cron=place.text("cron"),
        function=place.text("function"),
        body=place.value("body", None),
        attempt_deadline_seconds=int(place.number("attempt_deadline_seconds", 180)),
    )


def _check_references(declaration: Declaration, where: str) -> None:
    """Raise ``DeclarationError`` where one part names another that is not declared."""
    references: list[tuple[str, str, Mapping[str, object]]] = []
    for function in declaration.functions.values():
        match function.trigger:
            case StorageTrigger(bucket=bucket):
                references.append((f"functions.{function.name}: bucket", bucket, declaration.buckets))
            case TopicTrigger(topic=topic):
                references.append((f"functions.{function.name}: topic", topic, declaration.topics))
    for schedule in declaration.schedules.values():
        references.append((f"schedules.{schedule.name}: function", schedule.function, declaration.functions))
    if declaration.retry.dead_letter_topic is not None:
        references.append(("retry: dead_letter_topic", declaration.retry.dead_letter_topic, declaration.topics))
    for place, name, declared in references:
        if name not in declared:
            raise DeclarationError(f"{where}: {place} `{name}` is not declared; there are: {', '.join(declared)}")
