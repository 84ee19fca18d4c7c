"""The declaration as frozen models: a field that a model does not have is an error.

Resources are in mappings by key. Other parts of the declaration refer to a resource by its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Tag, model_validator

from declaration.fields import (
    AccountId,
    BucketName,
    Channels,
    Cron,
    Datasets,
    Json,
    Key,
    KmsKeys,
    Members,
    Memory,
    Module,
    Region,
    Resource,
    Role,
    Roles,
    Runtime,
    Setting,
    StorageEvent,
    Variable,
    Verb,
    number,
)

# https://cloud.google.com/functions/docs/configuring/timeout
LONGEST_HTTP_SECONDS = 3600
LONGEST_EVENT_SECONDS = 540
DEFAULT_NAME = "modeldrop"


class Model(BaseModel):
    """A group of fields of functions.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @model_validator(mode="before")
    @classmethod
    def _leave_out_empty_fields(cls, value: Any) -> Any:
        """Treat a field that has a name and no value as a field that is not there."""
        if not isinstance(value, dict):
            return value
        return {key: item for key, item in value.items() if item is not None or key not in cls.model_fields}


class Account(Model):
    """A service account and its roles."""

    id: AccountId
    roles: Roles = ()
    """Roles on the project."""
    bucket_roles: Mapping[str, Roles] = {}
    """Roles on single buckets, by the bucket's key."""
    topic_roles: Mapping[str, Roles] = {}
    """Roles on single topics, by the topic's key."""
    account_roles: Mapping[str, Roles] = {}
    """Roles on single accounts, by the account's key."""
    reads_build_source: bool = False
    """Whether it may read the source that `gcloud builds submit` uploads, and no other object."""

    def email(self, project: str) -> str:
        """Return the account's address in ``project``."""
        return f"{self.id}@{project}.iam.gserviceaccount.com"


class Bucket(Model):
    """A bucket."""

    name: BucketName
    """Its name, in which ``{project}`` is replaced by the project."""
    env: Variable
    """The variable that gives the functions its name."""
    soft_delete_seconds: Annotated[int, number(0, 90 * 86400)] | None = None
    """How long deleted and replaced objects are kept; None leaves it to Cloud Storage (seven days)."""

    uploaders: Members = ()
    """Who may write objects, besides our accounts."""

    def name_in(self, project: str) -> str:
        """Return the bucket's name in ``project``."""
        return self.name.replace("{project}", project)


class Topic(Model):
    """A topic."""

    name: Resource
    env: Variable
    """The variable that gives the functions its full name."""
    hold: Resource | None = None
    """The subscription that keeps the topic's messages, if there is one."""
    publishers: Members = ()
    """Who may publish, besides our accounts."""

    def path(self, project: str) -> str:
        """Return the topic's full name in ``project``."""
        return f"projects/{project}/topics/{self.name}"


class DatasetAccess(Model):
    """What the functions may do with data of BigQuery."""

    role: Role
    """The role on each of the datasets, or on the whole project if none is named."""
    env: Variable
    """The variable that gives the functions the names, separated by commas."""
    names: Datasets = ()


class DeclaredDatasets(Model):
    """The datasets that messages may read and write."""

    readable: DatasetAccess
    writable: DatasetAccess

    @property
    def variables(self) -> Mapping[str, str]:
        """The variables of the functions that name these datasets; none for access without names."""
        accesses = (self.readable, self.writable)
        return {access.env: ",".join(access.names) for access in accesses if access.names}


class Feature(Model):
    """Something that needs roles of its own, and that can be off."""

    enabled: bool
    roles: Roles = ()
    """Roles on the project for the account of the functions."""
    vertex_bucket_roles: Mapping[str, Roles] = {}
    """Roles of Vertex AI's service agent on single buckets, by the bucket's key."""
    keys: KmsKeys = ()
    """The keys of Cloud KMS that BigQuery encrypts with."""
    key_roles: Roles = ()
    """Roles of BigQuery's encryption account on each of the keys."""


class Retry(Model):
    """How an event that a function did not acknowledge is delivered again.

    https://cloud.google.com/pubsub/docs/handling-failures has the ranges.
    """

    minimum_backoff_seconds: Annotated[int, number(0, 600)]
    maximum_backoff_seconds: Annotated[int, number(0, 600)]
    maximum_delivery_attempts: Annotated[int, number(5, 100)]
    dead_letter_topic: Key
    """The key of the topic that gets the events whose deliveries were all in vain."""


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

    service: Resource
    """The name that it is deployed under."""
    trigger: Trigger
    memory: Memory
    timeout_seconds: Annotated[int, number(1, LONGEST_HTTP_SECONDS)]
    concurrency: Annotated[int, number(1, 1000)]
    env: Variable | None = None
    """The variable that gives callers its URL."""
    cpu: Annotated[int, number(1, 8)] | None = None
    maximum_instances: Annotated[int, number(1, 1000)] | None = None
    callers: Members = ()
    """Who may call the function, besides our accounts."""

    @property
    def server_variables(self) -> Mapping[str, str]:
        """The variables of its server: one process, with a thread for each request that an instance takes at the same time.

        Without them, functions-framework takes four threads for each CPU, and further requests wait.
        https://github.com/GoogleCloudPlatform/functions-framework-python/blob/main/src/functions_framework/_http/gunicorn.py
        """
        return {"WORKERS": "1", "THREADS": str(self.concurrency)}

    @property
    def is_called_by_events(self) -> bool:
        """Whether Eventarc calls the function, and retries."""
        return not isinstance(self.trigger, HttpTrigger)


class Schedule(Model):
    """A job of Cloud Scheduler that calls an HTTP function."""

    job: Resource
    """The job's name."""
    cron: Cron
    """When it runs, in UTC."""
    function: Key
    """The function's key."""
    body: Json
    """What the function gets, as JSON."""
    attempt_deadline_seconds: Annotated[int, number(15, 1800)]
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
    """The notification channels that each alert notifies."""


class Environment(Model):
    """What differs in one of several environments of a project."""

    settings: Mapping[str, Setting] = {}
    """Settings in addition to the common ones, or in place of them."""


class Declaration(Model):
    """All of functions.yaml."""

    name: Resource = DEFAULT_NAME
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

    @property
    def scheduled(self) -> frozenset[str]:
        """The functions that a schedule calls."""
        return frozenset(schedule.function for schedule in self.schedules.values())

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
