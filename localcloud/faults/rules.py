"""The rules of ``POST /faults``: what can go wrong, and when. ``docs/faults.md`` tells people the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

SERVICES = ("storage", "bigquery", "vertex", "pubsub", "eventarc", "scheduler")
ANY = "*"

# The reason that Google's APIs give with a status when the rule gives none.
# https://cloud.google.com/bigquery/docs/error-messages, https://cloud.google.com/storage/docs/json_api/v1/status-codes
REASONS: Mapping[int, str] = {
    400: "invalid",
    401: "authError",
    403: "forbidden",
    404: "notFound",
    408: "uploadBrokenConnection",
    409: "conflict",
    410: "gone",
    412: "conditionNotMet",
    429: "rateLimitExceeded",
    500: "internalError",
    501: "notImplemented",
    502: "backendError",
    503: "backendError",
    504: "gatewayTimeout",
}


class RuleError(ValueError):
    """A rule that cannot be meant; the message tells a person which field and why."""


@dataclass(frozen=True)
class Status:
    """Answer with this HTTP status, or what it is called in gRPC; instead of the function, if it is a delivery."""

    status: int
    reason: str


@dataclass(frozen=True)
class Reset:
    """Break the connection (TCP reset)."""


@dataclass(frozen=True)
class LoseAnswer:
    """Let the call happen, and close the connection instead of answering."""


@dataclass(frozen=True)
class Delay:
    """Wait: before the call happens, or before its answer is sent."""

    seconds: float


@dataclass(frozen=True)
class Slow:
    """Send the answer at this rate."""

    bytes_per_second: float


@dataclass(frozen=True)
class Kill:
    """Kill the calling function's processes."""


@dataclass(frozen=True)
class Duplicate:
    """Deliver twice."""


@dataclass(frozen=True)
class Reorder:
    """Let this many later deliveries go first."""

    places: int


@dataclass(frozen=True)
class LoseAcknowledgement:
    """Deliver, and take no notice of the acknowledgement, so that it is delivered again."""


@dataclass(frozen=True)
class Drop:
    """Never deliver: the event is lost for good."""


Effect = Status | Reset | LoseAnswer | Delay | Slow | Kill | Duplicate | Reorder | LoseAcknowledgement | Drop

When = Literal["before", "after"]
# What is about the answer, so that it can only come after the effect.
_ONLY_AFTER = (LoseAnswer, Slow)

LONGEST_DELAY_SECONDS = 365 * 24 * 3600
MOST = 1_000_000_000


@dataclass(frozen=True)
class Rule:
    """One thing that goes wrong, and when."""

    service: str
    effect: Effect
    method: str = ANY
    """A method's name, or a pattern with ``*``."""
    caller: str | None = None
    """The function that calls; such a rule is about no deliveries."""
    receiver: str | None = None
    """The function that an event is delivered to; such a rule is about no calls."""
    nth: frozenset[int] = frozenset()
    """Which of the matching calls it hits, counted from 1 since the rule was made; empty: any."""
    times: int | None = None
    """How often at most."""
    rate: float = 1
    """The share of the matching calls that it hits."""
    seed: int = 0
    when: When = "before"
    """Before the call takes effect (which then it does not), or after; for calls only."""

    def matches(self, service: str, method: str) -> bool:
        """Return whether a call of ``method`` of ``service`` counts for this rule, whoever calls."""
        return self.service in (ANY, service) and fnmatchcase(method, self.method)


