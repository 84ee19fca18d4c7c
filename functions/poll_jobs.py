"""Continues open work and publishes completion events: Cloud Scheduler calls it every minute."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from functools import cache

import flask

from shared.engine.services import Services
from shared.errors import TryLater
from shared.events.edge import http_function
from shared.log import log
from shared.poller.lost_work import report_lost_work
from shared.poller.minutes import poll
from shared.poller.pieces import guarded
from shared.poller.reconciliation import reconcile
from shared.poller.sweep import sweep
from shared.settings import settings


@http_function
def poll_jobs(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Continue everything that is open, and look again while work is open, for a minute at most.

    Returns:
        200 with how much work was open, how much was handled and how much is left for the next tick; 503 if the ledger
        did not answer, so that Cloud Scheduler tries again.
    """
    if request.method != "POST":
        return {"error": {"code": "method_not_allowed", "message": "send a POST", "field": None}}, 405
    at = _services()
    started = at.now()
    # An error while lost drops are looked for must not hold up the jobs: a later tick looks again.
    found = guarded(lambda: reconcile(at), key="reconcile")
    try:
        minute = poll(at, started=started)
    except TryLater as error:
        return {"error": {"code": "try_later", "message": str(error), "field": None}}, 503
    # Open work comes first: these take the time that it leaves, so that the call ends before its timeout.
    until = started + timedelta(seconds=at.settings.poll_budget_seconds)
    guarded(lambda: sweep(at, until), key="sweep")
    if found is not None and at.now() < until:
        guarded(lambda: report_lost_work(at), key="lost work")
    if minute.pending or found is not None:
        # The metrics of `deploy/monitoring/metrics.py` count these records; without open work, one an hour is enough.
        log("INFO", "poll ended", **asdict(minute), seconds=round((at.now() - started).total_seconds(), 1))
    return {**asdict(minute), "drops_found": found or 0}, 200


@cache
def _services() -> Services:
    """Return this process's services, which do not wake the poller, because this is the poller."""
    return Services(replace(settings(), poll_schedule=""))
