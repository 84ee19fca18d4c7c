"""``python -m deploy check``: says whether `apply` can deploy to a project, and changes nothing."""

from __future__ import annotations

import argparse
import json

from declaration.model import Declaration
from deploy.checking.checks import Checks
from deploy.checking.findings import Status
from deploy.cloud import Cloud
from deploy.passing import Patience
from deploy.plan import plan


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    command.add_argument("--json", action="store_true", help="print a JSON list of the checks")


def run(declaration: Declaration, options: argparse.Namespace, cloud: Cloud | None = None) -> int:
    """Print a line for each check; return 1 if something is wrong.

    Args:
        declaration: What would be deployed.
        options: The options of the command.
        cloud: Runs the commands; None: the real gcloud, without repeated attempts.
    """
    steps = plan(declaration, options.project)
    cloud = cloud or Cloud(steps.lookups, patience=Patience(limit_seconds=0))
    findings = []
    for finding in Checks(declaration, options.project, steps, cloud).run():
        findings.append(finding)
        if not options.json:
            print(finding, flush=True)
    wrong = sum(finding.status is Status.WRONG for finding in findings)
    if options.json:
        print(json.dumps([finding.as_json() for finding in findings], indent=2))
    elif wrong:
        print(f"{wrong} of {len(findings)} checks found something wrong. Nothing was changed.")
    else:
        print("Nothing is in the way of `apply`. Nothing was changed.")
    return 1 if wrong else 0
