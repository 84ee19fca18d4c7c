"""A plan as a Bash script that people can read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from deploy.planning.steps import DOCUMENT, ETAG, NAME, PLACEHOLDER, Plan, Step, Words, placeholders

_WIDTH = 100
_SPECIAL_IN_QUOTES = re.compile(r'[\\"$`]')
_SPECIAL_IN_DOCUMENTS = re.compile(r"[\\$`]")
_FOUND = frozenset({DOCUMENT, ETAG, NAME})
"""The placeholders that the lines of a step set."""
_STATUS = "STATUS"
"""The variable with the exit status of a step that others complete."""
# `DOCUMENT` is the file that the next command reads.
_DOCUMENTS = """
DOCUMENT=$(mktemp)
trap 'rm -f "${DOCUMENT}"' EXIT
"""
# gcloud exits with 1 for every error, so the script reads the error, as `apply` does (deploy/applying/cloud.py).
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
    if any(step.document for step in plan.steps):
        head.append(_DOCUMENTS.rstrip())
    return "\n".join([*head, *shell_lines(plan.steps, plan.lookups)]) + "\n"


def shell_lines(steps: Iterable[Step], lookups: Mapping[str, Words]) -> Iterator[str]:
    """Yield the lines of a Bash script that runs ``steps``; each lookup runs once, before its first use.

    A step that others complete may fail after its resource exists, so the script ends after those.
    """
    steps = list(steps)
    last = {step.follows: step for step in steps if step.follows is not None}
    done: set[str] = set()
    for step in steps:
        yield ""
        yield f"# {step.about}"
        words = (*step.create, *step.update, step.document, step.update_document)
        yield from _look_up(words, lookups, done)
        yield from _run(step, is_completed=step in last)
        if step in last.values():
            yield f'(( {_STATUS} == 0 )) || exit "${{{_STATUS}}}"'


def _run(step: Step, *, is_completed: bool) -> Iterator[str]:
    if step.is_repeatable:
        command = shell_command(step.create)
        if is_completed:
            yield f"{_STATUS}=0"
            yield f"{command} || {_STATUS}=$?"
        else:
            yield command
        return
    if not step.update:
        yield f"exists {shell_command(step.describe)} ||"
        yield f"  {shell_command(step.create)}"
    else:
        yield from _create_or_update(step)


def _create_or_update(step: Step) -> Iterator[str]:
    if step.is_created_bare:
        yield f"exists {shell_command(step.describe)} ||"
        yield f"  {shell_command(step.create)}"
        yield shell_command(step.update)
        return
    has_own = bool(step.update_document)
    if not has_own:
        yield from _write(step.document)
    if step.is_listed:
        yield _assignment(NAME, step)
        yield f'if [[ -n "${{{NAME}}}" ]]; then'
    else:
        yield f"if exists {shell_command(step.describe)}; then"
    if f"${{{ETAG}}}" in step.update_document:
        yield f"  {_assignment(ETAG, step)}"
    yield from _write(step.update_document)
    yield f"  {shell_command(step.update)}"
    yield "else"
    if has_own:
        yield from _write(step.document)
    yield f"  {shell_command(step.create)}"
    yield "fi"


def _assignment(name: str, step: Step) -> str:
    """Return the line that sets a variable to the field of the same name of the existing resource."""
    words = [f"--format=value({name.lower()})" if word == "--format=json" else word for word in step.describe]
    return f"{name}=$({shell_command(tuple(words))})"


def _write(document: str) -> Iterator[str]:
    """Yield the lines that write the file of a step; none if it needs none."""
    if not document:
        return
    # Bash reads a text after a quoted word as it is.
    is_plain = not PLACEHOLDER.search(document)
    word = "'END_OF_DOCUMENT'" if is_plain else "END_OF_DOCUMENT"
    yield f'cat > "${{{DOCUMENT}}}" <<{word}'
    yield document if is_plain else _escaped(document, _SPECIAL_IN_DOCUMENTS)
    yield "END_OF_DOCUMENT"


def _look_up(words: Words, lookups: Mapping[str, Words], done: set[str]) -> Iterator[str]:
    for name in placeholders(words):
        if name not in done | _FOUND:
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
    return f'"{_escaped(word, _SPECIAL_IN_QUOTES)}"'


def _escaped(text: str, special: re.Pattern[str]) -> str:
    """Return ``text`` so that Bash replaces the placeholders and nothing else; ``special`` matches what it would replace."""
    parts = PLACEHOLDER.split(text)
    # Every second part is the name of a placeholder.
    return "".join(
        f"${{{part}}}" if position % 2 else special.sub(r"\\\g<0>", part) for position, part in enumerate(parts)
    )
