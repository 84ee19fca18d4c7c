"""The targets of a fault rule: calls, deliveries or jobs. A rule that can never apply is rejected."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from localcloud.apis.discovery import DOCUMENTS, read_document, unknown_method
from localcloud.apis.rpc_names import METHODS
from localcloud.faults.rules import (
    ANY,
    DETAILS,
    SERVICES,
    Delay,
    Drop,
    Duplicate,
    Kill,
    LoseAcknowledgement,
    LoseAnswer,
    Reorder,
    Reset,
    Rule,
    RuleError,
    Slow,
    Status,
)

CALLS = "calls"
# The other targets have one method each, which Google's API descriptions do not contain.
EVENTS = "eventarc.deliver"
PUSHES = "pubsub.push"
JOBS = "bigquery.jobs.run"

Targets = frozenset[str]
"""A subset of these four."""

_ALL: Targets = frozenset({CALLS, EVENTS, PUSHES, JOBS})
_CALLS: Targets = frozenset({CALLS})
_DELIVERIES: Targets = frozenset({EVENTS, PUSHES})
_LABELS = {CALLS: "calls", EVENTS: f"events ({EVENTS})", PUSHES: f"pushed messages ({PUSHES})", JOBS: f"jobs ({JOBS})"}

_TARGETS_OF_EFFECTS: Mapping[type, Targets] = {
    Status: _ALL,
    Delay: _ALL,
    Reset: _CALLS,
    LoseAnswer: _CALLS,
    Slow: _CALLS,
    Kill: _CALLS,
    Duplicate: _DELIVERIES,
    Reorder: _DELIVERIES,
    LoseAcknowledgement: _DELIVERIES,
    Drop: _DELIVERIES,
}
_TARGETS_OF_SERVICES: Mapping[str, Targets] = {
    ANY: _ALL,
    "storage": _CALLS,
    "bigquery": frozenset({CALLS, JOBS}),
    "vertex": _CALLS,
    "pubsub": frozenset({CALLS, PUSHES}),
    "eventarc": frozenset({EVENTS}),
    "scheduler": _CALLS,
}
_HINTS = {
    ("caller", EVENTS): "; use `receiver` for the function that an event is delivered to",
    ("caller", JOBS): "; the function that submitted a job is not known",
    ("receiver", CALLS): "; use `caller` for the function that calls",
}


def targets_of(
    rule: Rule, document: Mapping[str, Any], *, callers: Collection[str], receivers: Collection[str]
) -> Targets:
    """Return the targets of a rule.

    Args:
        rule: The rule.
        document: The JSON of the rule.
        callers: The names of all functions.
        receivers: The names of the functions that receive events.

    Raises:
        RuleError: The rule can never apply.
    """
    _require_function("caller", rule.caller, callers)
    _require_function("receiver", rule.receiver, receivers)
    effect = next(name for name in document["do"] if name not in DETAILS)
    targets_by_field = {
        f"do.{effect}": _TARGETS_OF_EFFECTS[type(rule.effect)],
        "service": _TARGETS_OF_SERVICES[rule.service],
        "method": _targets_of_method(rule.service, rule.method),
        "caller": _ALL if rule.caller is None else _CALLS,
        "receiver": _ALL if rule.receiver is None else frozenset({EVENTS}),
        "when": _CALLS if "when" in document else _ALL,
    }
    targets, narrowed_by = _ALL, list[str]()
    for field, allowed in targets_by_field.items():
        if not targets & allowed:
            hint = next((_HINTS[field, target] for target in sorted(targets) if (field, target) in _HINTS), "")
            others = " and ".join(narrowed_by)
            raise RuleError(
                f"`{field}` applies to {_list(allowed)}, but the rule applies to {_list(targets)} because of {others}{hint}."
            )
        if not targets <= allowed:
            narrowed_by.append(f"`{field}`")
        targets &= allowed
    # A rule that makes all calls fail does not also reject deliveries to functions.
    return _CALLS if isinstance(rule.effect, Status) and CALLS in targets else targets


def _require_function(field: str, name: str | None, functions: Collection[str]) -> None:
    if name is None or name in functions:
        return
    if not functions:
        raise RuleError(f"`{field}` must name a function, but no functions are running.")
    raise RuleError(f"`{field}` must be one of {', '.join(functions)}, not {name!r}.")


def _targets_of_method(service: str, method: str) -> Targets:
    """Return the targets of ``service`` whose names match ``method``. Raises ``RuleError`` if none does."""
    matching = {each: _matching(each, method) for each in SERVICES}
    targets = frozenset[str]().union(*matching.values()) if service == ANY else matching[service]
    if targets:
        return targets
    if owners := [each for each in SERVICES if matching[each]]:
        raise RuleError(f"`method` {method!r} belongs to {' and '.join(owners)}, but `service` is {service}.")
    known = {name for each in SERVICES for name in _names(each)}
    close = get_close_matches(method, known, 1)
    raise RuleError(
        f"`method` must be the name of a method, or a pattern that matches one, not {method!r}"
        + (f"; did you mean {close[0]}?" if close else ".")
    )


def _matching(service: str, method: str) -> Targets:
    # A pattern never matches jobs: a rule that makes all calls fail does not also make every job fail.
    if method == ANY:
        return _TARGETS_OF_SERVICES[service] - {JOBS}
    names = _names(service)
    if method in names:
        return frozenset({names[method]})
    return frozenset(target for name, target in names.items() if target != JOBS and fnmatchcase(name, method))


@cache
def _names(service: str) -> Mapping[str, str]:
    """Return the method names of ``service``, each with its target."""
    described = (read_document(document).methods for document in set(DOCUMENTS.get(service, {}).values()))
    names = dict.fromkeys((method.id for methods in described for method in methods), CALLS)
    if service == "pubsub":
        names |= dict.fromkeys(METHODS.values(), CALLS)
    if CALLS in _TARGETS_OF_SERVICES[service]:
        names[unknown_method(service)] = CALLS
    return names | {target: target for target in _TARGETS_OF_SERVICES[service] if target != CALLS}


def _list(targets: Targets) -> str:
    return " and ".join(_LABELS[target] for target in sorted(targets))
