"""Creates the declared resources in the local services, as ``python -m deploy`` does on Google Cloud."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from declaration.model import (
    Declaration,
    HttpTrigger,
    Schedule,
    StorageTrigger,
    TopicTrigger,
)
from localcloud.bigquery.server import BigQuery
from localcloud.config import CloudConfig
from localcloud.eventarc.service import Eventarc
from localcloud.pubsub.broker.broker import Broker
from localcloud.pubsub.broker.resources import RetryPolicy, Subscription
from localcloud.samples.objects import sample_objects
from localcloud.samples.tables import sample_tables
from localcloud.scheduler.service import Scheduler
from localcloud.storage.objects.store import ObjectStore

# The course's lab about film posters creates this connection. Statements that come without it may name it all the same.
SAMPLE_CONNECTION = "us.gemini_conn"


def create_buckets(declaration: Declaration, store: ObjectStore, *, project: str, location: str) -> None:
    """Create the declared buckets that do not exist."""
    for bucket in declaration.buckets.values():
        # As `deploy` creates them.
        settings: dict[str, Any] = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}
        if bucket.soft_delete_seconds is not None:
            settings["softDeletePolicy"] = {"retentionDurationSeconds": bucket.soft_delete_seconds}
        store.ensure_bucket(bucket.name_in(project), location=location.upper(), settings=settings)


def create_topics(declaration: Declaration, broker: Broker, *, project: str) -> None:
    """Create the declared topics, and the subscriptions that hold their messages, that do not exist."""
    for topic in declaration.topics.values():
        name = topic.path(project)
        broker.ensure_topic(name)
        if topic.hold is not None:
            hold = f"projects/{project}/subscriptions/{topic.hold}"
            broker.put_subscription(Subscription(name=hold, topic=name, expiration_seconds=None))


def connect_triggers(
    declaration: Declaration, config: CloudConfig, eventarc: Eventarc, urls: Mapping[str, str]
) -> None:
    """Deliver the events of each function's trigger to its URL."""
    retry = retry_policy(declaration, config)
    for name, function in declaration.functions.items():
        url = urls[name]
        match function.trigger:
            case StorageTrigger(storage=event_type, bucket=key):
                bucket = declaration.buckets[key].name_in(config.project)
                eventarc.connect_storage(function.service, event_type=event_type, bucket=bucket, url=url, retry=retry)
            case TopicTrigger(topic=key):
                topic = declaration.topics[key].path(config.project)
                eventarc.connect_topic(function.service, topic=topic, url=url, retry=retry)
            case HttpTrigger():
                pass  # Its callers use the URL.


def create_schedules(
    declaration: Declaration, config: CloudConfig, scheduler: Scheduler, urls: Mapping[str, str]
) -> None:
    """Create the jobs of the declared schedules."""
    for schedule in declaration.schedules.values():
        scheduler.jobs.create(schedule_job(schedule, config, urls[schedule.function]))


def schedule_job(schedule: Schedule, config: CloudConfig, url: str) -> dict[str, object]:
    """Return the Cloud Scheduler job of ``schedule`` as its REST resource.

    https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs
    """
    return {
        "name": schedule.path(config.project, config.location),
        "schedule": schedule.cron,
        "timeZone": "Etc/UTC",
        "attemptDeadline": f"{schedule.attempt_deadline_seconds}s",
        "httpTarget": {
            "uri": url,
            "httpMethod": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": base64.b64encode(json.dumps(schedule.body).encode()).decode(),
        },
    }


def create_sample_tables(bigquery: BigQuery) -> None:
    """Create the sample tables that do not exist."""
    for sample in sample_tables():
        bigquery.seed_table(sample.table, sample.schema, sample.rows, location=sample.location)


def create_sample_objects(store: ObjectStore) -> None:
    """Create the sample objects that do not exist, and their buckets."""
    for sample in sample_objects():
        store.ensure_bucket(sample.bucket, location="US")
        if not store.list(sample.bucket, sample.name):
            store.write(sample.bucket, sample.name, sample.content, content_type=sample.content_type)


def retry_policy(declaration: Declaration, config: CloudConfig) -> RetryPolicy:
    """Return the declared retry policy, with the shorter delays of the local cloud."""
    return RetryPolicy(
        minimum_backoff_seconds=config.minimum_backoff_seconds,
        maximum_backoff_seconds=config.maximum_backoff_seconds,
        maximum_delivery_attempts=declaration.retry.maximum_delivery_attempts,
        dead_letter_topic=declaration.dead_letters.path(config.project),
    )
