"""``python -m deploy check``: says whether `apply` can deploy to a project, and changes nothing.

On a local cloud it says whether that has what is declared.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

from declaration.model import Declaration
from deploy.checking.checks import Checks
from deploy.checking.findings import Finding, Status
from deploy.checking.local import LocalChecks
from deploy.cloud import Cloud
from deploy.passing import Patience
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
    return _report(checks, options, "Nothing is in the way of `apply`. Nothing was changed.")


def run_locally(declaration: Declaration, options: argparse.Namespace) -> int:
    """Check the local cloud whose variables are set; return 1 if something is wrong."""
    checks = LocalChecks(declaration, options.project).run()
    return _report(
        checks,
        options,
        "The local cloud has what is declared. The checks that are not made say nothing about Google Cloud. "
        "Nothing was changed.",
    )


def _report(checks: Iterator[Finding], options: argparse.Namespace, if_right: str) -> int:
    """Print a line for each check, and ``if_right`` at the end; return 1 if something is wrong."""
    findings = []
    for finding in checks:
        findings.append(finding)
        if not options.json:
            print(finding, flush=True)
    wrong = sum(finding.status is Status.WRONG for finding in findings)
    if options.json:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))
    elif wrong:
        made = sum(finding.status is not Status.NOT_MADE for finding in findings)
        print(f"{wrong} of {made} checks found something wrong. Nothing was changed.")
    else:
        print(if_right)
    return 1 if wrong else 0
