"""Lets BigQuery's jobs meet the rules that are about them: a job that takes long, or that ends with an error."""

from __future__ import annotations

from datetime import timedelta

from localcloud.base.clock import Clock
from localcloud.bigquery.base.errors import QueryError
from localcloud.bigquery.job.jobs import Job
from localcloud.faults.active import Faults
from localcloud.faults.rules import Delay, Status

LONGEST_PAUSE_SECONDS = 0.5


class JobFaults:
    """What is to happen to each job of BigQuery, by the rules in force. A job is held up no longer than its rule is."""

    def __init__(self, faults: Faults, clock: Clock) -> None:
        self._faults = faults
        self._clock = clock

    def before(self, job: Job) -> None:
        """Hold ``job`` up, or end it by a ``QueryError`` with the reason of its rule."""
        rule = self._faults.of_job() if self._faults else None
        match rule and rule.effect:
            case Delay(seconds=seconds) if rule is not None:
                until = self._clock.now() + timedelta(seconds=seconds)
                while (left := (until - self._clock.now()).total_seconds()) > 0 and self._faults.has(rule):
                    if self._clock.wait(job.stopped, min(left, LONGEST_PAUSE_SECONDS)):
                        return
            case Status(reason=reason):
                raise QueryError("This was ordered by a fault rule.", reason=reason)
