"""Runs the steps of a plan one by one, removes what is not declared any more, and shows what differs from a plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from deploy.applying.cloud import Cloud, CommandFailedError, NotFoundError, Resource, reason
from deploy.applying.inventory import Inventory, take_inventory, undeclared_grants
from deploy.applying.refusals import refuse, refused
from deploy.planning.drift import Difference
from deploy.planning.steps import Plan, Step, of_resource

Report = Callable[[str], None]
LOCATION = "location"
OWNER = "projectNumber"
"""The field of a bucket that says which project owns it. Names of buckets are global, so another project may have ours."""


def print_line(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def apply(
    plan: Plan,
    cloud: Cloud,
    report: Report = print_line,
    *,
    adopted: Collection[str] = (),
    drops_messages: bool = False,
) -> None:
    """Make the project what ``plan`` declares: create, update, and remove what has left the declaration.

    A plan can be applied again, after a failure or at any time. What exists as declared stays untouched.

    Args:
        plan: The plan.
        cloud: Runs the commands.
        report: Gets a line about each step.
        adopted: Resources without our mark that become ours, by kind and name.
        drops_messages: Whether triggers may be replaced or removed in whose subscriptions messages may wait.

    Raises:
        CommandFailedError: A command failed; the steps after it did not run.
    """
    # Without the APIs nothing can be read.
    apis, *steps = plan.steps
    report(f"{apis.about}: {_create(cloud, apis)}")
    inventory = take_inventory(plan, cloud)
    refuse(plan, cloud, inventory, adopted=adopted, drops_messages=drops_messages)
    for step in steps:
        try:
            report(f"{step.about}: {_create(cloud, step)}")
        except CommandFailedError:
            _complete(plan, cloud, step, report)
            raise
    _remove(plan, cloud, inventory, report)
    _check(plan, cloud)


def show_differences(plan: Plan, cloud: Cloud) -> Iterator[str]:
    """Yield a line for each thing that ``apply`` would refuse, create, change or remove; change nothing.

    Raises:
        CommandFailedError: Something cannot be read.
    """
    cloud.run(plan.project)
    inventory = take_inventory(plan, cloud)
    yield from (f"! {line}" for line in refused(plan, cloud, inventory))
    for step in plan.steps:
        try:
            if step.grant is not None:
                if not cloud.is_granted(step.grant):
                    yield f"+ {step.about}"
            elif step.describe:
                found = cloud.find(step.describe)
                if found is None:
                    yield f"+ {step.about}"
                else:
                    yield from _changes(cloud, step, found)
        except NotFoundError:
            yield f"+ {step.about}"
    members = plan.own_members | inventory.former_members
    yield from (f"- {grant.about}" for grant in undeclared_grants(plan, cloud, members))
    yield from (f"- {former.about}" for former in inventory.former if not former.listing.holds_data)


def _changes(cloud: Cloud, step: Step, found: Resource) -> Iterator[str]:
    try:
        yield from (f"~ {step.about}: {each}" for each in cloud.drift(step, found))
    except NotFoundError:
        yield f"~ {step.about}: refers to something that does not exist yet"


def _create(cloud: Cloud, step: Step) -> str:
    if step.grant is not None:
        if cloud.is_granted(step.grant):
            return "granted already"
        cloud.run(step.create)
        return "granted"
    if not step.describe:
        cloud.run(step.create)
        return "done"
    found = cloud.find(step.describe)
    if found is None:
        cloud.run_with(step.create, step.document)
        if step.is_created_bare:
            cloud.run(step.update)
        return "created"
    drift = cloud.drift(step, found)
    for each in drift:
        if each.path in step.fixed:
            raise CommandFailedError(f"{step.about}: {each}, and this cannot be changed. {_way_out(each)}")
    if not drift:
        return "unchanged"
    if not step.update:
        raise CommandFailedError(f"{step.about}: {drift[0]}, and no command changes this")
    (document,) = of_resource((step.update_document or step.document,), found)
    cloud.run_with(of_resource(step.update, found), document)
    return f"updated, because {'; '.join(map(str, drift))}"


def _way_out(difference: Difference) -> str:
    if difference.path == OWNER:
        return "The name belongs to another project. Declare another name for the bucket."
    if difference.path == LOCATION:
        return "Move its content, delete it, and apply again; or declare the `region` that it has."
    return "Read what it holds, delete it, and apply again; or declare another name."


def _complete(plan: Plan, cloud: Cloud, failed: Step, report: Report) -> None:
    """Run the steps that complete ``failed``, because it may have succeeded in part."""
    for step in plan.steps:
        if step.follows is failed:
            try:
                report(f"{step.about}: {_create(cloud, step)}")
            except CommandFailedError as error:
                report(f"{step.about}: failed, {reason(error)}")


def _check(plan: Plan, cloud: Cloud) -> None:
    """Look at the steps that complete others once more, such as the dead letters of each function."""
    for step in plan.steps:
        if step.follows is not None and step.describe:
            found = cloud.find(step.describe)
            if drift := cloud.drift(step, found or {}):
                raise CommandFailedError(f"{step.about}: {drift[0]} after the deployment. Apply again.")


def _remove(plan: Plan, cloud: Cloud, inventory: Inventory, report: Report) -> None:
    """Remove what is ours and not declared any more. Grants come first: they would outlive the accounts."""
    for grant in undeclared_grants(plan, cloud, plan.own_members | inventory.former_members):
        cloud.run(grant.remove())
        report(f"{grant.about}: removed, because it is not declared")
    for former in inventory.former:
        if former.listing.holds_data:
            report(f"{former.about}: is not declared, and is kept, because it holds data")
        else:
            cloud.run(former.delete)
            report(f"{former.about}: removed, because it is not declared")
