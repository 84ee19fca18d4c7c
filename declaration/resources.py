"""The parts of the declaration that functions use: accounts, buckets, topics, data, features, and the retry of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, model_validator

from declaration.fields import (
    AccountId,
    BucketName,
    Datasets,
    Key,
    KmsKeys,
    Members,
    PubSubName,
    Role,
    Roles,
    SoftDeleteSeconds,
    Variable,
    number,
)
from declaration.limits import BACKOFF_SECONDS, DELIVERY_ATTEMPTS


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
    soft_delete_seconds: SoftDeleteSeconds | None = None
    """How long deleted and replaced objects are kept; None leaves it to Cloud Storage (seven days)."""

    uploaders: Members = ()
    """Who may write objects, besides our accounts."""

    def name_in(self, project: str) -> str:
        """Return the bucket's name in ``project``."""
        return self.name.replace("{project}", project)


class Topic(Model):
    """A topic."""

    name: PubSubName
    env: Variable
    """The variable that gives the functions its full name."""
    hold: PubSubName | None = None
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
    """How an event that a function did not acknowledge is delivered again."""

    minimum_backoff_seconds: Annotated[int, number(BACKOFF_SECONDS)]
    maximum_backoff_seconds: Annotated[int, number(BACKOFF_SECONDS)]
    maximum_delivery_attempts: Annotated[int, number(DELIVERY_ATTEMPTS)]
    dead_letter_topic: Key
    """The key of the topic that gets the events whose deliveries were all in vain."""
