"""A step of a deployment: the commands that make one thing so, as data and as a script that a person can read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

Words = tuple[str, ...]
"""A command and its arguments. ``${NAME}`` in one stands for the answer to the question of that name."""

_PLACEHOLDER = re.compile(r"\${([A-Z_]+)}")
_WIDTH = 100


@dataclass(frozen=True)
class Step:
    """One thing that has to be there, and how it is made, looked for, changed and taken away."""

    about: str
    create: Words
    exists: Words = ()
    """Succeeds when the thing is there already. Without it ``create`` may be repeated."""
    update: Words = ()
    """Runs in place of ``create`` when the thing is there; without it nothing does. May be the same command."""
    delete: Words = ()
    """Takes the thing away; without it the thing stays, because others may need it."""
    holds_data: bool = False
    """Whether data is lost when the thing is taken away."""

    @property
    def is_repeatable(self) -> bool:
        """Whether ``create`` may run without a look whether the thing is there."""
        return not self.exists or self.create == self.update


@dataclass(frozen=True)
class Plan:
    """Steps in their order, and the questions whose answers they use, by name."""

    steps: tuple[Step, ...]
    questions: Mapping[str, Words]


def placeholders(words: Words) -> Iterator[str]:
    """Yield the names of the answers that ``words`` use."""
    for word in words:
        yield from _PLACEHOLDER.findall(word)


def fill(words: Words, answers: Mapping[str, str]) -> Words:
    """Return ``words`` with the answers in place of their names."""
    return tuple(_PLACEHOLDER.sub(lambda found: answers[found[1]], word) for word in words)


def shell_script(plan: Plan) -> str:
    """Return ``plan`` as a Bash script that does what ``apply`` does."""
    return "\n".join(["#!/usr/bin/env bash", "set -euo pipefail", *shell_lines(plan.steps, plan.questions)]) + "\n"


def shell_lines(steps: Iterable[Step], questions: Mapping[str, Words]) -> Iterator[str]:
    """Yield the lines of a Bash script that does ``steps``, asking each question before its first use."""
    asked: set[str] = set()
    for step in steps:
        yield ""
        yield f"# {step.about}"
        yield from _ask((*step.create, *step.update), questions, asked)
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


def _ask(words: Words, questions: Mapping[str, Words], asked: set[str]) -> Iterator[str]:
    for name in placeholders(words):
        if name not in asked:
            asked.add(name)
            yield from _ask(questions[name], questions, asked)
            yield f"{name}=$({shell_command(questions[name])})"


def _quietly(words: Words) -> str:
    return f"{shell_command(words)} >/dev/null 2>&1"


def shell_command(words: Words) -> str:
    """Return ``words`` as Bash reads them; a long command has each flag on a line of its own."""
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
    # Every second part is a name; whatever else Bash would read as its own inside double quotes is escaped.
    texts = [
        f"${{{part}}}" if position % 2 else re.sub(r'([\\"$`])', r"\\\1", part) for position, part in enumerate(parts)
    ]
    return f'"{"".join(texts)}"'
