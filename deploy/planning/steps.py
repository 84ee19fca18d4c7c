"""A step of a deployment, as data: one resource or one grant, with the commands for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.planning.drift import value_at

Words = tuple[str, ...]
"""A command and its arguments. ``${NAME}`` is a placeholder for the output of the lookup of that name."""

PLACEHOLDER = re.compile(r"\${([A-Z_][A-Z0-9_]*)}")
DOCUMENT = "DOCUMENT"
"""The placeholder for the file with the document of a step."""
NAME = "NAME"
"""The placeholder for the last part of the name of a resource that exists."""
ETAG = "ETAG"
"""The placeholder for the version of a resource that exists, which an update names."""


@dataclass(frozen=True)
class Target:
    """A resource that has an IAM policy."""

    name: str
    group: Words
    """The group of gcloud's commands for its policy, such as ``("pubsub", "topics")``."""
    flags: Words
    """Flags that every command for its policy needs, such as ``--project=...``."""
    managed_roles: frozenset[str] = frozenset()
    """Roles that only declared members have here. Members of other roles that are not accounts of ours are left alone."""

    @property
    def has_conditions(self) -> bool:
        """Whether grants may have conditions, so that gcloud must know that a grant has none."""
        return self.group == ("projects",)

    def read(self) -> Words:
        """Return the command that prints the policy."""
        return ("gcloud", *self.group, "get-iam-policy", self.name, "--format=json", *self.flags)


@dataclass(frozen=True)
class Grant:
    """A role of one member on one resource."""

    target: Target
    role: str
    member: str
    condition: str = ""
    """A condition in the Common Expression Language, or empty."""

    @property
    def about(self) -> str:
        """What the grant is, for a person."""
        return f"{self.role} on {self.target.name} for {self.member}"

    def add(self) -> Words:
        """Return the command that makes the grant."""
        return self._command("add-iam-policy-binding")

    def remove(self) -> Words:
        """Return the command that revokes the grant."""
        return self._command("remove-iam-policy-binding")

    def _command(self, verb: str) -> Words:
        words = ["gcloud", *self.target.group, verb, self.target.name, f"--member={self.member}", f"--role={self.role}"]
        if self.condition:
            words.append(f"--condition=^;^expression={self.condition};title={CONDITION_TITLE}")
        elif self.target.has_conditions:
            words.append("--condition=None")
        return (*words, *self.target.flags)


CONDITION_TITLE = "modeldrop"
"""The title of the conditions of our grants; those with another title are somebody else's."""


@dataclass(frozen=True)
class Mark:
    """What says of a resource that a declaration created it: the value of a field, or the sentence that ends its text."""

    path: str
    """The path of the field, with dots."""
    value: str

    def is_on(self, resource: Mapping[str, Any]) -> bool:
        """Return whether ``resource`` has the mark."""
        text = str(value_at(resource, self.path) or "")
        return text == self.value or text.endswith(f" {self.value}")


@dataclass(frozen=True)
class Step:
    """One resource or grant, with the commands that create, describe, update and delete it."""

    about: str
    create: Words
    describe: Words = ()
    """Prints the resource as JSON, or fails with NOT_FOUND. If empty, ``create`` can be repeated."""
    is_listed: bool = False
    """Whether ``describe`` prints a list instead, of one resource or none: its service chooses the names."""
    update: Words = ()
    """Runs in place of ``create`` if the resource exists; may be the same command. If empty, the resource is kept as it is."""
    is_created_bare: bool = False
    """Whether ``create`` cannot set everything, so that ``update`` runs after it."""
    delete: Words = ()
    """Deletes the resource. If empty, the resource is kept, because others may need it."""
    document: str = ""
    """The text of the file ``${DOCUMENT}`` that ``create`` reads."""
    update_document: str = ""
    """The text of the file that ``update`` reads; empty: that of ``document``."""
    holds_data: bool = False
    """Whether deleting the resource loses data."""
    declared: Mapping[str, object] = field(default_factory=dict, hash=False)
    """What ``describe`` prints if nothing has drifted: values by their path with dots."""
    fixed: frozenset[str] = frozenset()
    """The paths in ``declared`` that no command can change."""
    trigger: frozenset[str] = frozenset()
    """The paths in ``declared`` whose change deletes a subscription, with the messages that wait in it."""
    grant: Grant | None = None
    """The grant that this step makes, if it makes one."""
    follows: Step | None = None
    """The step that this one completes: if that one fails half-way, this one runs nevertheless."""

    @property
    def name(self) -> str:
        """The kind and name of the resource, such as ``topics/modeldrop-events``; empty if ``describe`` lacks its name."""
        if "describe" not in self.describe:
            return ""
        verb = self.describe.index("describe")
        return f"{self.describe[verb - 1]}/{self.describe[verb + 1].removeprefix('gs://')}"

    @property
    def is_repeatable(self) -> bool:
        """Whether ``create`` can run without finding out first whether the resource exists."""
        return not self.describe or self.create == self.update


