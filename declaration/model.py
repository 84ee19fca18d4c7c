"""The declaration as frozen models: a field that a model does not have is an error.

Resources are in mappings by key. Other parts of the declaration refer to a resource by its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, PrivateAttr, Tag

from declaration.fields import (
    Channels,
    Cpu,
    Cron,
    Emails,
    FunctionName,
    JobName,
    Json,
    Key,
    Members,
    Memory,
    Module,
    Name,
    Region,
    Roles,
    Runtime,
    Setting,
    StorageEvent,
    Variable,
    Verb,
    number,
)
from declaration.limits import ATTEMPT_DEADLINE_SECONDS, CONCURRENCY, HTTP_TIMEOUT_SECONDS, INSTANCES
from declaration.resources import Account, Bucket, DeclaredDatasets, Feature, Model, Retry, Topic

DEFAULT_NAME = "modeldrop"


class StorageTrigger(Model):
    """Events of one type in one bucket call the function."""

    storage: StorageEvent
    """The type of the events."""
    bucket: Key
    """The bucket's key."""


class TopicTrigger(Model):
    """Messages of one topic call the function."""

    topic: Key
    """The topic's key."""


class HttpTrigger(Model):
    """HTTP requests call the function, always with authentication: no field can switch it off."""

    http: Verb


def _trigger_kind(value: Any) -> str | None:
    if isinstance(value, Model):
        return type(value).__name__
    if not isinstance(value, dict):
        return None
    return next((kind for field, kind in TRIGGER_KINDS.items() if value.get(field) is not None), None)


TRIGGER_KINDS = {"storage": "StorageTrigger", "topic": "TopicTrigger", "http": "HttpTrigger"}
"""The model of a trigger, by the field that only this model has."""
Trigger = Annotated[
    Annotated[StorageTrigger, Tag("StorageTrigger")]
    | Annotated[TopicTrigger, Tag("TopicTrigger")]
    | Annotated[HttpTrigger, Tag("HttpTrigger")],
    Discriminator(
        _trigger_kind, custom_error_type="trigger", custom_error_message="expected one of storage, topic and http"
    ),
]


class Function(Model):
    """A function; its key is the entry point in main.py."""

    service: FunctionName
    """The name that it is deployed under."""
    trigger: Trigger
    memory: Memory
    timeout_seconds: Annotated[int, number(HTTP_TIMEOUT_SECONDS)]
    concurrency: Annotated[int, number(CONCURRENCY)]
    env: Variable | None = None
    """The variable that gives callers its URL."""
    cpu: Cpu | None = None
    maximum_instances: Annotated[int, number(INSTANCES)] | None = None
    callers: Members = ()
    """Who may call the function, besides our accounts."""
    ingress: Literal["all", "internal-and-gclb", "internal-only"] | None = None
    """From where an HTTP function takes requests, as gcloud names it; None: from everywhere.

    Functions that only Eventarc and Cloud Scheduler call always have internal ingress.
    """

    @property
    def server_variables(self) -> Mapping[str, str]:
        """The variables of its server: one process, with a thread for each request that an instance takes at the same time.

        Without them, functions-framework takes four threads for each CPU, and further requests wait.
        https://github.com/GoogleCloudPlatform/functions-framework-python/blob/main/src/functions_framework/_http/gunicorn.py
        """
        return {"WORKERS": "1", "THREADS": str(self.concurrency)}

    @property
    def most_requests(self) -> int | None:
        """How many requests all its instances take at the same time; None if their number is not declared."""
        return None if self.maximum_instances is None else self.concurrency * self.maximum_instances

    @property
    def is_called_by_events(self) -> bool:
        """Whether Eventarc calls the function, and retries."""
        return not isinstance(self.trigger, HttpTrigger)


class Schedule(Model):
    """A job of Cloud Scheduler that calls an HTTP function."""

    job: JobName
    """The job's name."""
    cron: Cron
    """When it runs, in UTC."""
    function: Key
    """The function's key."""
    body: Json
    """What the function gets, as JSON."""
    attempt_deadline_seconds: Annotated[int, number(ATTEMPT_DEADLINE_SECONDS)]
    env: Variable | None = None
    """The variable that gives the functions its full name."""

    def path(self, project: str, location: str) -> str:
        """Return the job's full name."""
        return f"projects/{project}/locations/{location}/jobs/{self.job}"


class Alerts(Model):
    """The alerts about the functions."""

    enabled: bool = True
    """Whether alerts exist; metrics and the dashboard exist in any case."""
    channels: Channels = ()
    """The notification channels that each alert notifies, besides those of `emails`."""
    emails: Emails = ()
    """Addresses that each alert notifies; a notification channel is created for each."""


class Environment(Model):
    """What differs in one of several environments of a project."""

    settings: Mapping[str, Setting] = {}
    """Settings in addition to the common ones, or in place of them."""


class Declaration(Model):
    """All of functions.yaml."""

    name: Name = DEFAULT_NAME
    """The name of the declaration, which marks what it creates. ``{name}`` in other fields stands for it."""
    environments: Mapping[str, Environment] = {}
    """Further environments that fit into the same project, by their name."""
    region: Region
    runtime: Runtime
    accounts: Mapping[str, Account]
    buckets: Mapping[str, Bucket] = {}
    topics: Mapping[str, Topic] = {}
    datasets: DeclaredDatasets | None = None
    features: Mapping[str, Feature] = {}
    retry: Retry
    functions: Mapping[str, Function] = {}
    schedules: Mapping[str, Schedule] = {}
    alerts: Alerts = Alerts()
    settings_module: Module | None = None
    """The module of the functions' source that knows their settings: `python -m MODULE NAME ...` checks them."""
    settings: Mapping[str, Setting] = {}
    """Further variables of the functions."""
    local_settings: Mapping[str, Setting] = {}
    """Values that the local cloud sets in place of ``settings``."""
    local_places: Mapping[str, Literal["vertex_url", "vertex_location", "scheduler_url"]] = {}
    """Variables whose values only the local cloud knows, and what each of them holds."""

    _environment: str | None = PrivateAttr(None)

    def of_environment(self, name: str) -> Declaration:
        """Return the declaration of the environment ``name``, with its settings."""
        settings = {**self.settings, **self.environments[name].settings}
        declaration = self.model_copy(update={"settings": settings})
        declaration._environment = name
        return declaration

    @property
    def environment_option(self) -> str:
        """The option of commands for the environment, after a space: `` --env staging``; empty for the one without a name."""
        return f" --env {self._environment}" if self._environment else ""

    @property
    def scheduled(self) -> frozenset[str]:
        """The functions that a schedule calls."""
        return frozenset(schedule.function for schedule in self.schedules.values())

    @property
    def keys(self) -> Mapping[str, Roles]:
        """The keys of Cloud KMS of the features that are on, with the roles that BigQuery needs on each."""
        return {key: each.key_roles for each in self.features.values() if each.enabled for key in each.keys}

    @property
    def dataset_names(self) -> tuple[str, ...]:
        """The datasets that messages may read or write, each once; none if they may read and write all."""
        if self.datasets is None:
            return ()
        return tuple(dict.fromkeys(self.datasets.readable.names + self.datasets.writable.names))

    @property
    def dead_letters(self) -> Topic:
        """The topic of the events whose deliveries were all in vain."""
        return self.topics[self.retry.dead_letter_topic]

    @property
    def dead_letters_hold(self) -> str:
        """The subscription that keeps the dead letters."""
        hold = self.dead_letters.hold
        assert hold is not None, "a declaration without it is not read"
        return hold
