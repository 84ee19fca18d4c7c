"""A step of a deployment: the commands for one resource, as data and as a shell script that people can read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Words = tuple[str, ...]
"""A command and its arguments. ``${NAME}`` is a placeholder for the output of the lookup of that name."""

_PLACEHOLDER = re.compile(r"\${([A-Z_]+)}")
_WIDTH = 100


@dataclass(frozen=True)
class Step:
    """One resource or role, with the commands that create, find, update and delete it."""

    about: str
    create: Words
    exists: Words = ()
    """Succeeds if the resource exists. If empty, ``create`` can be repeated."""
    update: Words = ()
    """Runs in place of ``create`` if the resource exists; may be the same command. If empty, the resource is kept as it was."""
    delete: Words = ()
    """Deletes the resource. If empty, the resource is kept, because others may need it."""
    holds_data: bool = False
    """Whether deleting the resource loses data."""

    @property
    def is_repeatable(self) -> bool:
        """Whether ``create`` can run without finding out first whether the resource exists."""
        return not self.exists or self.create == self.update


@dataclass(frozen=True)
class Plan:
    """Steps in their order, and the lookups that they use.

    A lookup is a command that prints a name that Google Cloud chooses. Its key is the name of the placeholder.
    """

    steps: tuple[Step, ...]
    lookups: Mapping[str, Words]


def placeholders(words: Words) -> Iterator[str]:
    """Yield the names of the placeholders in ``words``."""
    for word in words:
        yield from _PLACEHOLDER.findall(word)


def fill(words: Words, values: Mapping[str, str]) -> Words:
    """Return ``words`` with ``values`` in place of the placeholders."""
    return tuple(_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in words)


def shell_script(plan: Plan) -> str:
    """Return ``plan`` as a Bash script with the same effect as ``apply``."""
    return "\n".join(["#!/usr/bin/env bash", "set -euo pipefail", *shell_lines(plan.steps, plan.lookups)]) + "\n"


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
            yield f"{_quietly(step.exists)} ||"
            yield f"  {shell_command(step.create)}"
        else:
            yield f"if {_quietly(step.exists)}; then"
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


def _quietly(words: Words) -> str:
    return f"{shell_command(words)} >/dev/null 2>&1"


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
    if not _PLACEHOLDER.search(word):
        return shlex.quote(word)
    parts = _PLACEHOLDER.split(word)
    # Every second part is the name of a placeholder. In the others, characters that are special in double quotes are escaped.
    texts = [
        f"${{{part}}}" if position % 2 else re.sub(r'([\\"$`])', r"\\\1", part) for position, part in enumerate(parts)
    ]
    return f'"{"".join(texts)}"'
