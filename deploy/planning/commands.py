"""What the commands of a plan have in common: the project, the region, the accounts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from declaration.model import Declaration
from deploy.planning.steps import Mark, Target, Words

PROJECT_NUMBER = "${PROJECT_NUMBER}"
OWNER_LABEL = "modeldrop-declaration"
"""The label of everything that a declaration creates, where the service has labels; its value is the declaration's name."""

PUBLISHER = "roles/pubsub.publisher"
UPLOADER = "roles/storage.objectUser"
WRITERS = frozenset({UPLOADER, "roles/storage.objectCreator", "roles/storage.objectAdmin"})
"""The roles that let a member write objects."""
INVOKER = "roles/run.invoker"


@dataclass(frozen=True)
class Commands:
    """Commands for one declaration in one project."""

    declaration: Declaration
    project: str

    def gcloud(self, *words: str) -> Words:
        """Return a command of gcloud for the project, which asks no questions."""
        return ("gcloud", *words, *self.flags)

    def describe(self, *words: str) -> Words:
        """Return a command of gcloud that prints a resource as JSON."""
        return ("gcloud", *words, "--format=json", *self.flags)

    @property
    def flags(self) -> Words:
        """The flags of every command."""
        return (f"--project={self.project}", "--quiet")

    @property
    def region(self) -> str:
        """The flag for the region of functions."""
        return f"--region={self.declaration.region}"

    @property
    def location(self) -> str:
        """The flag for the region of other resources."""
        return f"--location={self.declaration.region}"

    @property
    def label(self) -> str:
        """The value of the flags that label what the declaration creates."""
        return f"{OWNER_LABEL}={self.declaration.name}"

    @property
    def label_mark(self) -> Mark:
        """The mark of a resource that has labels."""
        return Mark(f"labels.{OWNER_LABEL}", self.declaration.name)

    @property
    def sentence_mark(self) -> Mark:
        """The mark of a resource that has a description and no labels."""
        return Mark("description", ownership(self.declaration))

    def email(self, account: str) -> str:
        """Return the address of the account with the key ``account``."""
        return self.declaration.accounts[account].email(self.project)

    def member(self, account: str) -> str:
        """Return the account with the key ``account`` as policies name it."""
        return f"serviceAccount:{self.email(account)}"

    def project_target(self) -> Target:
        """Return the project's policy."""
        return Target(self.project, ("projects",), self.flags)

    def bucket_target(self, key: str) -> Target:
        """Return the policy of the bucket with the key ``key``; only declared members may write objects."""
        url = f"gs://{self.declaration.buckets[key].name_in(self.project)}"
        return Target(url, ("storage", "buckets"), self.flags, WRITERS)

    def topic_target(self, key: str) -> Target:
        """Return the policy of the topic with the key ``key``; only declared members may publish."""
        return Target(self.declaration.topics[key].name, ("pubsub", "topics"), self.flags, frozenset({PUBLISHER}))

    def key_target(self, key: str) -> Target:
        """Return the policy of the key of Cloud KMS with the full name ``key``, which may be in another project."""
        return Target(key, ("kms", "keys"), self.flags)

    def account_target(self, key: str) -> Target:
        """Return the policy of the account with the key ``key``."""
        return Target(self.email(key), ("iam", "service-accounts"), self.flags)

    def function_target(self, service: str) -> Target:
        """Return the policy of a function, which is that of its Cloud Run service; only declared members may call it."""
        return Target(service, ("run", "services"), (self.region, *self.flags), frozenset({INVOKER}))

    def targets(self) -> Iterator[Target]:
        """Yield every policy that holds our grants."""
        declaration = self.declaration
        yield self.project_target()
        yield from map(self.bucket_target, declaration.buckets)
        yield from map(self.topic_target, declaration.topics)
        yield from map(self.account_target, declaration.accounts)
        yield from (self.function_target(function.service) for function in declaration.functions.values())


def ownership(declaration: Declaration) -> str:
    """Return the sentence that is, or ends, the description of what a declaration creates."""
    return f"Created from the declaration {declaration.name}."


def variable(function: str, what: str) -> str:
    """Return the placeholder for something about a function."""
    return f"{function.upper()}_{what}"
