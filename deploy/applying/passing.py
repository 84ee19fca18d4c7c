"""Errors that pass by themselves, and how long `apply` tries again.

A new project, a new account and a new role take effect after some minutes:
https://cloud.google.com/iam/docs/access-change-propagation
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

LIMIT_SECONDS = 600
PAUSES_SECONDS = (5, 10, 20, 30)
"""The pauses between two attempts; the last one repeats."""


DISABLED_API = r"has not been used in project \S+ before or it is disabled"
"""How errors say that an API is not enabled."""


class Passing(NamedTuple):
    """A kind of error that passes."""

    pattern: str
    """A regular expression for a part of the error's text."""
    reason: str
    """What is awaited, as the rest of a sentence that begins with "waits until"."""


PASSING = (
    # https://cloud.google.com/iam/docs/service-accounts-create: an account may be unknown to policies for a minute.
    Passing(r"[Ss]ervice account \S+ does not exist", "the account is known to all services"),
    # https://cloud.google.com/eventarc/docs/troubleshooting
    Passing(
        r"[Pp]ermission denied while using the Eventarc Service Agent", "the role of Eventarc's agent takes effect"
    ),
    Passing(r"may take a few minutes before all necessary permissions are propagated", "new roles take effect"),
    Passing(r"[Ss]ervice agents? (are|is) being provisioned", "Google has created its service agents"),
    # https://cloud.google.com/eventarc/docs/troubleshooting: the agent of Cloud Storage got its role a moment ago.
    Passing(r"unable to publish to Cloud Pub/Sub topics", "the role of Cloud Storage's agent takes effect"),
    # https://cloud.google.com/service-usage/docs/enable-disable
    Passing(DISABLED_API, "the API is enabled everywhere"),
    # https://docs.cloud.google.com/logging/docs/logs-based-metrics/troubleshooting
    Passing(r"Cannot find metric that matches type", "the new metric can be used in alerts"),
    # https://cloud.google.com/iam/docs/retry-strategy
    Passing(r"concurrent policy changes", "another change of the policy has ended"),
    Passing(
        r"RESOURCE_EXHAUSTED|[Qq]uota exceeded for quota metric|status=\[429\]|HTTPError 429",
        "the quota of this minute is free again",
    ),
    Passing(r"\bUNAVAILABLE\b|status=\[503\]|HTTPError 503", "the service answers again"),
    # https://cloud.google.com/functions/docs/troubleshooting
    Passing(r"unable to queue the operation", "another deployment of the function has ended"),
    Passing(r"missing permission on the build service account", "the roles of the account of builds take effect"),
)
"""All errors that pass."""


def passing(error: str) -> Passing | None:
    """Return the kind of ``error`` if it passes by itself."""
    return next((each for each in PASSING if re.search(each.pattern, error)), None)


@dataclass
class Patience:
    """Paces the attempts of a command, and prints what is awaited."""

    limit_seconds: float = LIMIT_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    report: Callable[[str], None] = field(default=lambda line: print(line, flush=True))

    def attempts(self) -> Iterator[Attempt]:
        """Yield attempts; each one after a failure that passes, until the limit."""
        began = self.clock()
        number = 0
        while True:
            attempt = Attempt()
            yield attempt
            if attempt.awaited is None:
                return
            pause = PAUSES_SECONDS[min(number, len(PAUSES_SECONDS) - 1)]
            left = self.limit_seconds - (self.clock() - began)
            if left < pause:
                return
            self.report(f"  waits until {attempt.awaited.reason}; tries again in {pause} s, for {left:.0f} s at most")
            self.sleep(pause)
            number += 1


@dataclass
class Attempt:
    """One attempt of a command."""

    awaited: Passing | None = None
    """Set by the caller if the attempt failed with an error that passes."""
