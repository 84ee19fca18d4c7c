"""What a rule is about: calls, deliveries or jobs. A rule that nothing can ever meet is refused."""

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
# What is no call has one method, which is in none of Google's descriptions.
EVENTS = "eventarc.deliver"
PUSHES = "pubsub.push"
JOBS = "bigquery.jobs.run"

Aims = frozenset[str]
"""Some of these four."""

_ALL: Aims = frozenset({CALLS, EVENTS, PUSHES, JOBS})
_CALLS: Aims = frozenset({CALLS})
_DELIVERIES: Aims = frozenset({EVENTS, PUSHES})
_TOLD = {CALLS: "calls", EVENTS: f"events ({EVENTS})", PUSHES: f"pushed messages ({PUSHES})", JOBS: f"jobs ({JOBS})"}

_AIMS_OF_EFFECTS: Mapping[type, Aims] = {
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
_AIMS_OF_SERVICES: Mapping[str, Aims] = {
    ANY: _ALL,
    "storage": _CALLS,
    "bigquery": frozenset({CALLS, JOBS}),
    "vertex": _CALLS,
    "pubsub": frozenset({CALLS, PUSHES}),
    "eventarc": frozenset({EVENTS}),
    "scheduler": _CALLS,
}
_HINTS = {
    ("caller", EVENTS): "; the function that an event is delivered to is its `receiver`",
    ("caller", JOBS): "; which function a job is of is not known",
    ("receiver", CALLS): "; the function that calls is the `caller`",
}


def aims_of(rule: Rule, given: Mapping[str, Any], *, callers: Collection[str], receivers: Collection[str]) -> Aims:
    """Return what ``rule``, which was made of the JSON ``given``, is about.

    ``callers`` are the functions that there are, ``receivers`` those that events are delivered to. Raises ``RuleError``
    if nothing can meet the rule.
    """
    _require_function("caller", rule.caller, callers)
    _require_function("receiver", rule.receiver, receivers)
    effect = next(name for name in given["do"] if name != "reason")
    claims = {
        f"do.{effect}": _AIMS_OF_EFFECTS[type(rule.effect)],
        "service": _AIMS_OF_SERVICES[rule.service],
        "method": _aims_of_method(rule.service, rule.method),
        "caller": _ALL if rule.caller is None else _CALLS,
        "receiver": _ALL if rule.receiver is None else frozenset({EVENTS}),
        "when": _CALLS if "when" in given else _ALL,
    }
    aims, narrowed_by = _ALL, list[str]()
    for field, claim in claims.items():
        if not aims & claim:
            hint = next((_HINTS[field, aim] for aim in sorted(aims) if (field, aim) in _HINTS), "")
            others = " and ".join(narrowed_by)
            raise RuleError(f"`{field}` is about {_told(claim)}, but the rule about {_told(aims)} by {others}{hint}.")
        if not aims <= claim:
            narrowed_by.append(f"`{field}`")
        aims &= claim
    # Who orders errors of all calls does not mean that functions are not reached.
    return _CALLS if isinstance(rule.effect, Status) and CALLS in aims else aims


def _require_function(field: str, name: str | None, functions: Collection[str]) -> None:
    if name is None or name in functions:
        return
    if not functions:
        raise RuleError(f"`{field}` is a function, and here are none.")
    raise RuleError(f"`{field}` is one of {', '.join(functions)}, not {name!r}.")


def _aims_of_method(service: str, method: str) -> Aims:
    """Return what of ``service`` has a name that fits ``method``. Raises ``RuleError`` if nothing has."""
    fitting = {each: _fitting(each, method) for each in SERVICES}
    aims = frozenset[str]().union(*fitting.values()) if service == ANY else fitting[service]
    if aims:
        return aims
    if owners := [each for each in SERVICES if fitting[each]]:
        raise RuleError(f"`method` {method!r} is of {' and '.join(owners)}, and `service` is {service}.")
    known = {name for each in SERVICES for name in _names(each)}
    close = get_close_matches(method, known, 1)
    raise RuleError(
        f"`method` is the name of a method, or a pattern that fits one, not {method!r}"
        + (f"; {close[0]} is one." if close else ".")
    )


def _fitting(service: str, method: str) -> Aims:
    # A pattern is never about jobs: who orders errors of all calls does not mean that no job may succeed.
    if method == ANY:
        return _AIMS_OF_SERVICES[service] - {JOBS}
    names = _names(service)
    if method in names:
        return frozenset({names[method]})
    return frozenset(aim for name, aim in names.items() if aim != JOBS and fnmatchcase(name, method))


@cache
def _names(service: str) -> Mapping[str, str]:
    """Return every name that a method of ``service`` has, with what it is the name of."""
    described = (read_document(document).methods for document in set(DOCUMENTS.get(service, {}).values()))
    names = dict.fromkeys((method.id for methods in described for method in methods), CALLS)
    if service == "pubsub":
        names |= dict.fromkeys(METHODS.values(), CALLS)
    if CALLS in _AIMS_OF_SERVICES[service]:
        names[unknown_method(service)] = CALLS
    return names | {aim: aim for aim in _AIMS_OF_SERVICES[service] if aim != CALLS}


def _told(aims: Aims) -> str:
    return " and ".join(_TOLD[aim] for aim in sorted(aims))
