"""Writes cloudbuild.yaml: lint and tests, then every function with its trigger, then retry, callers and schedules."""

from __future__ import annotations

from typing import Any

import yaml

from declaration.model import Declaration
from deploy.plan import Planner
from deploy.steps import shell_lines

HEADER = """\
# Generated from deploy/functions.yaml by `python -m deploy cloudbuild > cloudbuild.yaml`; a test compares them.
# To run it: gcloud builds submit --region={region} --config=cloudbuild.yaml
# Before the first build, run `python -m deploy apply`, which creates accounts, buckets and topics.
"""
# Cloud Build replaces this with its own project:
# https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
PROJECT = "$PROJECT_ID"
TEST_IMAGE = "python:3.12"
GCLOUD_IMAGE = "gcr.io/google.com/cloudsdktool/cloud-sdk:slim"


def cloudbuild_yaml(declaration: Declaration) -> str:
    """Return the text of cloudbuild.yaml."""
    build = yaml.dump(cloudbuild(declaration), Dumper=_Dumper, sort_keys=False, width=1000)
    return HEADER.format(region=declaration.region) + build


def cloudbuild(declaration: Declaration) -> dict[str, Any]:
    """Return the build as data.

    A build that runs as a user-specified account must set its logging:
    https://cloud.google.com/build/docs/securing-builds/configure-user-specified-service-accounts
    """
    build_account = declaration.accounts["build"].email(PROJECT)
    return {
        "steps": [
            {"id": "test", "name": TEST_IMAGE, "entrypoint": "make", "args": ["lint", "test"]},
            *_functions(declaration),
            _callers(declaration),
        ],
        "timeout": "3600s",
        "serviceAccount": f"projects/{PROJECT}/serviceAccounts/{build_account}",
        "options": {"logging": "CLOUD_LOGGING_ONLY", "machineType": "E2_HIGHCPU_8"},
    }


def _functions(declaration: Declaration) -> list[dict[str, Any]]:
    planner = Planner(declaration, PROJECT)
    return [
        {
            "id": function.service,
            "name": GCLOUD_IMAGE,
            "entrypoint": "gcloud",
            "args": list(planner.function(name).create[1:]),
            # Only the first step: the functions are deployed side by side.
            "waitFor": ["test"],
        }
        for name, function in declaration.functions.items()
    ]


def _callers(declaration: Declaration) -> dict[str, Any]:
    planner = Planner(declaration, PROJECT)
    functions = {planner.function(name) for name in declaration.functions}
    others = [step for step in planner.deployment() if step not in functions]
    script = "\n".join(["set -euo pipefail", *shell_lines(others, planner.lookups())]) + "\n"
    return {
        "id": "callers-retry-schedules",
        "name": GCLOUD_IMAGE,
        "entrypoint": "bash",
        # Cloud Build reads `$` as the start of a substitution; `$$` is a `$` for the shell.
        "args": ["-c", script.replace("$", "$$").replace(f"${PROJECT}", PROJECT)],
        "waitFor": [function.service for function in declaration.functions.values()],
    }


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and indents lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
