"""Every error that the functions raise on purpose, and what each leads to.

    ModeldropError
     ├─ Rejected      the request is wrong and stays wrong: acknowledged, one modeldrop.request.rejected.v1
     ├─ TryLater      the world is not ready: the event is refused and comes again, or the poller goes on
     │   └─ Unknown   as above, and nobody knows whether a submission took effect
     └─ LostRace      somebody else changed the ledger first: this call stops, the other one goes on

Any other exception is a bug: the event is refused, comes again, and ends in the dead letters after a few attempts.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What went wrong, as events tell it."""

    code: str
    """A short name that programs can compare: `invalid_field`, `model_not_found`, or the service's own reason."""
    message: str
    """What was wrong and what would be right, for a person."""
    field: str | None = None
    """The field of the request that it is about, as a dotted path."""

    def as_json(self) -> dict[str, str | None]:
        return {"code": self.code, "message": self.message, "field": self.field}


class ModeldropError(Exception):
    """The base of every error that is raised on purpose."""


class Rejected(ModeldropError):
    """The request is wrong: nothing is run, the sender is told, and it is not tried again."""

    def __init__(self, message: str, *, field: str | None = None, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.problem = Problem(code, message, field)


class TryLater(ModeldropError):
    """A service did not answer, refused for its quota or failed: the same is done again later."""


class Unknown(TryLater):
    """A submission was sent and its outcome is not known: it may not simply be sent again."""


class LostRace(ModeldropError):
    """The ledger was changed by somebody else since it was read: they go on, this call stops."""
