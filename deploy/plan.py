"""Turns the declaration into steps: the resources that Google Cloud needs, and the gcloud commands that create them.

An owner of the project creates the ``foundation`` once: APIs, accounts, buckets, topics, roles. Every new version needs
the ``deployment``, which Cloud Build runs: functions with their triggers, retry, dead letters, schedules. Metrics, alerts and
the dashboard watch the functions.
"""

from __future__ import annotations

from declaration.model import Declaration
from deploy.monitoring import channels
from deploy.monitoring import resources as monitoring
from deploy.planning import deployment, foundation
from deploy.planning.commands import Commands
from deploy.planning.steps import Plan, Step
from deploy.source import source_hash


def plan(declaration: Declaration, project: str) -> Plan:
    """Return the steps that deploy ``declaration`` to ``project``, in an order that works."""
    commands = Commands(declaration, project)
    return Plan(
        (
            *foundation.foundation(commands),
            *monitoring.metric_steps(commands),
            *deployment.deployment(commands, source_hash()),
            *monitoring.alert_steps(commands),
        ),
        {**deployment.lookups(commands), **channels.lookups(commands)},
        project=commands.gcloud("projects", "describe", project),
        listings=(
            *deployment.listings(commands),
            *foundation.listings(commands),
            *monitoring.listings(commands),
        ),
        targets=tuple(commands.targets()),
        own_members=frozenset(map(commands.member, declaration.accounts)),
    )


def monitoring_plan(declaration: Declaration, project: str) -> Plan:
    """Return the steps of the metrics, the alerts and the dashboard alone."""
    commands = Commands(declaration, project)
    return Plan(
        (
            Step("APIs", commands.gcloud("services", "enable", *monitoring.SERVICES)),
            *monitoring.metric_steps(commands),
            *monitoring.alert_steps(commands),
        ),
        channels.lookups(commands),
        project=commands.gcloud("projects", "describe", project),
        listings=tuple(monitoring.listings(commands)),
    )
