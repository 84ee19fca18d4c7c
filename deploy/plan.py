"""Turns the declaration into steps: the resources that Google Cloud needs, and the gcloud commands that create them.

An owner of the project creates the ``foundation`` once: APIs, accounts, buckets, topics, roles. Every new version needs
the ``deployment``, which Cloud Build runs: functions with their triggers, retry, dead letters, schedules.
"""

from __future__ import annotations

from declaration.model import Declaration
from deploy import deployment, foundation
from deploy.commands import Commands
from deploy.source import source_hash
from deploy.steps import Plan


def plan(declaration: Declaration, project: str) -> Plan:
    """Return the steps that deploy ``declaration`` to ``project``, in an order that works."""
    commands = Commands(declaration, project)
    return Plan(
        (*foundation.foundation(commands), *deployment.deployment(commands, source_hash())),
        deployment.lookups(commands),
        project=commands.gcloud("projects", "describe", project),
        listings=(*deployment.listings(commands), *foundation.listings(commands)),
        targets=tuple(commands.targets()),
        own_members=frozenset(map(commands.member, declaration.accounts)),
    )
