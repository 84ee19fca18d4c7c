"""functions.yaml as frozen dataclasses: read once, checked whole, and refused with the name of the wrong field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.section import DeclarationError, Section

DECLARATION = Path(__file__).with_name("functions.yaml")
REQUIRED_ACCOUNTS = ("runtime", "invoker", "build")

# https://cloud.google.com/functions/docs/configuring/timeout
LONGEST_HTTP_SECONDS = 3600
LONGEST_EVENT_SECONDS = 540


@dataclass(frozen=True)
class Account:
    """A service account and what it may do."""

    key: str
    id: str
    roles: tuple[str, ...]
    """Roles on the project."""
    bucket_roles: Mapping[str, tuple[str, ...]]
    """Roles on single buckets, by the bucket's key."""
    topic_roles: Mapping[str, tuple[str, ...]]
    """Roles on single topics, by the topic's key."""
    account_roles: Mapping[str, tuple[str, ...]]
    """Roles on single accounts, by the account's key."""

    def email(self, project: str) -> str:
        """Return the account's address in ``project``."""
        return f"{self.id}@{project}.iam.gserviceaccount.com"


@dataclass(frozen=True)
class Bucket:
    """A bucket, and the variable that tells the functions its name."""

    key: str
    pattern: str
    """Its name, in which ``{project}`` stands for the project."""
    env: str
    soft_delete_seconds: int | None
    """How long deleted and replaced objects are kept; None leaves it to Cloud Storage (seven days)."""

    def name(self, project: str) -> str:
        """Return the bucket's name in ``project``."""
        return self.pattern.replace("{project}", project)


@dataclass(frozen=True)
class Topic:
    """A topic, the variable that tells the functions its name, and the subscription that holds what comes, if any."""

    key: str
    name: str
    env: str
    hold: str | None


@dataclass(frozen=True)
class Retry:
    """How an event that a function did not take is delivered again."""

    minimum_backoff_seconds: int
    maximum_backoff_seconds: int
    maximum_delivery_attempts: int
    dead_letter_topic: str
    """The key of the topic that gets what was never taken."""


@dataclass(frozen=True)
class StorageTrigger:
    """Called for each event of one type in one bucket, given by its key."""

    event_type: str
    bucket: str


@dataclass(frozen=True)
class TopicTrigger:
    """Called for each message of one topic, given by its key."""

    topic: str


@dataclass(frozen=True)
class HttpTrigger:
    """Called over HTTP, always with authentication: there is no field to say otherwise."""

    verb: str


Trigger = StorageTrigger | TopicTrigger | HttpTrigger


@dataclass(frozen=True)
class Function:
    """One function: its entry point in main.py, the name that it is deployed under, and what calls it."""

    entry_point: str
    service: str
    trigger: Trigger
    env: str | None
    """The variable that tells callers its URL."""
    memory: str
    cpu: int | None
    timeout_seconds: int
    concurrency: int
    maximum_instances: int | None


@dataclass(frozen=True)
class Schedule:
    """A Cloud Scheduler job that calls an HTTP function."""

    key: str
    job: str
    cron: str
    function: str
    body: Any
    attempt_deadline_seconds: int


@dataclass(frozen=True)
class Declaration:
    """All of functions.yaml; the mappings are by key."""

    region: str
    runtime: str
    accounts: Mapping[str, Account]
    buckets: Mapping[str, Bucket]
    topics: Mapping[str, Topic]
    retry: Retry
    functions: Mapping[str, Function]
    schedules: Mapping[str, Schedule]
    settings: Mapping[str, str]
    """Further variables of the functions."""

    @property
    def dead_letters(self) -> Topic:
        """The topic of what was never taken; it has a ``hold``."""
        return self.topics[self.retry.dead_letter_topic]


def read_declaration(path: Path = DECLARATION) -> Declaration:
    """Return the declaration in ``path``; raise ``DeclarationError`` that names the field if it cannot be deployed."""
    return parse_declaration(path.read_text(encoding="utf-8"))


def parse_declaration(text: str) -> Declaration:
    """Return the declaration that the YAML ``text`` makes; raise as ``read_declaration``."""
    try:
        document = Section("functions.yaml", yaml.safe_load(text))
    except yaml.YAMLError as error:
        raise DeclarationError(f"functions.yaml is not YAML: {error}") from error
    declaration = Declaration(
        region=document.text("region", r"[a-z]+-[a-z]+\d+"),
        runtime=document.text("runtime", r"python3\d\d"),
        accounts=document.each("accounts", _account),
        buckets=document.each("buckets", _bucket),
        topics=document.each("topics", _topic),
        retry=_retry(document.section("retry")),
        functions=document.each("functions", _function),
        schedules=document.each("schedules", _schedule),
        settings=document.texts("settings"),
    )
    document.end()
    _check_references(declaration)
    return declaration


_VARIABLE = r"[A-Z][A-Z0-9_]*"
_RESOURCE = r"[a-z][a-z0-9-]{2,62}"


