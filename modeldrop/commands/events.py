"""``modeldrop events``: the events that were published, and those that are being published."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from modeldrop.commands.common import as_json, reads_project
from modeldrop.history.finding import newest_items, rejections
from modeldrop.project import Project
from shared.events.outgoing import EVENT_TYPES, REJECTED, Event, completion_event
from shared.work import Item, Kind, Outcome

# A subscription that is not deleted, because the machine stopped, expires. One day is the least:
# https://docs.cloud.google.com/pubsub/docs/subscription-properties#expiration_period
EXPIRES_SECONDS = 24 * 60 * 60
PULL_SECONDS = 30.0


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Print the events from now on, until stopped.")
@click.option("-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, help="How many past events.")
@as_json
@reads_project
def events(project: Project, *, follow: bool, number: int, as_json: bool) -> None:
    r"""Print the last events, or those from now on.

    Past events are those of finished work and of rejected requests, which the ledger keeps. With -f, all events are printed as
    they are published, through a subscription of their own that is deleted at the end; no other subscription loses a message.

    \b
    Examples:
      modeldrop events -n 5
      modeldrop events -f --json
    """
    if not follow:
        for event in past_events(project, number):
            _print(event.time.isoformat(timespec="seconds"), event.type, dict(event.data), as_json=as_json)
        return
    # A process that is ended also deletes its subscription.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with following(project) as messages:
        try:
            for time, kind, data in messages:
                _print(time, kind, data, as_json=as_json)
        except KeyboardInterrupt:
            click.echo(err=True)


def past_events(project: Project, number: int) -> list[Event]:
    """Return the last events of finished work and rejected requests, the oldest first."""
    kinds = (Kind.IMPORT, Kind.PREDICT, Kind.BATCH, Kind.MANAGE)
    items, _ = newest_items(project, kinds, number)
    found = [completion_event(item) for item in items if item.final and _has_event(item)]
    found += [event for event in rejections(project, number) if event.type == REJECTED]
    return sorted(found, key=lambda event: event.time)[-number:]


@contextmanager
def following(project: Project) -> Iterator[Iterator[tuple[str, str, dict[str, Any]]]]:
    """Subscribe to the events, and unsubscribe at the end.

    Yields:
        The time, type and data of each event that is published from now on.
    """
    from google.api_core.exceptions import DeadlineExceeded
    from google.cloud import pubsub_v1

    with pubsub_v1.SubscriberClient() as client:
        topic = project.events_topic.rpartition("/")[2]
        name = client.subscription_path(project.name, f"{topic}-follow-{secrets.token_hex(4)}")
        client.create_subscription(
            request={
                "name": name,
                "topic": project.events_topic,
                "message_retention_duration": {"seconds": EXPIRES_SECONDS},
                "expiration_policy": {"ttl": {"seconds": EXPIRES_SECONDS}},
            }
        )

        def messages() -> Iterator[tuple[str, str, dict[str, Any]]]:
            while True:
                try:
                    pulled = client.pull(subscription=name, max_messages=100, timeout=PULL_SECONDS, retry=None)
                except DeadlineExceeded:
                    continue
                for received in pulled.received_messages:
                    message = received.message
                    attributes = message.attributes
                    try:
                        data = json.loads(message.data)
                    except ValueError:
                        data = None
                    # A person may have published anything to the topic.
                    if isinstance(data, dict) and attributes.get("ce-type"):
                        yield attributes.get("ce-time", ""), attributes["ce-type"], data
                if pulled.received_messages:
                    client.acknowledge(subscription=name, ack_ids=[each.ack_id for each in pulled.received_messages])

        try:
            yield messages()
        finally:
            client.delete_subscription(subscription=name)


def _has_event(item: Item) -> bool:
    return item.outcome is Outcome.REJECTED or (item.kind, item.outcome) in EVENT_TYPES


def _print(time: str, kind: str, data: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"time": time, "type": kind, "data": data}, ensure_ascii=False))
        return
    about = (
        data.get("model") or data.get("folder") or data.get("request_id") or data.get("message_id") or data.get("key")
    )
    error = data.get("error") or {}
    reason = f"  {error.get('code')}: {error.get('message')}" if error else ""
    colour = "red" if error else "green"
    click.echo(f"{time[:19]}  {click.style(kind, fg=colour)}  {about}{reason}")