def parse_rule(document: Any) -> Rule:
    """Make a rule of its JSON, each field by itself. Raises ``RuleError``."""
    if not isinstance(document, dict):
        raise RuleError(f"A rule is an object, not {document!r}.")
    fields = {"service", "method", "caller", "receiver", "nth", "times", "rate", "seed", "when", "do"}
    if unknown := sorted(set(document) - fields):
        shown = unknown[0].encode("ascii", "backslashreplace").decode()
        raise RuleError(f"A rule has no field `{shown}`; it has {', '.join(sorted(fields))}.")
    effect = _parse_effect(document.get("do"))
    usual = "after" if isinstance(effect, _ONLY_AFTER) else "before"
    when = _one_of("when", document.get("when", usual), ("before", "after"))
    if isinstance(effect, _ONLY_AFTER) and when == "before":
        raise RuleError(f"`{next(iter(document['do']))}` is about the answer, so `when` cannot be `before`.")
    return Rule(
        service=_one_of("service", document.get("service", ANY), (*SERVICES, ANY)),
        effect=effect,
        method=_text("method", document.get("method", ANY)),
        caller=None if document.get("caller") is None else _text("caller", document["caller"]),
        receiver=None if document.get("receiver") is None else _text("receiver", document["receiver"]),
        nth=_parse_nth(document.get("nth")),
        times=None if document.get("times") is None else _whole("times", document["times"]),
        rate=_number("rate", document.get("rate", 1), at_most=1),
        seed=_whole("seed", document.get("seed", 0), at_least=0),
        when=when,
    )


def _parse_effect(document: Any) -> Effect:
    if not isinstance(document, dict):
        raise RuleError('`do` is missing: an object with what goes wrong, such as {"status": 503}.')
    names = [name for name in document if name != "reason"]
    if len(names) != 1 or names[0] not in _EFFECTS:
        raise RuleError(f"`do` has exactly one of {', '.join(_EFFECTS)}; it is {document!r}.")
    if "reason" in document and names[0] != "status":
        raise RuleError("`do.reason` belongs to `status` only.")
    return _EFFECTS[names[0]](f"do.{names[0]}", document)


def _status(place: str, document: Mapping[str, Any]) -> Status:
    status = _whole(place, document["status"])
    if not 400 <= status <= 599:
        raise RuleError(f"`{place}` is a status from 400 to 599, not {status}.")
    return Status(status, _text("do.reason", document.get("reason", REASONS.get(status, "internalError"))))


def _switch(effect: Effect) -> Callable[[str, Mapping[str, Any]], Effect]:
    """Return the parser of an effect that is only switched on."""

    def parse(place: str, document: Mapping[str, Any]) -> Effect:
        if document[place.removeprefix("do.")] is not True:
            raise RuleError(f"`{place}` can only be true.")
        return effect

    return parse


_EFFECTS: Mapping[str, Callable[[str, Mapping[str, Any]], Effect]] = {
    "status": _status,
    "reset": _switch(Reset()),
    "lose_answer": _switch(LoseAnswer()),
    "delay_seconds": lambda place, document: Delay(
        _number(place, document["delay_seconds"], at_most=LONGEST_DELAY_SECONDS)
    ),
    "slow_bytes_per_second": lambda place, document: Slow(_whole(place, document["slow_bytes_per_second"])),
    "kill": _switch(Kill()),
    "duplicate": _switch(Duplicate()),
    "reorder": lambda place, document: Reorder(_whole(place, document["reorder"])),
    "lose_acknowledgement": _switch(LoseAcknowledgement()),
    "drop": _switch(Drop()),
}


def _parse_nth(value: Any) -> frozenset[int]:
    if value is None:
        return frozenset()
    if value == []:
        raise RuleError("`nth` is a number or several, not none.")
    numbers = value if isinstance(value, list) else [value]
    return frozenset(_whole("nth", number) for number in numbers)


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise RuleError(f"`{place}` is a text, not {value!r}.")
    return value


def _one_of(place: str, value: Any, choices: tuple[Any, ...]) -> Any:
    if value not in choices:
        raise RuleError(f"`{place}` is one of {', '.join(choices)}, not {value!r}.")
    return value


def _whole(place: str, value: Any, *, at_least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= MOST:
        raise RuleError(f"`{place}` is a whole number from {at_least} to {MOST}, not {value!r}.")
    return value


def _number(place: str, value: Any, *, at_most: int) -> float:
    # Infinity is above every limit, and NaN is between none.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= at_most:
        raise RuleError(f"`{place}` is a number from 0 to {at_most}, not {value!r}.")
    return value
