"""A plan as a Bash script that people can read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from deploy.steps import PLACEHOLDER, Plan, Step, Words, placeholders

_WIDTH = 100
# gcloud exits with 1 for every error, so the script reads the error, as `apply` does (deploy/cloud.py).
_EXISTS = r"""
# Succeeds if the resource exists. Any error but "not found" ends the script.
exists() {
  local answer
  answer=$("$@" 2>&1 >/dev/null) && return
  grep -qE '%s' <<<"${answer}" && return 1
  echo "${answer}" >&2
  exit 1
}
"""


def script_head(not_found: str) -> str:
    """Return the functions of a script; ``not_found`` is the pattern of the error for what does not exist."""
    return (_EXISTS % not_found).rstrip()


def shell_script(plan: Plan, not_found: str) -> str:
    """Return ``plan`` as a Bash script; ``not_found`` is the pattern of the error for what does not exist."""
    head = ["#!/usr/bin/env bash", "set -euo pipefail", script_head(not_found)]
    return "\n".join([*head, *shell_lines(plan.steps, plan.lookups)]) + "\n"


def shell_lines(steps: Iterable[Step], lookups: Mapping[str, Words]) -> Iterator[str]:
    """Yield the lines of a Bash script that runs ``steps``; each lookup runs once, before its first use."""
    done: set[str] = set()
    for step in steps:
        yield ""
        yield f"# {step.about}"
        yield from _look_up((*step.create, *step.update), lookups, done)
        if step.is_repeatable:
            yield shell_command(step.create)
        elif not step.update:
            yield f"exists {shell_command(step.describe)} ||"
            yield f"  {shell_command(step.create)}"
        else:
            yield f"if exists {shell_command(step.describe)}; then"
            yield f"  {shell_command(step.update)}"
            yield "else"
            yield f"  {shell_command(step.create)}"
            yield "fi"


def _look_up(words: Words, lookups: Mapping[str, Words], done: set[str]) -> Iterator[str]:
    for name in placeholders(words):
        if name not in done:
            done.add(name)
            yield from _look_up(lookups[name], lookups, done)
            yield f"{name}=$({shell_command(lookups[name])})"


def shell_command(words: Words) -> str:
    """Return ``words`` as a Bash command; a long command has each flag on its own line."""
    quoted = [_quote(word) for word in words]
    line = " ".join(quoted)
    if len(line) <= _WIDTH:
        return line
    return " ".join(f"\\\n    {word}" if word.startswith("--") else word for word in quoted)


def _quote(word: str) -> str:
    flag, equals, value = word.partition("=")
    if equals and flag.startswith("--"):
        return f"{flag}={_quote(value)}"
    if not PLACEHOLDER.search(word):
        return shlex.quote(word)
    parts = PLACEHOLDER.split(word)
    # Every second part is the name of a placeholder. In the others, characters that are special in double quotes are escaped.
    texts = [
        f"${{{part}}}" if position % 2 else re.sub(r'([\\"$`])', r"\\\1", part) for position, part in enumerate(parts)
    ]
    return f'"{"".join(texts)}"'
