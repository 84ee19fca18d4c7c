"""Writes cloudbuild.yaml, which deploys a new version, and cloudbuild-test.yaml, which tests one.

These are two builds, because all steps of a build have the rights of the build's account: tests run code of many packages, and
the account of the test build may only write its log.
"""

from __future__ import annotations

from typing import Any

import yaml

from declaration.model import Declaration
from declaration.reading import DeclarationError
from deploy.applying.cloud import NOT_FOUND
from deploy.planning.commands import Commands
from deploy.planning.deployment import SOURCE_HASH, deployment, lookups
from deploy.planning.script import script_head, shell_lines
from deploy.planning.steps import Step

HEADER = """\
# Generated from deploy/functions.yaml by `python -m deploy{environment} cloudbuild{option} > {file}`; a test compares them.
# To run it: gcloud builds submit --region={region} --config={file}
# Before the first build, and after changes of anything but functions and schedules, run `python -m deploy{environment} apply`.
# It creates accounts, buckets, topics, metrics and alerts, and grants roles, which the account of the build may not.
"""
# Cloud Build replaces this with its own project:
# https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values
PROJECT = "$PROJECT_ID"
# A digest names one content for ever. docs/deploy.md says where these come from, and how to renew them.
TEST_IMAGE = "python:3.12.13-bookworm@sha256:3cd9086bdb30f7c9bc08a3fa621d9842e0d3f6f9291aeb4677e0547817c10b12"
GCLOUD_IMAGE = (
    "gcr.io/google.com/cloudsdktool/google-cloud-cli:slim"
    "@sha256:87eaf69da735ab8dfc1c640df1e85a467a4feedf2256d35dad368f970d9cd35f"
)


def cloudbuild_yaml(declaration: Declaration) -> str:
    """Return the text of cloudbuild.yaml."""
    header = _header(declaration, "", "cloudbuild.yaml")
    return header + _dumped(cloudbuild(declaration))


def check_build_yaml(declaration: Declaration) -> str:
    """Return the text of cloudbuild-test.yaml."""
    header = _header(declaration, " --test", "cloudbuild-test.yaml")
    return header + _dumped(check_build(declaration))


def _header(declaration: Declaration, option: str, file: str) -> str:
    return HEADER.format(
        environment=declaration.environment_option, option=option, file=file, region=declaration.region
    )


def cloudbuild(declaration: Declaration) -> dict[str, Any]:
    """Return the build that deploys, as data.

    It leaves out what its account may not do: grants on the project, accounts, metrics and alerts. It deploys one function
    after another, with what completes it, and then the schedules. Each function is a build of its own, and the quota of a new
    project allows few at once: https://cloud.google.com/build/quotas
    """
    commands = Commands(declaration, PROJECT)
    # The build finds out the hash of the source that it deploys, so that `apply` does not build the same source again.
    steps = list(deployment(commands, SOURCE_HASH))
    return _build(declaration, "build", *(_bash(commands, step, steps) for step in steps if step.follows is None))


def _bash(commands: Commands, first: Step, steps: list[Step]) -> dict[str, Any]:
    """Return a build step that runs ``first`` and the steps that complete it.

    An argument has at most 10,000 characters, so one script for everything would be too long:
    https://cloud.google.com/build/docs/build-config-file-schema
    """
    chosen = [step for step in steps if step is first or step.follows is first]
    needs_exists = any(step.describe and not step.is_repeatable for step in chosen)
    head = ["set -euo pipefail", *([script_head(NOT_FOUND)] if needs_exists else [])]
    script = "\n".join([*head, *shell_lines(chosen, lookups(commands))]) + "\n"
    return {
        "id": first.about.replace(" ", "-"),
        "name": GCLOUD_IMAGE,
        "entrypoint": "bash",
        # Cloud Build reads `$` as the start of a substitution; `$$` is a `$` for the shell.
        "args": ["-c", script.replace("$", "$$").replace(f"${PROJECT}", PROJECT)],
    }


def check_build(declaration: Declaration) -> dict[str, Any]:
    """Return the build that runs checks and tests, as data."""
    step = {"id": "test", "name": TEST_IMAGE, "entrypoint": "make", "args": ["lint", "test"]}
    return _build(declaration, "test", step)


def _build(declaration: Declaration, account: str, *steps: dict[str, Any]) -> dict[str, Any]:
    """Return a build whose steps run one after another.

    A build that runs as a user-specified account must set its logging:
    https://cloud.google.com/build/docs/securing-builds/configure-user-specified-service-accounts
    """
    if account not in declaration.accounts:
        raise DeclarationError(f"accounts has no {account}, which this build needs")
    email = declaration.accounts[account].email(PROJECT)
    return {
        "steps": list(steps),
        "timeout": "3600s",
        "serviceAccount": f"projects/{PROJECT}/serviceAccounts/{email}",
        "options": {"logging": "CLOUD_LOGGING_ONLY"},
    }


def _dumped(build: dict[str, Any]) -> str:
    return yaml.dump(build, Dumper=_Dumper, sort_keys=False, width=1000)


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, and indents lists."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)
