"""Continues open work and publishes completion events: Cloud Scheduler calls it every minute."""

from __future__ import annotations

from dataclasses import asdict

import flask
import functions_framework

from shared.engine.services import services
from shared.errors import TryLater
from shared.poller.lost_work import report_lost_work
from shared.poller.minutes import poll
from shared.poller.pieces import guarded
from shared.poller.reconciliation import reconcile


@functions_framework.http
def poll_jobs(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Continue everything that is open, and look again while work is open, for a minute at most.

    Returns:
        200 with how much work was open, how much was handled and how much is left for the next tick; 503 if the ledger
        did not answer, so that Cloud Scheduler tries again.
    """
    if request.method != "POST":
        return {"error": {"code": "method_not_allowed", "message": "send a POST", "field": None}}, 405
    # An error while lost drops are looked for must not hold up the jobs: a later tick looks again.
    found = guarded(lambda: reconcile(services()), key="reconcile")
    if found is not None:
        guarded(lambda: report_lost_work(services()), key="lost work")
    try:
        return {**asdict(poll(services())), "drops_found": found or 0}, 200
    except TryLater as error:
        return {"error": {"code": "try_later", "message": str(error), "field": None}}, 503
