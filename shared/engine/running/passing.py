"""Refusals that pass by themselves, because the deployment is new: the work waits in the ledger, and does not fail.

    code of the refusal        passes within
    `accessDenied`, `vertex_7` `ACCESS_WAIT_SECONDS` after the state bucket was created
    `serviceAgentsMissing`     `AGENT_WAIT` after the work was created

The age of the state bucket is that of the first deployment. To find it out costs one call, and only after a refusal.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.cloud.states import ACCESS_DENIED, NO_SERVICE_AGENTS, VERTEX_ACCESS_DENIED
from shared.engine.services import Services
from shared.errors import Problem
from shared.log import log
from shared.work import Item, WaitReason

AGENT_WAIT = timedelta(hours=1)


def waiting(item: Item, problem: Problem, services: Services) -> Item | None:
    """Return ``item`` waiting for its next try; None if its refusal with ``problem`` is final."""
    now = services.now()
    until = _passes_until(item, problem, services)
    if until is None or until <= now:
        return None
    log("WARNING", "refused; tried again soon", **item.log_fields(), code=problem.code, until=until.isoformat())
    return item.wait(WaitReason.ACCESS, now + timedelta(seconds=services.settings.wait_seconds))


def is_waiting(item: Item, services: Services) -> bool:
    """Return whether the next try of a refused item is not due yet."""
    return item.waits_for is WaitReason.ACCESS and item.not_before is not None and item.not_before > services.now()


def _passes_until(item: Item, problem: Problem, services: Services) -> datetime | None:
    """Return when the refusal is final at the latest; None if it is final."""
    longest = timedelta(seconds=services.settings.access_wait_seconds)
    if problem.code == NO_SERVICE_AGENTS:
        return item.created + AGENT_WAIT
    if problem.code in {ACCESS_DENIED, VERTEX_ACCESS_DENIED} and longest and services.deployed is not None:
        return services.deployed + longest
    return None
