"""What a check found."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Status(enum.Enum):
    """How a check ended; the value is what is printed."""

    OK = "ok"
    BY_APPLY = "by apply"
    """It is missing, and `apply` creates it."""
    WRONG = "WRONG"
    """`apply` would fail, would touch something that is not ours, or could not make it work."""
    UNKNOWN = "unknown"
    """It cannot be found out."""
    NOT_MADE = "not made"
    """The local cloud does not have what the check is about."""


@dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    """What was checked, such as ``billing``."""
    status: Status
    message: str
    fix: str = ""
    """What to type or to do if it is not right; empty if nothing."""

    def __str__(self) -> str:
        """Return the line for a person."""
        fix = f"\n{'':10}{self.fix}" if self.fix else ""
        return f"{self.status.value:10}{self.check}: {self.message}{fix}"

    def as_json(self) -> dict[str, str]:
        """Return the finding as JSON."""
        return {"check": self.check, "status": self.status.name.lower(), "message": self.message, "fix": self.fix}
