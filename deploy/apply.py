"""Runs the steps of a plan one by one, shows what differs from it, and removes what the plan created."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from deploy.cloud import Cloud, CommandFailedError, NotFoundError, Resource, reason
from deploy.drift import Difference, differences
from deploy.steps import CONDITION_TITLE, ETAG, NAME, Grant, Plan, Step, Target, Words, fill, short_name

Report = Callable[[str], None]
LOCATION = "location"
OWNER = "projectNumber"
"""The field of a bucket that says which project owns it. Names of buckets are global, so another project may have ours."""


def _print(line: str) -> None:
    print(line, flush=True)


def apply(plan: Plan, cloud: Cloud, report: Report = _print) -> None:
    """Make the project what ``plan`` declares: create, update, and remove what has left the declaration.

    A plan can be applied again, after a failure or at any time. What exists as declared stays untouched.

    Args:
        plan: The plan.
        cloud: Runs the commands.
        report: Gets a line about each step.

    Raises:
        CommandFailedError: A command failed; the steps after it did not run.
    """
    for step in plan.steps:
        try:
            report(f"{step.about}: {_create(cloud, step)}")
        except CommandFailedError:
            _complete(plan, cloud, step, report)
            raise
    for about, command in _leftovers(plan, cloud):
        cloud.run(command)
        report(f"{about}: removed, because it is not declared")
    _check(plan, cloud)


def show_differences(plan: Plan, cloud: Cloud) -> Iterator[str]:
    """Yield a line for each thing that ``apply`` would create, change or remove; change nothing.

    Raises:
        CommandFailedError: Something cannot be read.
    """
    cloud.run(plan.project)
    for step in plan.steps:
        try:
            if step.grant is not None:
                if not _is_granted(cloud, step.grant):
                    yield f"+ {step.about}"
            elif step.describe:
                found = cloud.find(step.describe)
                if found is None:
                    yield f"+ {step.about}"
                else:
                    yield from _changes(cloud, step, found)
        except NotFoundError:
            yield f"+ {step.about}"
    yield from (f"- {about}" for about, _ in _leftovers(plan, cloud))


def _changes(cloud: Cloud, step: Step, found: Resource) -> Iterator[str]:
    try:
        yield from (f"~ {step.about}: {each}" for each in _drift(cloud, step, found))
    except NotFoundError:
        yield f"~ {step.about}: refers to something that does not exist yet"


def _create(cloud: Cloud, step: Step) -> str:
    if step.grant is not None:
        if _is_granted(cloud, step.grant):
            return "granted already"
        cloud.run(step.create)
        return "granted"
    if not step.describe:
        cloud.run(step.create)
        return "done"
    found = cloud.find(step.describe)
    if found is None:
        cloud.run_with(step.create, step.document)
        return "created"
    drift = _drift(cloud, step, found)
    for each in drift:
        if each.path in step.fixed:
            raise CommandFailedError(f"{step.about}: {each}, and this cannot be changed. {_way_out(each)}")
    if not drift:
        return "unchanged"
    if not step.update:
        raise CommandFailedError(f"{step.about}: {drift[0]}, and no command changes this")
    (document,) = _of_resource((step.update_document or step.document,), found)
    cloud.run_with(_of_resource(step.update, found), document)
    return f"updated, because {'; '.join(map(str, drift))}"


def _of_resource(words: Words, found: Resource) -> Words:
    """Return ``words`` with the name and the version of a resource that exists."""
    if not found.get("name"):
        return words
    return fill(words, {NAME: short_name(found), ETAG: str(found.get("etag", ""))})


def _way_out(difference: Difference) -> str:
    if difference.path == OWNER:
        return "The name belongs to another project. Declare another name for the bucket."
    if difference.path == LOCATION:
        return "Move its content, delete it, and apply again; or declare the `region` that it has."
    return "Read what it holds, delete it, and apply again; or declare another name."


def _drift(cloud: Cloud, step: Step, found: Resource) -> list[Difference]:
    declared = {
        path: cloud.fill((value,))[0] if isinstance(value, str) else value for path, value in step.declared.items()
    }
    return list(differences(declared, found))


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
            if drift := _drift(cloud, step, found or {}):
                raise CommandFailedError(f"{step.about}: {drift[0]} after the deployment. Apply again.")


def _is_granted(cloud: Cloud, grant: Grant) -> bool:
    (member,) = cloud.fill((grant.member,))
    return any(
        binding["role"] == grant.role
        and member in binding.get("members", [])
        and (binding.get("condition") or {}).get("expression", "") == grant.condition
        for binding in cloud.policy(grant.target)
    )


def _leftovers(plan: Plan, cloud: Cloud) -> list[tuple[str, Words]]:
    """Return what is ours and not declared: how to call it, and the command that removes it; grants come first."""
    resources: list[tuple[str, Words]] = []
    former = set(plan.own_members)
    for listing in plan.listings:
        # A creation whose answer was lost may have been repeated, where the service chooses the names.
        wanted = set(listing.declared)
        for resource in cloud.read(listing.list) or []:
            name = listing.identify(resource)
            if not listing.is_ours(resource):
                continue
            if name in wanted:
                wanted.remove(name)
                continue
            if listing.is_account:
                former.add(f"serviceAccount:{name}")
            resources.append((f"{listing.about} {name}", _of_resource(listing.delete, resource)))
    grants = [step.grant for step in plan.steps if step.grant is not None]
    declared = {(each.target, each.role, cloud.fill((each.member,))[0], each.condition) for each in grants}
    revoked = [
        (f"{grant.role} on {target.name} for {grant.member}", grant.remove())
        for target in plan.targets
        for grant in _grants(cloud, target)
        if (target, grant.role, grant.member, grant.condition) not in declared
        and (_identity(grant.member) in former or grant.role in target.managed_roles)
    ]
    return revoked + resources


def _identity(member: str) -> str:
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


def destroy(plan: Plan, cloud: Cloud, *, with_data: bool, report: Report = _print) -> list[str]:
    """Delete what the steps of ``plan`` create, in reverse order.

    Args:
        plan: The plan.
        cloud: Runs the commands.
        with_data: Whether to delete resources that hold data: buckets, and topics with the subscriptions that hold their
            messages.
        report: Gets a line about each step.

    Returns:
        A message for each resource that could not be deleted.

    Raises:
        CommandFailedError: The project or a resource cannot be read, so it is not known what exists.
    """
    cloud.run(plan.project)
    failures = []
    for step in reversed(plan.steps):
        if not step.delete:
            continue
        if step.holds_data and not with_data:
            report(f"{step.about}: kept, because it holds data")
            continue
        found = _find(cloud, step)
        if found is None:
            report(f"{step.about}: does not exist")
            continue
        try:
            cloud.run(_of_resource(step.delete, found))
            report(f"{step.about}: deleted")
        except CommandFailedError as error:
            failures.append(str(error))
            report(f"{step.about}: failed")
    return failures


def _find(cloud: Cloud, step: Step) -> Resource | None:
    """Return the resource of ``step``, which has no fields if it is a grant; None if it does not exist."""
    try:
        if step.grant is not None:
            return {} if _is_granted(cloud, step.grant) else None
        found = cloud.find(step.describe)
    except NotFoundError:
        return None
    # Only names of buckets may be those of another project.
    for each in _drift(cloud, step, found) if found is not None and OWNER in step.declared else ():
        if each.path == OWNER:
            raise CommandFailedError(f"{step.about}: {each}, so it belongs to another project and is not deleted")
    return found
