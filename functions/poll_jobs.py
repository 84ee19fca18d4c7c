"""Cloud Scheduler calls every minute: open work goes on, and what has ended is told."""

from __future__ import annotations

from dataclasses import asdict

import flask
import functions_framework

from shared.engine.services import services
from shared.errors import TryLater
from shared.poller import guarded, reconcile, tick


@functions_framework.http
def poll_jobs(request: flask.Request) -> flask.typing.ResponseReturnValue:
    """Go on with everything that is open.

    Answers 200 with how much there was, how much was handled and how much is left for the next tick; 503 if the ledger
    does not answer, so that Cloud Scheduler tries again.
    """
    if request.method != "POST":
        return {"error": {"code": "method_not_allowed", "message": "send a POST", "field": None}}, 405
    # What goes wrong while drops are looked for must not hold up the jobs: a later tick looks again.
    found = guarded(lambda: reconcile(services()), "reconcile") or 0
    try:
        return {**asdict(tick(services())), "drops_found": found}, 200
    except TryLater as error:
        return {"error": {"code": "try_later", "message": str(error), "field": None}}, 503
