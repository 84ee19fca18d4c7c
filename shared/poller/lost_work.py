"""Finds jobs whose item is missing in the ledger: somebody deleted it, and its index object too.

Every job of Modeldrop carries the key and the kind of its work as labels. Its item is written before the job is submitted, so
a job without an item shows that the item was deleted.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.cloud.batch_jobs import KEY_LABEL, KIND_LABEL
from shared.engine.ledger.decoding import Undecodable, decode
from shared.engine.ledger.index import is_key
from shared.engine.services import Services
from shared.engine.stuck import report_bad_object, report_object
from shared.errors import ModeldropError, Unreadable, short_reason
from shared.events.outgoing import BadObject
from shared.log import log
from shared.poller.damage import ITEM, missing_item
from shared.work import Job, Kind, System

LOST_WORK = "ledger/lost_work.json"

# A query runs for up to 6 hours: https://docs.cloud.google.com/bigquery/quotas#query_jobs
LONGEST_QUERY = timedelta(hours=6)
# More work than this is reported by the next call.
MOST_REPORTS = 100


@dataclass(frozen=True)
class LostWork:
    """The record of what was found."""

    reported: tuple[str, ...] = ()
    """The keys of the work that was reported and still has a job."""
    batches: bool = False
    """Whether there was ever a batch. Without one, Vertex AI is not called."""
    locations: tuple[str, ...] = ()
    """The locations in which batches were seen to run."""


@dataclass(frozen=True)
class _Trace:
    """What a job says of the work that it belongs to."""

    key: str
    kind: str
    job: Job
    created: datetime


def report_lost_work(services: Services) -> int:
    """Publish that work has a job and no item, once for each; return how much was reported."""
    ledger, now = services.ledger, services.now()
    record, generation = _read_record(services)
    # Finished items are deleted after their retention, so older jobs may lack theirs.
    kept_since = now - timedelta(days=services.settings.ledger_retention_days)
    traces = _traces_in_bigquery(services, max(now - LONGEST_QUERY, kept_since))
    locations = set(record.locations)
    if record.batches:
        longest = timedelta(seconds=services.settings.batch_deadline_seconds)
        locations |= {services.settings.vertex_location}
        locations |= {each.location for each in ledger.pending(Kind.BATCH) if each.system == System.VERTEX.value}
        for location in sorted(locations):
            traces += _traces_in_vertex(location, services, max(now - longest, kept_since))
    lost, batches = {trace.key: trace for trace in traces}, record.batches
    # Items are listed after the jobs: each job that was listed had its item before. They are too many to hold in memory.
    for each in ledger.items():
        if each.work is not None:
            kind, key = each.work
            lost.pop(key, None)
            batches = batches or kind is Kind.BATCH
    new = [trace for key, trace in lost.items() if key not in record.reported][:MOST_REPORTS]
    for trace in new:
        bad = BadObject(trace.kind, trace.key, trace.created, job=trace.job)
        report_bad_object(bad, missing_item(trace.job.id), ITEM, services)
    reported = {key for key in record.reported if key in lost} | {trace.key for trace in new}
    after = LostWork(tuple(sorted(reported)), batches, tuple(sorted(locations)))
    if after != record:
        value: dict[str, Any] = {
            name: list(each) if isinstance(each, tuple) else each for name, each in asdict(after).items()
        }
        ledger.objects.write(LOST_WORK, value, generation=generation)
    return len(new)


def _read_record(services: Services) -> tuple[LostWork, int]:
    objects = services.ledger.objects
    try:
        stored = objects.read(LOST_WORK)
        if stored is None:
            return LostWork(), 0
        try:
            return decode(LostWork, stored.value), stored.generation
        except Undecodable as error:
            raise Unreadable(LOST_WORK, stored.generation, str(error)) from None
    except Unreadable as error:
        report_object(error, "Modeldrop replaces it", services)
        return LostWork(batches=True), error.generation


def _traces_in_bigquery(services: Services, since: datetime) -> list[_Trace]:
    try:
        jobs = services.bigquery.list_labelled(since, KEY_LABEL)
    except ModeldropError as error:
        log("WARNING", "BigQuery's jobs could not be listed", reason=short_reason(error))
        return []
    return [
        _Trace(each.labels[KEY_LABEL], each.labels.get(KIND_LABEL, ""), each.job, each.created)
        for each in jobs
        if _is_known(each.labels.get(KEY_LABEL, ""), each.labels.get(KIND_LABEL, ""))
    ]


def _traces_in_vertex(location: str, services: Services, since: datetime) -> list[_Trace]:
    try:
        jobs = services.vertex.list_created(since, location)
    except ModeldropError as error:
        log("WARNING", "Vertex AI's jobs could not be listed", location=location, reason=short_reason(error))
        return []
    return [
        _Trace(each.labels[KEY_LABEL], Kind.BATCH.value, Job(System.VERTEX, name, location), each.created or since)
        for name, each in jobs.items()
        if _is_known(each.labels.get(KEY_LABEL, ""), Kind.BATCH.value)
    ]


def _is_known(key: str, kind: str) -> bool:
    return is_key(key) and kind in set(Kind)
