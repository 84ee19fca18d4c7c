"""The rules in force, and the decision which of them a call or a delivery meets."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.faults.aims import (
    CALLS,
    EVENTS,
    JOBS,
    PUSHES,
    Aims,
    aims_of,
)
from localcloud.faults.rules import Kill, Rule, parse_rule


@dataclass
class _Active:
    """A rule in force, with what it has counted."""

    id: str
    rule: Rule
    aims: Aims
    document: Mapping[str, Any]
    chance: random.Random
    matched: int = 0
    applied: int = 0

    def meet(self, *, may_apply: bool) -> bool:
        """Count one matching call and return whether the rule hits it, which only one rule of a call may."""
        self.matched += 1
        if not may_apply or (self.rule.nth and self.matched not in self.rule.nth):
            return False
        if self.rule.times is not None and self.applied >= self.rule.times:
            return False
        if self.rule.rate < 1 and self.chance.random() >= self.rule.rate:
            return False
        self.applied += 1
        return True


@dataclass
class Faults:
    """The rules in force."""

    callers: Collection[str] = ()
    """The functions that a rule can be about."""
    receivers: Collection[str] = ()
    """Those of them that events are delivered to."""
    _active: list[_Active] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _made: int = 0

    def __bool__(self) -> bool:
        """Whether there is any rule."""
        return bool(self._active)

    def add(self, documents: Iterable[Any]) -> list[str]:
        """Put the rules of ``documents`` into force and return their ids. Raises ``RuleError``; then none is."""
        parsed = [(*self._parse(document), document) for document in documents]
        with self._lock:
            ids = []
            for rule, aims, document in parsed:
                self._made += 1
                ids.append(str(self._made))
                self._active.append(_Active(ids[-1], rule, aims, document, random.Random(rule.seed)))
            return ids

    def has(self, rule: Rule) -> bool:
        """Return whether ``rule`` is still in force."""
        with self._lock:
            return any(each.rule is rule for each in self._active)

    def clear(self, rule_id: str | None = None) -> None:
        """Take the rule with ``rule_id`` out of force, or all."""
        with self._lock:
            self._active = [each for each in self._active if rule_id is not None and each.id != rule_id]

    def describe(self) -> list[dict[str, Any]]:
        """Return the rules as they were given, with how many calls each matched and how many it hit."""
        with self._lock:
            return [
                {"id": each.id, "rule": each.document, "matched": each.matched, "applied": each.applied}
                for each in self._active
            ]

    def of_call(self, service: str, method: str, caller: Callable[[], str | None]) -> Rule | None:
        """Count a call for every rule that matches it and return the first that hits it.

        ``caller`` finds out which function calls; it is only asked if a rule wants to know.
        """
        hit: Rule | None = None
        for active in self._matching(CALLS, service, method):
            if _concerns(active.rule, caller):
                hit = self._meet(active, hit)
        return hit

    def of_event(self, receiver: str) -> Rule | None:
        """Count a delivery of an event to the function ``receiver`` and return the first rule that hits it."""
        hit: Rule | None = None
        for active in self._matching(EVENTS, "eventarc", EVENTS):
            if active.rule.receiver in (None, receiver):
                hit = self._meet(active, hit)
        return hit

    def of_push(self) -> Rule | None:
        """Count a delivery of a message to a push subscription and return the first rule that hits it."""
        hit: Rule | None = None
        for active in self._matching(PUSHES, "pubsub", PUSHES):
            hit = self._meet(active, hit)
        return hit

    def of_job(self) -> Rule | None:
        """Count a job of BigQuery that begins and return the first rule that hits it."""
        hit: Rule | None = None
        for active in self._matching(JOBS, "bigquery", JOBS):
            hit = self._meet(active, hit)
        return hit

    def _parse(self, document: Any) -> tuple[Rule, Aims]:
        rule = parse_rule(document)
        return rule, aims_of(rule, document, callers=self.callers, receivers=self.receivers)

    def _matching(self, aim: str, service: str, method: str) -> list[_Active]:
        with self._lock:
            return [each for each in self._active if aim in each.aims and each.rule.matches(service, method)]

    def _meet(self, active: _Active, hit: Rule | None) -> Rule | None:
        with self._lock:
            return active.rule if active.meet(may_apply=hit is None) else hit


def _concerns(rule: Rule, caller: Callable[[], str | None]) -> bool:
    """Return whether ``rule`` is about calls of this caller."""
    if rule.caller is not None:
        return caller() == rule.caller
    # Only functions can be killed, so a `kill` that names none is about any of them and nobody else.
    return not isinstance(rule.effect, Kill) or caller() is not None
