"""Removes what the steps of a plan created, and what earlier plans of the same declaration created."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from deploy.applying.apply import OWNER, Report, print_line
from deploy.applying.cloud import Cloud, CommandFailedError, NotFoundError, Resource
from deploy.applying.inventory import Inventory, identity, take_inventory, undeclared_grants
from deploy.planning.steps import Plan, Step, Words, of_resource

KEPT = "kept, because it holds data"


@dataclass(frozen=True)
class Removal:
    """One resource or grant that is deleted or left."""

    about: str
    command: Words = ()
    """Deletes it. If empty, it is left."""
    left: str = ""
    """Why it is left."""
    is_foreign: bool = False
    """Whether it is left because it is somebody else's."""


def removals(plan: Plan, cloud: Cloud, *, with_data: bool) -> list[Removal]:
    """Return what `destroy` deletes and leaves, in its order. Everything is read before anything is deleted.

    Args:
        plan: The plan.
        cloud: Reads what exists.
        with_data: Whether to delete resources that hold data: buckets, and topics with the subscriptions that hold their
            messages.

    Raises:
        CommandFailedError: The project or a resource cannot be read, so it is not known what exists.
    """
    cloud.run(plan.project)
    inventory = take_inventory(plan, cloud)
    return [*_former(plan, cloud, inventory, with_data), *_declared(plan, cloud, inventory, with_data)]


def destroy(plan: Plan, cloud: Cloud, *, with_data: bool, report: Report = print_line) -> list[str]:
    """Delete what a declaration created; somebody else's resources are left.

    Args:
        plan: The plan.
        cloud: Runs the commands.
        with_data: Whether to delete resources that hold data.
        report: Gets a line about each resource.

    Returns:
        A message for each resource that could not be deleted, or that is somebody else's.

    Raises:
        CommandFailedError: The project or a resource cannot be read; nothing was deleted.
    """
    failures = []
    for removal in removals(plan, cloud, with_data=with_data):
        if removal.is_foreign:
            failures.append(f"{removal.about}: {removal.left}")
        if not removal.command:
            report(f"{removal.about}: {removal.left}")
            continue
        try:
            cloud.run(removal.command)
            report(f"{removal.about}: deleted")
        except NotFoundError:
            report(f"{removal.about}: does not exist any more")
        except CommandFailedError as error:
            failures.append(str(error))
            report(f"{removal.about}: failed")
    return failures


def _former(plan: Plan, cloud: Cloud, inventory: Inventory, with_data: bool) -> Iterator[Removal]:
    """Yield what has left the declaration, and the roles of our accounts that are not declared."""
    members = (plan.own_members | inventory.former_members) - inventory.foreign_members
    for grant in undeclared_grants(plan, cloud, members):
        if identity(grant.member) in members:
            yield Removal(grant.about, grant.remove())
    for former in inventory.former:
        if former.listing.holds_data and not with_data:
            yield Removal(former.about, left=KEPT)
        else:
            yield Removal(former.about, former.delete)


def _declared(plan: Plan, cloud: Cloud, inventory: Inventory, with_data: bool) -> Iterator[Removal]:
    for step in reversed(plan.steps):
        if not step.delete:
            continue
        if step.name in inventory.foreign:
            why = f"left, because it is not of this declaration; if it is, `apply --adopt {step.name}` marks it"
            yield Removal(step.about, left=why, is_foreign=True)
        elif _is_of_foreign(step, inventory):
            yield Removal(step.about, left="left, because it is on or for something that is not of this declaration")
        elif step.holds_data and not with_data:
            yield Removal(step.about, left=KEPT)
        else:
            found = _find(cloud, step)
            if found is None:
                yield Removal(step.about, left="does not exist")
            else:
                yield Removal(step.about, of_resource(step.delete, found))


def _is_of_foreign(step: Step, inventory: Inventory) -> bool:
    """Return whether a step is a grant for somebody else's account, or on somebody else's resource."""
    if step.grant is None:
        return False
    target = step.grant.target
    on = {f"{target.group[-1]}/{target.name.removeprefix('gs://')}", step.follows.name if step.follows else ""}
    return step.grant.member in inventory.foreign_members or not on.isdisjoint(inventory.foreign)


def _find(cloud: Cloud, step: Step) -> Resource | None:
    """Return the resource of ``step``, which has no fields if it is a grant; None if it does not exist."""
    try:
        if step.grant is not None:
            return {} if cloud.is_granted(step.grant) else None
        found = cloud.find(step.describe)
    except NotFoundError:
        return None
    # Only names of buckets may be those of another project.
    for each in cloud.drift(step, found) if found is not None and OWNER in step.declared else ():
        if each.path == OWNER:
            raise CommandFailedError(f"{step.about}: {each}, so it belongs to another project and is not deleted")
    return found
