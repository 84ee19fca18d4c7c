"""Runs the steps of a plan with gcloud, one by one, and removes what they created."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping

from deploy.steps import (
    Plan,
    Step,
    Words,
    fill,
    placeholders,
    shell_command,
)


class CommandFailedError(RuntimeError):
    """A command failed; the message is the command and its error output."""


class Cloud:
    """Runs gcloud commands, and each lookup at most once."""

    def __init__(self, lookups: Mapping[str, Words]) -> None:
        """Use ``lookups``, commands by the name of their placeholder."""
        self._lookups = lookups
        self._values: dict[str, str] = {}

    def run(self, words: Words) -> str:
        """Run a command and return its output; raise ``CommandFailedError`` if it fails."""
        done = self._run(words)
        if done.returncode != 0:
            raise CommandFailedError(f"{shell_command(done.args)}\n{done.stderr.strip()}")
        return done.stdout.strip()

    def succeeds(self, words: Words) -> bool:
        """Run a command and return whether it succeeds."""
        return self._run(words).returncode == 0

    def _run(self, words: Words) -> subprocess.CompletedProcess[str]:
        for name in placeholders(words):
            if name not in self._values:
                self._values[name] = self.run(self._lookups[name])
        # Without input gcloud fails with a message in place of waiting for an answer.
        return subprocess.run(
            fill(words, self._values), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )


def apply(plan: Plan) -> None:
    """Run every step of ``plan`` and print its outcome. Existing resources are kept.

    A plan can be applied again after a failure.

    Raises:
        CommandFailedError: A command failed; the steps after it did not run.
    """
    cloud = Cloud(plan.lookups)
    for step in plan.steps:
        print(f"{step.about}: {_create(cloud, step)}", flush=True)


def _create(cloud: Cloud, step: Step) -> str:
    if step.is_repeatable or not cloud.succeeds(step.exists):
        cloud.run(step.create)
        return "done"
    if step.update:
        cloud.run(step.update)
        return "updated"
    return "exists already"


def destroy(plan: Plan, *, with_data: bool) -> list[str]:
    """Delete what the steps of ``plan`` create, in reverse order, and print each outcome.

    Args:
        plan: The plan.
        with_data: Whether to delete resources that hold data: buckets, and topics with the subscriptions that hold their
            messages.

    Returns:
        A message for each resource that could not be deleted.
    """
    cloud = Cloud(plan.lookups)
    failures = []
    for step in reversed(plan.steps):
        if not step.delete:
            continue
        try:
            outcome = "kept, because it holds data" if step.holds_data and not with_data else _delete(cloud, step)
        except CommandFailedError as error:
            failures.append(str(error))
            outcome = "failed"
        print(f"{step.about}: {outcome}", flush=True)
    return failures


def _delete(cloud: Cloud, step: Step) -> str:
    if step.exists and not cloud.succeeds(step.exists):
        return "does not exist"
    try:
        cloud.run(step.delete)
    except CommandFailedError as error:
        # gcloud has no command to look for a role binding; removing one that does not exist fails.
        if step.exists or "not found" not in str(error).lower():
            raise
        return "does not exist"
    return "deleted"
