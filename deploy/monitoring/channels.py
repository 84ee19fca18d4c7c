"""The notification channels of declared e-mail addresses.

Cloud Monitoring chooses the names of channels, so alerts have placeholders for them, which a command looks up:
https://docs.cloud.google.com/monitoring/alerts/using-channels-api
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from declaration.model import Declaration
from deploy.planning.commands import OWNER_LABEL, Commands
from deploy.planning.drift import flattened
from deploy.planning.steps import DOCUMENT, NAME, Listing, Step, Words

CHANNEL = ("beta", "monitoring", "channels")
ADDRESS = "email_address"
"""The label of a channel that has its address."""


def channel_names(declaration: Declaration) -> tuple[str, ...]:
    """Return the names of all channels that alerts notify; that of an address is a placeholder."""
    return (*declaration.alerts.channels, *(f"${{{name}}}" for name in _placeholders(declaration)))


def channels(declaration: Declaration) -> list[dict[str, Any]]:
    """Return each NotificationChannel, with the placeholder that alerts have as its name.

    https://docs.cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.notificationChannels
    """
    return [
        {"name": f"${{{name}}}", **_channel(declaration, address)}
        for name, address in _placeholders(declaration).items()
    ]


def channel_steps(commands: Commands) -> Iterator[Step]:
    """Yield the steps of the channels, which alerts need."""
    for address in _placeholders(commands.declaration).values():
        yield _step(commands, address)


def lookups(commands: Commands) -> dict[str, Words]:
    """Return the commands that print the names of the channels, by their placeholder."""
    return {
        name: commands.gcloud(
            *CHANNEL, "list", _filter(commands.declaration, address), "--limit=1", "--format=value(name)"
        )
        for name, address in _placeholders(commands.declaration).items()
    }


def listing(commands: Commands) -> Listing:
    """Return where to look for channels of addresses that are not declared any more."""
    declaration = commands.declaration
    return Listing(
        "notification channel",
        commands.describe(*CHANNEL, "list", f"--filter={_ours(declaration)}"),
        key=f"labels.{ADDRESS}",
        declared=frozenset(_placeholders(declaration).values()),
        delete=commands.gcloud(*CHANNEL, "delete", f"${{{NAME}}}"),
    )


def _placeholders(declaration: Declaration) -> dict[str, str]:
    """Return the address of each channel by its placeholder. Without alerts there are no channels."""
    addresses = dict.fromkeys(declaration.alerts.emails if declaration.alerts.enabled else ())
    return {f"CHANNEL_{number}": address for number, address in enumerate(addresses, start=1)}


def _channel(declaration: Declaration, address: str) -> dict[str, Any]:
    return {
        "type": "email",
        "displayName": f"{declaration.name.capitalize()}: {address}",
        "labels": {ADDRESS: address},
        "userLabels": {OWNER_LABEL: declaration.name},
        "enabled": True,
    }


def _step(commands: Commands, address: str) -> Step:
    declaration = commands.declaration
    channel = _channel(declaration, address)
    document = f"--channel-content-from-file=${{{DOCUMENT}}}"
    return Step(
        f"notification channel {address}",
        create=commands.gcloud(*CHANNEL, "create", document),
        describe=commands.describe(*CHANNEL, "list", _filter(declaration, address)),
        is_listed=True,
        update=commands.gcloud(*CHANNEL, "update", f"${{{NAME}}}", document),
        delete=commands.gcloud(*CHANNEL, "delete", f"${{{NAME}}}"),
        document=json.dumps(channel, indent=2),
        declared=dict(flattened(channel)),
    )


def _filter(declaration: Declaration, address: str) -> str:
    return f'--filter={_ours(declaration)} AND labels.{ADDRESS}="{address}"'


def _ours(declaration: Declaration) -> str:
    """Return the filter for the channels of ``declaration``."""
    return f'userLabels.{OWNER_LABEL}="{declaration.name}"'
