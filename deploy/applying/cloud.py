"""Runs gcloud commands: reads what exists, waits for what passes, and looks up names once."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from deploy.applying.advice import Advice, advise
from deploy.applying.passing import Patience, passing
from deploy.planning.drift import Difference, differences
from deploy.planning.script import shell_command
from deploy.planning.steps import DOCUMENT, Grant, Step, Target, Words, fill, placeholders

NOT_FOUND = r"NOT_FOUND: |not found: 404\.|status=\[404\]|Cannot find service \["
"""How the errors of gcloud's `describe` commands say that a resource does not exist. Every other error is a failure: a denied
call does not mean that nothing is there. A test runs each command of a plan with the real gcloud."""

Runner = Callable[[Words], "subprocess.CompletedProcess[str]"]
"""Runs a command and returns its output."""
Resource = Mapping[str, Any]
"""A resource as a `describe` command prints it."""


class CommandFailedError(RuntimeError):
    """A command failed; the message is the command, its error output, and what to do about it."""

    def __init__(self, message: str, advice: Advice | None = None) -> None:
        """Describe the error, with ``advice`` if it is a known one."""
        more = (f"What is wrong: {advice.meaning}", f"What to do: {advice.fix}") if advice else ()
        super().__init__("\n".join((message, *more)))
        self.advice = advice


class NotFoundError(CommandFailedError):
    """A command failed because a resource does not exist."""


def run_process(words: Words) -> subprocess.CompletedProcess[str]:
    """Run a command as a process.

    Without input gcloud fails with a message in place of waiting for an answer. A program that is not installed is an error
    of the command, as in a shell.
    """
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        text = f"ERROR: {words[0]} is not installed, or is not in the PATH"
        return subprocess.CompletedProcess(words, 127, "", text)


class Cloud:
    """Runs the commands of a plan."""

    def __init__(
        self, lookups: Mapping[str, Words], *, runner: Runner = run_process, patience: Patience | None = None
    ) -> None:
        """Use ``lookups``, commands by the name of their placeholder.

        Args:
            lookups: The commands.
            runner: Runs a command.
            patience: Paces repeated attempts.
        """
        self._lookups = lookups
        self._runner = runner
        self._patience = patience or Patience()
        self._values: dict[str, str] = {}
        self._policies: dict[Target, list[Resource]] = {}

    def run(self, words: Words) -> str:
        """Run a command, again after errors that pass, and return its output.

        Raises:
            NotFoundError: The command says that a resource does not exist.
            CommandFailedError: The command failed otherwise.
        """
        filled = self.fill(words)
        for attempt in self._patience.attempts():
            done = self._runner(filled)
            attempt.awaited = passing(done.stderr) if done.returncode != 0 else None
        return self._output(filled, done)

    def run_with(self, words: Words, document: str) -> str:
        """Run a command that reads ``document`` from a file; empty: it reads none.

        Raises:
            CommandFailedError: The command failed.
        """
        if not document:
            return self.run(words)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".json") as file:
            file.write(self.fill((document,))[0])
            file.flush()
            return self.run(fill(words, {DOCUMENT: file.name}))

    def fill(self, words: Words) -> Words:
        """Return ``words`` with the output of their lookups; each lookup runs at most once."""
        for name in placeholders(words):
            if name not in self._values:
                self._values[name] = self._look_up(name)
        return fill(words, self._values)

    def find(self, words: Words) -> Resource | None:
        """Return what a `describe` command prints as JSON, or the first of what a `list` command prints.

        Returns:
            The resource; None if it does not exist.

        Raises:
            CommandFailedError: The command failed for any other reason, such as a missing permission.
        """
        try:
            found = self.read(words)
        except NotFoundError:
            return None
        if isinstance(found, list):
            return found[0] if found else None
        return found if isinstance(found, dict) else {}

    def read(self, words: Words) -> Any:
        """Return what a command prints as JSON."""
        output = self.run(words)
        try:
            return json.loads(output or "{}")
        except ValueError as error:
            raise CommandFailedError(f"{shell_command(words)}\nprinted text that is not JSON: {error}") from error

    def policy(self, target: Target) -> list[Resource]:
        """Return the bindings of the policy of ``target``; it is read once."""
        if target not in self._policies:
            self._policies[target] = self.read(target.read()).get("bindings", [])
        return self._policies[target]

    def is_granted(self, grant: Grant) -> bool:
        """Return whether a grant is in the policy of its target."""
        (member,) = self.fill((grant.member,))
        return any(
            binding["role"] == grant.role
            and member in binding.get("members", [])
            and (binding.get("condition") or {}).get("expression", "") == grant.condition
            for binding in self.policy(grant.target)
        )

    def drift(self, step: Step, found: Resource) -> list[Difference]:
        """Return where a resource differs from what ``step`` declares."""
        declared = {
            path: self.fill((value,))[0] if isinstance(value, str) else value for path, value in step.declared.items()
        }
        return list(differences(declared, found))

    def _look_up(self, name: str) -> str:
        value = self.run(self._lookups[name])
        if not value:
            command = shell_command(self._lookups[name])
            raise NotFoundError(f"{command}\nprinted nothing; expected a name")
        return value

    def _output(self, words: Words, done: subprocess.CompletedProcess[str]) -> str:
        if done.returncode == 0:
            return done.stdout.strip()
        kind = NotFoundError if re.search(NOT_FOUND, done.stderr) else CommandFailedError
        raise kind(f"{shell_command(words)}\n{done.stderr.strip()}", advise(done.stderr, words))


def reason(error: CommandFailedError) -> str:
    """Return the line of the error that says most: that with ERROR, or the last one; the lines before are the command."""
    lines = [line.strip() for line in str(error.args[0]).splitlines() if line.strip() and not line.startswith("- ")]
    lines = [line for line in lines if not line.startswith(("What is wrong: ", "What to do: "))]
    return next((line for line in lines if "ERROR" in line), lines[-1])[:300]
