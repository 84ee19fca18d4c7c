"""What a project has already: somebody else's under our names, and ours that is not declared any more.

Everything that a declaration creates has its mark. What has no mark is somebody else's, whatever its name.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from deploy.applying.cloud import Cloud, NotFoundError, Resource
from deploy.planning.drift import value_at
from deploy.planning.steps import CONDITION_TITLE, Grant, Listing, Plan, Target, Words, of_resource


@dataclass(frozen=True)
class Former:
    """Something of ours that is not declared any more."""

    listing: Listing
    resource: Resource

    @property
    def about(self) -> str:
        """What it is called in lines for a person."""
        return f"{self.listing.about} {self.listing.identify(self.resource)}"

    @property
    def delete(self) -> Words:
        """The command that deletes it."""
        return of_resource(self.listing.delete, self.resource)

    @property
    def receives_messages(self) -> bool:
        """Whether messages may wait for it, in a subscription that is deleted with it."""
        return bool(self.listing.trigger and value_at(self.resource, self.listing.trigger))


@dataclass(frozen=True)
class Inventory:
    """What a project has of the kinds of resources that have a mark."""

    found: Mapping[str, Resource]
    """The declared resources that exist, by kind and name, such as ``topics/modeldrop-events``."""
    foreign: frozenset[str]
    """Those of them that are somebody else's."""
    former: tuple[Former, ...]
    """What is ours and not declared any more."""

    @property
    def foreign_members(self) -> frozenset[str]:
        """The accounts among ``foreign``, as policies name them."""
        emails = (self.found[name].get("email") for name in self.foreign)
        return frozenset(f"serviceAccount:{email}" for email in emails if email)

    @property
    def former_members(self) -> frozenset[str]:
        """The accounts among ``former``, as policies name them."""
        accounts = (each for each in self.former if each.listing.is_account)
        return frozenset(f"serviceAccount:{each.listing.identify(each.resource)}" for each in accounts)


def take_inventory(plan: Plan, cloud: Cloud) -> Inventory:
    """Read what the project has.

    Raises:
        CommandFailedError: Something cannot be read.
    """
    found: dict[str, Resource] = {}
    foreign: set[str] = set()
    former: list[Former] = []
    for listing in plan.listings:
        # A creation whose answer was lost may have been repeated, where the service chooses the names.
        wanted = set(listing.declared)
        for resource in cloud.read(listing.list) or []:
            identity = listing.identify(resource)
            name = f"{listing.kind}/{identity}"
            if identity in wanted:
                wanted.remove(identity)
                found[name] = resource
                if not listing.is_ours(resource):
                    foreign.add(name)
            elif listing.is_ours(resource):
                former.append(Former(listing, resource))
    return Inventory(found, frozenset(foreign), tuple(former))


def undeclared_grants(plan: Plan, cloud: Cloud, members: Collection[str]) -> Iterator[Grant]:
    """Yield the grants of ``members``, and of managed roles, that are not declared."""
    grants = [step.grant for step in plan.steps if step.grant is not None]
    declared = {(each.target, each.role, cloud.fill((each.member,))[0], each.condition) for each in grants}
    for target in plan.targets:
        for grant in _grants(cloud, target):
            is_declared = (target, grant.role, grant.member, grant.condition) in declared
            if not is_declared and (identity(grant.member) in members or grant.role in target.managed_roles):
                yield grant


def identity(member: str) -> str:
    """Return a member as it was before it was deleted.

    A new account of the same name has none of its roles: https://cloud.google.com/iam/docs/principal-identifiers
    """
    return member.removeprefix("deleted:").partition("?uid=")[0] if member.startswith("deleted:") else member


def _grants(cloud: Cloud, target: Target) -> Iterator[Grant]:
    """Yield the grants on ``target``, except those with conditions that are not ours."""
    try:
        bindings = cloud.policy(target)
    except NotFoundError:
        return
    for binding in bindings:
        condition = binding.get("condition") or {}
        if condition and condition.get("title") != CONDITION_TITLE:
            continue
        for member in binding.get("members", []):
            yield Grant(target, binding["role"], member, condition.get("expression", ""))