def grant_step(about: str, grant: Grant, *, is_kept: bool = False, follows: Step | None = None) -> Step:
    """Return the step that makes ``grant``; ``is_kept``: it is never revoked, because others may need it."""
    delete = () if is_kept else grant.remove()
    return Step(about, create=grant.add(), delete=delete, grant=grant, follows=follows)


@dataclass(frozen=True)
class Listing:
    """A command that lists resources of one kind, to find those that are not declared any more."""

    about: str
    """The kind, such as ``topic``."""
    list: Words
    """Prints the resources as a JSON list."""
    declared: frozenset[str]
    """What identifies the declared resources, as ``identify`` returns it."""
    delete: Words
    """Deletes the resource with the name ``${NAME}``."""
    mark: Mark | None = None
    """What our resources have; None: the command prints only ours."""
    key: str = ""
    """The path of the field that identifies a resource whose name its service chooses; empty: the name."""
    is_account: bool = False
    """Whether the resources are accounts, whose grants are revoked first."""
    holds_data: bool = False
    """Whether deleting such a resource loses data."""
    trigger: str = ""
    """The path of the field of a resource for which messages wait in a subscription; empty: there is none."""

    @property
    def kind(self) -> str:
        """The kind as gcloud calls it, such as ``topics``."""
        return self.list[self.list.index("list") - 1]

    def is_ours(self, resource: Mapping[str, Any]) -> bool:
        """Return whether the declaration created a resource."""
        return self.mark is None or self.mark.is_on(resource)

    def identify(self, resource: Mapping[str, Any]) -> str:
        """Return what tells a resource apart from the others of its kind."""
        return str(value_at(resource, self.key)) if self.key else short_name(resource)


def short_name(resource: Mapping[str, Any]) -> str:
    """Return the last part of the name of a resource."""
    return str(resource.get("email") or resource["name"]).rpartition("/")[2]


def of_resource(words: Words, resource: Mapping[str, Any]) -> Words:
    """Return ``words`` with the name and the version of a resource that exists."""
    if not resource.get("name"):
        return words
    return fill(words, {NAME: short_name(resource), ETAG: str(resource.get("etag", ""))})


@dataclass(frozen=True)
class Plan:
    """Steps in their order, and the commands that they use."""

    steps: tuple[Step, ...]
    """The first one enables the APIs that the others need."""
    lookups: Mapping[str, Words]
    """Commands that print a name that Google Cloud chooses, by their placeholder."""
    project: Words = ()
    """Describes the project, or fails."""
    listings: tuple[Listing, ...] = ()
    """Where to look for resources that are not declared any more."""
    targets: tuple[Target, ...] = ()
    """The policies that hold our grants."""
    own_members: frozenset[str] = frozenset()
    """Our own accounts, which have no role that is not declared."""


def placeholders(words: Words) -> Iterator[str]:
    """Yield the names of the placeholders in ``words``."""
    for word in words:
        yield from PLACEHOLDER.findall(word)


def fill(words: Words, values: Mapping[str, str]) -> Words:
    """Return ``words`` with ``values`` in place of their placeholders; the others are left."""
    return tuple(PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), word) for word in words)
