"""The rules of ``POST /faults``: which fault occurs, and when. ``docs/faults.md`` documents them for users."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

SERVICES = ("storage", "bigquery", "vertex", "pubsub", "eventarc", "scheduler")
ANY = "*"

# The reason in an error body when the rule gives none.
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


# What may be beside the effect `status`.
DETAILS = ("reason", "message")


class RuleError(ValueError):
    """An invalid rule; the message names the field and the reason."""


@dataclass(frozen=True)
class Status:
    """Respond with this HTTP status or its gRPC code; a delivery does not reach the function."""

    status: int
    reason: str
    message: str = "A fault rule caused this error."


@dataclass(frozen=True)
class Reset:
    """Break the connection (TCP reset)."""


@dataclass(frozen=True)
class LoseAnswer:
    """Let the call take effect, and close the connection instead of responding."""


@dataclass(frozen=True)
class Delay:
    """Wait before the call takes effect, or before its response is sent."""

    seconds: float


@dataclass(frozen=True)
class Slow:
    """Send the response at this rate."""

    bytes_per_second: float


@dataclass(frozen=True)
class Kill:
    """Kill the calling function's processes."""


@dataclass(frozen=True)
class Duplicate:
    """Deliver twice at the same time."""


@dataclass(frozen=True)
class Reorder:
    """Let this many later deliveries go first."""

    places: int


@dataclass(frozen=True)
class LoseAcknowledgement:
    """Deliver, and ignore the acknowledgement, so that the event is delivered again."""


@dataclass(frozen=True)
class Drop:
    """Never deliver: the event is lost."""


Effect = Status | Reset | LoseAnswer | Delay | Slow | Kill | Duplicate | Reorder | LoseAcknowledgement | Drop

When = Literal["before", "after"]
# Effects on the response, which only exists after the call takes effect.
_ONLY_AFTER = (LoseAnswer, Slow)

LONGEST_DELAY_SECONDS = 365 * 24 * 3600
LARGEST_INTEGER = 1_000_000_000


@dataclass(frozen=True)
class Rule:
    """One fault, and when it occurs."""

    service: str
    effect: Effect
    method: str = ANY
    """A method's name, or a pattern with ``*``."""
    caller: str | None = None
    """The function that calls; the rule applies to calls only."""
    receiver: str | None = None
    """The function that an event is delivered to; the rule applies to events only."""
    nth: frozenset[int] = frozenset()
    """The matching calls that it applies to, counted from 1 since the rule was added; empty means all."""
    times: int | None = None
    """The largest number of calls that it applies to; None means no limit."""
    rate: float = 1
    """The share of the matching calls that it applies to, from 0 to 1."""
    seed: int = 0
    """The seed of the random choice behind ``rate``."""
    when: When = "before"
    """Before the call takes effect (which it then does not), or after; for calls only."""

    def matches(self, service: str, method: str) -> bool:
        """Return whether the rule matches ``method`` of ``service``, regardless of the caller."""
        return self.service in (ANY, service) and fnmatchcase(method, self.method)


def parse_rule(document: Any) -> Rule:
    """Parse the JSON of a rule, each field on its own. Raises ``RuleError``."""
    if not isinstance(document, dict):
        raise RuleError(f"A rule must be an object, not {document!r}.")
    fields = {"service", "method", "caller", "receiver", "nth", "times", "rate", "seed", "when", "do"}
    if unknown := sorted(set(document) - fields):
        shown = unknown[0].encode("ascii", "backslashreplace").decode()
        raise RuleError(f"A rule has no field `{shown}`; the fields are {', '.join(sorted(fields))}.")
    effect = _parse_effect(document.get("do"))
    usual = "after" if isinstance(effect, _ONLY_AFTER) else "before"
    when = _one_of("when", document.get("when", usual), ("before", "after"))
    if isinstance(effect, _ONLY_AFTER) and when == "before":
        raise RuleError(f"`{next(iter(document['do']))}` affects the response, so `when` cannot be `before`.")
    return Rule(
        service=_one_of("service", document.get("service", ANY), (*SERVICES, ANY)),
        effect=effect,
        method=_text("method", document.get("method", ANY)),
        caller=None if document.get("caller") is None else _text("caller", document["caller"]),
        receiver=None if document.get("receiver") is None else _text("receiver", document["receiver"]),
        nth=_parse_nth(document.get("nth")),
        times=None if document.get("times") is None else _integer("times", document["times"]),
        rate=_number("rate", document.get("rate", 1), at_most=1),
        seed=_integer("seed", document.get("seed", 0), at_least=0),
        when=when,
    )


def _parse_effect(document: Any) -> Effect:
    if not isinstance(document, dict):
        raise RuleError('`do` must be an object with one effect, such as {"status": 503}.')
    names = [name for name in document if name not in DETAILS]
    if len(names) != 1 or names[0] not in _EFFECTS:
        raise RuleError(f"`do` must have exactly one of {', '.join(_EFFECTS)}; it is {document!r}.")
    for detail in DETAILS:
        if detail in document and names[0] != "status":
            raise RuleError(f"`do.{detail}` belongs to `status` only.")
    return _EFFECTS[names[0]](f"do.{names[0]}", document)


def _status(place: str, document: Mapping[str, Any]) -> Status:
    status = _integer(place, document["status"])
    if not 400 <= status <= 599:
        raise RuleError(f"`{place}` must be a status from 400 to 599, not {status}.")
    reason = _text("do.reason", document.get("reason", REASONS.get(status, "internalError")))
    return Status(status, reason, _text("do.message", document.get("message", Status.message)))


def _switch(effect: Effect) -> Callable[[str, Mapping[str, Any]], Effect]:
    """Return the parser of an effect whose only value is true."""

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
    "slow_bytes_per_second": lambda place, document: Slow(_integer(place, document["slow_bytes_per_second"])),
    "kill": _switch(Kill()),
    "duplicate": _switch(Duplicate()),
    "reorder": lambda place, document: Reorder(_integer(place, document["reorder"])),
    "lose_acknowledgement": _switch(LoseAcknowledgement()),
    "drop": _switch(Drop()),
}


def _parse_nth(value: Any) -> frozenset[int]:
    if value is None:
        return frozenset()
    if value == []:
        raise RuleError("`nth` must be an integer or a list of at least one.")
    numbers = value if isinstance(value, list) else [value]
    return frozenset(_integer("nth", number) for number in numbers)


def _text(place: str, value: Any) -> str:
    if not isinstance(value, str) or not value or not value.isprintable():
        raise RuleError(f"`{place}` must be a string, not {value!r}.")
    return value


def _one_of(place: str, value: Any, choices: tuple[Any, ...]) -> Any:
    if value not in choices:
        raise RuleError(f"`{place}` must be one of {', '.join(choices)}, not {value!r}.")
    return value


def _integer(place: str, value: Any, *, at_least: int = 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not at_least <= value <= LARGEST_INTEGER:
        raise RuleError(f"`{place}` must be an integer from {at_least} to {LARGEST_INTEGER}, not {value!r}.")
    return value


def _number(place: str, value: Any, *, at_most: int) -> float:
    # The comparison is false for infinity and NaN too.
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= at_most:
        raise RuleError(f"`{place}` must be a number from 0 to {at_most}, not {value!r}.")
    return value
