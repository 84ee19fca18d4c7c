"""What keeps `apply` from starting: resources of others under our names, and messages that would be lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from declaration.checks import did_you_mean
from deploy.applying.advice import Advice
from deploy.applying.cloud import Cloud, CommandFailedError
from deploy.applying.inventory import Inventory
from deploy.planning.drift import value_at
from deploy.planning.steps import Plan

FOREIGN = Advice(
    "They are somebody else's, or an earlier version created them without a mark.",
    "Declare other names in deploy/functions.yaml. If they are yours, and Modeldrop may change and delete them, apply with "
    "--adopt {names}",
)
WAITING = Advice(
    "The trigger of a function has a subscription of its own. If the trigger changes or goes, the messages in it are lost.",
    'Stop what sends the messages, wait until the chart "Messages that wait" of the dashboard shows 0 for the subscriptions '
    'that begin with eventarc-, and apply with --drop-messages. docs/runbook.md, "Change names".',
)


def refuse(plan: Plan, cloud: Cloud, inventory: Inventory, *, adopted: Collection[str], drops_messages: bool) -> None:
    """Raise the error that keeps a plan from being applied; nothing has been changed yet.

    Args:
        plan: The plan.
        cloud: Reads what the plan refers to.
        inventory: What the project has.
        adopted: Resources without our mark that become ours, by kind and name.
        drops_messages: Whether messages that wait may be lost.

    Raises:
        CommandFailedError: Somebody else's resource has a declared name and is not adopted, messages may be lost that may not
            be, or an adopted name is not declared.
    """
    declared = {f"{each.kind}/{name}" for each in plan.listings if each.mark is not None for name in each.declared}
    for name in sorted(set(adopted) - declared):
        raise CommandFailedError(
            f"--adopt {name} names nothing that is declared; {did_you_mean(name, sorted(declared))}"
        )
    foreign = sorted(inventory.foreign - set(adopted))
    if foreign:
        message = "Nothing was changed, because these exist and are not of this declaration:"
        fix = FOREIGN.fix.format(names=" ".join(foreign))
        raise CommandFailedError(_listed(message, foreign), Advice(FOREIGN.meaning, fix))
    losses = [] if drops_messages else list(_losses(plan, cloud, inventory))
    if losses:
        message = "Nothing was changed, because messages may wait in subscriptions that would be deleted:"
        raise CommandFailedError(_listed(message, losses), WAITING)


def refused(plan: Plan, cloud: Cloud, inventory: Inventory) -> Iterator[str]:
    """Yield a line for each thing that `apply` refuses without an option."""
    for name in sorted(inventory.foreign):
        yield f"{name} exists and is not of this declaration: needs --adopt {name}"
    for loss in _losses(plan, cloud, inventory):
        yield f"{loss}: needs --drop-messages, because messages may wait in its subscription"


def _losses(plan: Plan, cloud: Cloud, inventory: Inventory) -> Iterator[str]:
    for step in plan.steps:
        found = inventory.found.get(step.name)
        if found is not None and step.trigger and value_at(found, "eventTrigger.trigger"):
            for each in cloud.drift(step, found):
                if each.path in step.trigger:
                    yield f"{step.about}: {each}"
    for former in inventory.former:
        if former.receives_messages:
            yield f"{former.about}: is not declared any more"


def _listed(message: str, lines: Collection[str]) -> str:
    return "\n  ".join((message, *lines))
