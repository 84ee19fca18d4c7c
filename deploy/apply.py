"""Runs a plan's steps with gcloud, one by one, and takes them back."""

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
    """A command failed; the message is the command and what it said."""


class Cloud:
    """The project as gcloud shows it: runs commands, and answers each question once."""

    def __init__(self, questions: Mapping[str, Words]) -> None:
        self._questions = questions
        self._answers: dict[str, str] = {}

    def run(self, words: Words) -> str:
        """Run ``words`` and return what they print; raise ``CommandFailedError`` if they fail."""
        done = self._run(words)
        if done.returncode != 0:
            raise CommandFailedError(f"{shell_command(done.args)}\n{done.stderr.strip()}")
        return done.stdout.strip()

    def succeeds(self, words: Words) -> bool:
        """Run ``words`` and return whether they succeed."""
        return self._run(words).returncode == 0

    def _run(self, words: Words) -> subprocess.CompletedProcess[str]:
        for name in placeholders(words):
            if name not in self._answers:
                self._answers[name] = self.run(self._questions[name])
        # What is asked for stays unanswered without a terminal: gcloud then says what it misses instead of waiting.
        return subprocess.run(
            fill(words, self._answers), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )


def apply(plan: Plan) -> None:
    """Make every step of ``plan`` so, saying what is done; what is there already stays.

    Raises ``CommandFailedError`` at the first command that fails. Applying again goes on from there.
    """
    cloud = Cloud(plan.questions)
    for step in plan.steps:
        print(f"{step.about}: {_make(cloud, step)}", flush=True)


def _make(cloud: Cloud, step: Step) -> str:
    if step.is_repeatable or not cloud.succeeds(step.exists):
        cloud.run(step.create)
        return "done"
    if step.update:
        cloud.run(step.update)
        return "updated"
    return "there already"


def destroy(plan: Plan, *, with_data: bool) -> list[str]:
    """Take back every step of ``plan`` in reverse order, saying what is done; return what could not be taken back.

    Buckets, and topics with the subscriptions that hold their messages, go only ``with_data``.
    """
    cloud = Cloud(plan.questions)
    failures = []
    for step in reversed(plan.steps):
        if not step.delete:
            continue
        try:
            outcome = "kept, it holds data" if step.holds_data and not with_data else _take_back(cloud, step)
        except CommandFailedError as error:
            failures.append(str(error))
            outcome = "failed"
        print(f"{step.about}: {outcome}", flush=True)
    return failures


def _take_back(cloud: Cloud, step: Step) -> str:
    if step.exists and not cloud.succeeds(step.exists):
        return "not there"
    try:
        cloud.run(step.delete)
    except CommandFailedError as error:
        # A role cannot be looked for; gcloud says so when there is none to take away.
        if step.exists or "not found" not in str(error).lower():
            raise
        return "not there"
    return "gone"
