"""``python -m deploy check``: says whether `apply` can deploy to a project, and changes nothing.

On a local cloud it says whether that has what is declared.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from declaration.model import Declaration
from deploy.applying.cloud import Cloud
from deploy.applying.passing import Patience
from deploy.checking.checks import Checks
from deploy.checking.findings import Finding, Status
from deploy.checking.local import LocalChecks
from deploy.plan import plan


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument("--json", action="store_true", help="print a JSON list of the checks")


def run(declaration: Declaration, options: argparse.Namespace, cloud: Cloud | None = None) -> int:
    """Check a project of Google Cloud; return 1 if something is wrong.

    Args:
        declaration: What would be deployed.
        options: The options of the command.
        cloud: Runs the commands; None: the real gcloud, without repeated attempts.
    """
    steps = plan(declaration, options.project)
    cloud = cloud or Cloud(steps.lookups, patience=Patience(limit_seconds=0))
    checks = Checks(declaration, options.project, steps, cloud).run()
    return _report(checks, options, "Nothing is in the way of `apply`")


def run_locally(declaration: Declaration, options: argparse.Namespace) -> int:
    """Check the local cloud whose variables are set; return 1 if something is wrong."""
    checks = LocalChecks(declaration, options.project).run()
    return _report(checks, options, "The local cloud has what is declared")


def _report(checks: Iterator[Finding], options: argparse.Namespace, right: str) -> int:
    """Print a line for each check, and ``right`` at the end if nothing is wrong; return 1 if something is."""
    findings = []
    for finding in checks:
        findings.append(finding)
        if not options.json:
            print(finding, flush=True)
    if options.json:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))
    else:
        print(_summary(findings, right))
    return 1 if any(finding.status is Status.WRONG for finding in findings) else 0


def _summary(findings: Sequence[Finding], right: str) -> str:
    count = Counter(finding.status for finding in findings)
    made = len(findings) - count[Status.NOT_MADE]
    if count[Status.WRONG]:
        return f"{count[Status.WRONG]} of {made} checks found something wrong. Nothing was changed."
    limits = []
    if count[Status.UNKNOWN]:
        limits.append(f"{count[Status.UNKNOWN]} of {made} checks could not find out")
    if count[Status.NOT_MADE]:
        limits.append(f"{count[Status.NOT_MADE]} were not made, so that nothing is known about Google Cloud")
    return f"{right}{''.join(f'; {limit}' for limit in limits)}. Nothing was changed."