def _account(key: str, section: Section) -> Account:
    return Account(
        key=key,
        id=section.text("id", r"[a-z][a-z0-9-]{4,28}[a-z0-9]"),
        roles=section.roles("roles"),
        bucket_roles=section.roles_on("bucket_roles"),
        topic_roles=section.roles_on("topic_roles"),
        account_roles=section.roles_on("account_roles"),
    )


def _bucket(key: str, section: Section) -> Bucket:
    return Bucket(
        key=key,
        pattern=section.text("name", r"[a-z0-9{][a-z0-9{}._-]+"),
        env=section.text("env", _VARIABLE),
        soft_delete_seconds=section.optional_number("soft_delete_seconds", 0, 90 * 86400),
    )


def _topic(key: str, section: Section) -> Topic:
    return Topic(
        key=key,
        name=section.text("name", _RESOURCE),
        env=section.text("env", _VARIABLE),
        hold=section.optional_text("hold", _RESOURCE),
    )


def _retry(section: Section) -> Retry:
    # https://cloud.google.com/pubsub/docs/handling-failures gives the ranges.
    minimum = section.number("minimum_backoff_seconds", 0, 600)
    retry = Retry(
        minimum_backoff_seconds=minimum,
        maximum_backoff_seconds=section.number("maximum_backoff_seconds", minimum, 600),
        maximum_delivery_attempts=section.number("maximum_delivery_attempts", 5, 100),
        dead_letter_topic=section.text("dead_letter_topic"),
    )
    section.end()
    return retry


def _function(key: str, section: Section) -> Function:
    trigger = _trigger(section.section("trigger"))
    longest = LONGEST_HTTP_SECONDS if isinstance(trigger, HttpTrigger) else LONGEST_EVENT_SECONDS
    function = Function(
        entry_point=key,
        service=section.text("service", _RESOURCE),
        trigger=trigger,
        env=section.optional_text("env", _VARIABLE),
        memory=section.text("memory", r"\d+(Mi|Gi)"),
        cpu=section.optional_number("cpu", 1, 8),
        timeout_seconds=section.number("timeout_seconds", 1, longest),
        concurrency=section.number("concurrency", 1, 1000),
        maximum_instances=section.optional_number("maximum_instances", 1, 1000),
    )
    if function.concurrency > 1 and function.cpu is None:
        # https://cloud.google.com/run/docs/configuring/services/cpu
        raise section.wrong(
            "concurrency", function.concurrency, "1, because without `cpu` it has less than a whole one"
        )
    return function


def _trigger(section: Section) -> Trigger:
    trigger: Trigger
    if section.has("storage"):
        trigger = StorageTrigger(
            section.text("storage", r"google\.cloud\.storage\.object\.v1\.[A-Za-z]+"), section.text("bucket")
        )
    elif section.has("topic"):
        trigger = TopicTrigger(section.text("topic"))
    elif section.has("http"):
        trigger = HttpTrigger(section.text("http", "POST"))
    else:
        raise DeclarationError(f"{section.place} is none of storage, topic and http")
    section.end()
    return trigger


def _schedule(key: str, section: Section) -> Schedule:
    return Schedule(
        key=key,
        job=section.text("job", _RESOURCE),
        cron=section.text("cron", r"\S+( \S+){4}"),
        function=section.text("function"),
        body=section.take("body"),
        attempt_deadline_seconds=section.number("attempt_deadline_seconds", 15, 1800),
    )


def _check_references(declaration: Declaration) -> None:
    """Raise ``DeclarationError`` where a field names something that is not declared."""
    _must_be_in(declaration.topics, declaration.retry.dead_letter_topic, "retry.dead_letter_topic")
    if declaration.dead_letters.hold is None:
        raise DeclarationError("functions.yaml.retry.dead_letter_topic: without `hold` the topic drops everything")
    # What was never taken of the uploads is sent there, to be imported by name.
    _must_be_in(declaration.topics, "models", "topics")
    for key in REQUIRED_ACCOUNTS:
        _must_be_in(declaration.accounts, key, "accounts")
    for function in declaration.functions.values():
        match function.trigger:
            case StorageTrigger(bucket=bucket):
                _must_be_in(declaration.buckets, bucket, f"functions.{function.entry_point}.trigger.bucket")
            case TopicTrigger(topic=topic):
                _must_be_in(declaration.topics, topic, f"functions.{function.entry_point}.trigger.topic")
    for schedule in declaration.schedules.values():
        called = {key: each for key, each in declaration.functions.items() if isinstance(each.trigger, HttpTrigger)}
        _must_be_in(called, schedule.function, f"schedules.{schedule.key}.function")
    for account in declaration.accounts.values():
        for field, declared in (
            ("bucket_roles", declaration.buckets),
            ("topic_roles", declaration.topics),
            ("account_roles", declaration.accounts),
        ):
            for target in getattr(account, field):
                _must_be_in(declared, target, f"accounts.{account.key}.{field}")


def _must_be_in(declared: Mapping[str, object], key: str, place: str) -> None:
    if key not in declared:
        raise DeclarationError(f"functions.yaml.{place}: there is no {key}; there are {', '.join(declared)}")
