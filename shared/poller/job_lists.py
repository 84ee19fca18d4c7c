"""Lists the jobs of each service, once for all work that was submitted to it.

The pages of BigQuery's list follow each other, because each leads to the next one. If there are many jobs, the time in which
they were created is divided, and there are several lists at the same time, one for each part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import datetime, timedelta
from itertools import chain
from math import ceil

from shared.cloud.batch_jobs import BatchReport
from shared.cloud.endpoint_calls import OperationReport
from shared.engine.ledger.index import Pending
from shared.engine.services import Services
from shared.errors import ModeldropError, short_reason
from shared.log import log
from shared.poller.due import JobList
from shared.work import System

# A job may be listed a moment before the ledger names it.
_SLACK = timedelta(minutes=10)

# A job that was created before this is looked at by itself.
OLDEST_LISTED = timedelta(days=30)

# How many lists of BigQuery's jobs run at the same time. One user may call a method 100 times a second:
# https://docs.cloud.google.com/bigquery/quotas#api_request_quotas
LISTS = 8
# So many jobs are one page.
PAGE = 1000


def list_jobs(pending: Sequence[Pending], services: Services) -> JobList:
    """Return the jobs of all open work. A service that does not answer is logged; its work is looked at later."""
    batches: dict[str, BatchReport] = {}
    unlisted: set[str] = set()
    for location in sorted({each.location for each in pending if each.system == System.VERTEX.value}):
        try:
            if submitted := [each for each in _submitted(pending, System.VERTEX) if each.location == location]:
                batches |= services.vertex.list_created(_since(submitted, services), location)
        except ModeldropError as error:
            unlisted.add(location)
            log("WARNING", "Vertex AI's jobs could not be listed", location=location, reason=short_reason(error))
    queries = _active_queries(_submitted(pending, System.BIGQUERY), services)
    return JobList(queries, batches, frozenset(unlisted), _operations(pending, services))


def _submitted(pending: Sequence[Pending], system: System) -> list[Pending]:
    return [each for each in pending if each.submitted and each.system == system.value]


def _since(submitted: Sequence[Pending], services: Services) -> datetime:
    """Return when the oldest job that is listed was created."""
    return max(min(each.created for each in submitted), services.now() - OLDEST_LISTED) - _SLACK


def _active_queries(submitted: Sequence[Pending], services: Services) -> frozenset[str] | None:
    """Return the ids of the jobs that wait or run; None if BigQuery does not answer."""
    if not submitted:
        return frozenset()
    times = parts_of_time(_since(submitted, services), [each.written for each in submitted])
    context = copy_context()
    try:
        with ThreadPoolExecutor(len(times)) as pool:
            listed = pool.map(lambda part: context.copy().run(services.bigquery.list_active, *part), times)
            return frozenset(chain.from_iterable(listed))
    except ModeldropError as error:
        log("WARNING", "BigQuery's jobs could not be listed", reason=short_reason(error))
        return None


def _operations(pending: Sequence[Pending], services: Services) -> Mapping[str, OperationReport | None]:
    """Return the state of each operation on an endpoint that is under way. There are few, and each costs one call."""
    found: dict[str, OperationReport | None] = {}
    for name in sorted({each.job_id for each in _submitted(pending, System.OPERATION)}):
        try:
            found[name] = services.endpoints.operation(name)
        except ModeldropError as error:
            log("WARNING", "Vertex AI did not return an operation", reason=short_reason(error))
    return found


def parts_of_time(since: datetime, submitted: Sequence[datetime]) -> list[tuple[datetime, datetime | None]]:
    """Divide the time since then into parts in which about the same number of jobs was created.

    Args:
        since: When the first part begins.
        submitted: About when each job was created. That need not be exact: the parts have no gaps.

    Returns:
        The begin and the end of each part; the last one has no end.
    """
    count = max(1, min(LISTS, ceil(len(submitted) / PAGE)))
    ordered = sorted(submitted)
    bounds = sorted({each for part in range(1, count) if (each := ordered[len(ordered) * part // count]) > since})
    return list(zip([since, *bounds], [*bounds, None], strict=True))
