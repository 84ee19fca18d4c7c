"""Applies fault rules to BigQuery's jobs: a job takes longer, or ends with an error."""

from __future__ import annotations

from datetime import timedelta

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import Job
from localcloud.faults.active import Faults
from localcloud.faults.rules import Delay, Status

CHECK_RULE_SECONDS = 0.5
"""How often a delayed job checks whether its rule is still active."""


class JobFaults:
    """Delays or fails each BigQuery job as the active rules require. A delay ends when its rule is removed."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        """Apply the rules of ``faults``; delays follow ``clock``."""
        self._faults = faults
        self._clock = clock

    def before(self, job: Job) -> None:
        """Delay ``job`` before it runs, or raise ``QueryError`` with the reason of its rule."""
        rule = self._faults.of_job() if self._faults else None
        match rule and rule.effect:
            case Delay(seconds=seconds) if rule is not None:
                until = self._clock.now() + timedelta(seconds=seconds)
                while (left := (until - self._clock.now()).total_seconds()) > 0 and self._faults.has(rule):
                    if self._clock.wait(job.stopped, min(left, CHECK_RULE_SECONDS)):
                        return
            case Status(reason=reason, message=message):
                raise QueryError(message, reason=reason)
