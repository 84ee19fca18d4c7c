"""The errors that the functions raise on purpose, and what each one leads to.

    ModeldropError
     ├─ Rejected              The request is wrong and stays wrong. The message is acknowledged, and
     │                        modeldrop.request.rejected.v1 is published.
     ├─ TryLater              A service does not answer, fails, or has no quota left. The event is delivered again,
     │   │                    or the poller continues the work.
     │   └─ OutcomeUnknown    The same, and the call may have taken effect. It must not simply be repeated.
     ├─ LostRace              Another call changed the ledger first. This call stops, the other one continues.
     └─ Unreadable            An object of the ledger cannot be read. It stays as it is and is reported as stuck once;
                              all other work continues. A request about it is rejected.

Every other exception is a bug: Pub/Sub delivers the event again, and after a few attempts it becomes a dead letter.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_REASON = 300


@dataclass(frozen=True)
class Problem:
    """What went wrong, as events publish it."""

    code: str
    """A short name for programs: `invalid_field`, `model_not_found`, or the reason that the service gives."""
    message: str
    """What is wrong and what would be right, for people."""
    field: str | None = None
    """The dotted path of the wrong field in the request."""

    def as_json(self) -> dict[str, str | None]:
        """Return the problem as the ``error`` object of an event."""
        return {"code": self.code, "message": self.message, "field": self.field}


class ModeldropError(Exception):
    """The base class of every error that is raised on purpose."""


class Rejected(ModeldropError):
    """The request is wrong: it is not run and not tried again, and its sender gets a rejection event."""

    def __init__(self, message: str, *, field: str | None = None, code: str = "invalid_request") -> None:
        """Create the error with the problem that its event publishes."""
        super().__init__(message)
        self.problem = Problem(code, message, field)


class TryLater(ModeldropError):
    """A service does not answer, fails, or has no quota left: the same call is made again later."""


class OutcomeUnknown(TryLater):
    """A submission was sent and its outcome is unknown: it must not simply be sent again."""


class LostRace(ModeldropError):
    """Another call changed the ledger since it was read: that call continues the work, this one stops."""


class Unreadable(ModeldropError):
    """An object of the ledger is damaged, or was written by a newer version: it stays, and is reported as stuck."""

    def __init__(self, name: str, generation: int, reason: str, *, request_id: str | None = None) -> None:
        """Create the error.

        Args:
            name: The name of the object.
            generation: The generation that was read.
            reason: What is wrong with it, without its content: "it is not JSON".
            request_id: The caller's id of the work that the object is about, if that can be read.
        """
        super().__init__(f"the object {name} of the state bucket cannot be read: {reason}")
        self.name = name
        self.generation = generation
        self.reason = reason
        self.request_id = request_id


def short_reason(error: BaseException | str) -> str:
    """Return an error's text on one line of at most 300 characters, for a log or for an error of ours.

    The texts of foreign errors may be as long as a page.
    """
    return " ".join(str(error).split())[:LONGEST_REASON]
