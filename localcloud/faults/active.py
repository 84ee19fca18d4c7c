"""The active fault rules, and the choice of the rule that applies to a call, a delivery or a job."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from localcloud.faults.rules import Kill, Rule, parse_rule
from localcloud.faults.targets import (
    CALLS,
    EVENTS,
    JOBS,
    PUSHES,
    Targets,
    targets_of,
)


@dataclass
class _ActiveRule:
    """An active rule with its counters."""

    id: str
    rule: Rule
    targets: Targets
    document: Mapping[str, Any]
    random: random.Random
    matched: int = 0
    applied: int = 0

    def count(self, *, may_apply: bool) -> bool:
        """Count one matching call and return whether the rule applies to it; only one rule of a call may apply."""
        self.matched += 1
        if not may_apply or (self.rule.nth and self.matched not in self.rule.nth):
            return False
        if self.rule.times is not None and self.applied >= self.rule.times:
            return False
        if self.rule.rate < 1 and self.random.random() >= self.rule.rate:
            return False
        self.applied += 1
        return True


@dataclass
class Faults:
    """The active fault rules."""

    callers: Collection[str] = ()
    """The functions that a rule may name as ``caller``."""
    receivers: Collection[str] = ()
    """The functions that a rule may name as ``receiver``: those that receive events."""
    _active: list[_ActiveRule] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last_id: int = 0

    def __bool__(self) -> bool:
        """Return whether any rule is active."""
        return bool(self._active)

    def add(self, documents: Iterable[Any]) -> list[str]:
        """Activate rules and return their ids.

        Args:
            documents: The JSON of each rule.

        Raises:
            RuleError: A rule is invalid; none of the rules is activated.
        """
        parsed = [(*self._parse(document), document) for document in documents]
        with self._lock:
            ids = []
            for rule, targets, document in parsed:
                self._last_id += 1
                ids.append(str(self._last_id))
                self._active.append(_ActiveRule(ids[-1], rule, targets, document, random.Random(rule.seed)))
            return ids

    def has(self, rule: Rule) -> bool:
        """Return whether ``rule`` is still active."""
        with self._lock:
            return any(each.rule is rule for each in self._active)

    def clear(self, rule_id: str | None = None) -> None:
        """Remove the rule with ``rule_id``, or all rules."""
        with self._lock:
            self._active = [each for each in self._active if rule_id is not None and each.id != rule_id]

    def describe(self) -> list[dict[str, Any]]:
        """Return the JSON of each rule, with the number of calls that it matched and that it applied to."""
        with self._lock:
            return [
                {"id": each.id, "rule": each.document, "matched": each.matched, "applied": each.applied}
                for each in self._active
            ]

    def of_call(self, service: str, method: str, caller: Callable[[], str | None]) -> Rule | None:
        """Count a call for each rule that matches it, and return the first rule that applies.

        Args:
            service: The name of the service, such as ``storage``.
            method: The method's id in Google's API description.
            caller: Returns the calling function, or None; called only if a rule depends on it.
        """
        hit: Rule | None = None
        for active in self._matching(CALLS, service, method):
            if _matches_caller(active.rule, caller):
                hit = self._apply(active, hit)
        return hit

    def of_event(self, receiver: str) -> Rule | None:
        """Count a delivery of an event to the function ``receiver``, and return the first rule that applies."""
        hit: Rule | None = None
        for active in self._matching(EVENTS, "eventarc", EVENTS):
            if active.rule.receiver in (None, receiver):
                hit = self._apply(active, hit)
        return hit

    def of_push(self) -> Rule | None:
        """Count a delivery to a push subscription, and return the first rule that applies."""
        hit: Rule | None = None
        for active in self._matching(PUSHES, "pubsub", PUSHES):
            hit = self._apply(active, hit)
        return hit

    def of_job(self) -> Rule | None:
        """Count a BigQuery job that starts, and return the first rule that applies."""
        hit: Rule | None = None
        for active in self._matching(JOBS, "bigquery", JOBS):
            hit = self._apply(active, hit)
        return hit

    def _parse(self, document: Any) -> tuple[Rule, Targets]:
        rule = parse_rule(document)
        return rule, targets_of(rule, document, callers=self.callers, receivers=self.receivers)

    def _matching(self, target: str, service: str, method: str) -> list[_ActiveRule]:
        with self._lock:
            return [each for each in self._active if target in each.targets and each.rule.matches(service, method)]

    def _apply(self, active: _ActiveRule, hit: Rule | None) -> Rule | None:
        with self._lock:
            return active.rule if active.count(may_apply=hit is None) else hit


def _matches_caller(rule: Rule, caller: Callable[[], str | None]) -> bool:
    """Return whether ``rule`` matches calls of this caller."""
    if rule.caller is not None:
        return caller() == rule.caller
    # Only functions can be killed, so a `kill` without a caller matches the calls of all functions and no others.
    return not isinstance(rule.effect, Kill) or caller() is not None
