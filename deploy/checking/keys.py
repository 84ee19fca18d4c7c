"""The checks of the declared keys of Cloud KMS, which BigQuery encrypts with.

https://cloud.google.com/bigquery/docs/customer-managed-encryption
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from deploy.applying.cloud import Cloud
from deploy.checking import rest
from deploy.checking.attempts import attempt
from deploy.checking.findings import Finding, Status
from deploy.planning.agents import BIGQUERY_ENCRYPTION
from deploy.planning.commands import Commands
from deploy.planning.drift import value_at
from deploy.planning.steps import Grant

PURPOSE = "ENCRYPT_DECRYPT"
MAY_GRANT = "cloudkms.cryptoKeys.setIamPolicy"
GLOBAL = "global"
MULTI_REGIONS = {"us": "us", "northamerica": "us", "europe": "europe"}
"""The location of keys for datasets in the multi-region around a region, by what the region's name begins with."""


@dataclass(frozen=True)
class KeyChecks:
    """The checks of the keys of a declaration."""

    commands: Commands
    cloud: Cloud
    token: Callable[[], str]
    """Returns the access token of gcloud."""

    def run(self) -> Iterator[Finding]:
        """Yield what is wrong with each key, or that it can be used."""
        for key, roles in self.commands.declaration.keys.items():
            check = f"key {key}"
            found = attempt(check, partial(self.cloud.find, self.commands.describe("kms", "keys", "describe", key)))
            if isinstance(found, Finding):
                yield found
            elif found is None:
                fix = f"Create it, or correct `keys` in deploy/functions.yaml: {_create(key)}"
                yield Finding(check, Status.WRONG, "does not exist", fix)
            else:
                yield from self._unusable(check, key, found)
                for role in roles:
                    yield self._grant(check, key, role)

    def _unusable(self, check: str, key: str, found: Any) -> Iterator[Finding]:
        """Yield why BigQuery cannot use a key that exists."""
        region, location = self.commands.declaration.region, key.split("/")[3]
        here = key.replace(f"/locations/{location}/", f"/locations/{region}/", 1)
        elsewhere = f"Create one in {region}, and declare it: {_create_ring(here)}; {_create(here)}"
        another = f"Create another one, and declare it: {_create(f'{key}-2')}"
        if (purpose := found.get("purpose")) != PURPOSE:
            yield Finding(check, Status.WRONG, f"has the purpose {purpose}, and BigQuery needs {PURPOSE}", another)
        elif (state := value_at(found, "primary.state")) != "ENABLED":
            version = (value_at(found, "primary.name") or "VERSION").rpartition("/")[2]
            fix = f"gcloud kms keys versions enable {version} --key={key.rpartition('/')[2]} {_ring_flags(key)}"
            yield Finding(check, Status.WRONG, f"its primary version is {state}, and BigQuery needs ENABLED", fix)
        if location == GLOBAL:
            message = f"is in the location {GLOBAL}, and BigQuery needs a key in the location of the dataset"
            yield Finding(check, Status.WRONG, message, elsewhere)
        elif location not in (region, MULTI_REGIONS.get(region.partition("-")[0])):
            message = (
                f"only datasets in {location} can use it, and the model bucket is in {region}. Google does not say whether "
                "BigQuery imports a model from there"
            )
            yield Finding(check, Status.UNKNOWN, message, elsewhere)

    def _grant(self, check: str, key: str, role: str) -> Finding:
        """Check whether BigQuery has a role on the key, or gets it from `apply`."""
        target = self.commands.key_target(key)
        bindings = attempt(check, partial(self.cloud.policy, target))
        member = attempt(check, partial(self.cloud.fill, (BIGQUERY_ENCRYPTION,)))
        for found in (bindings, member):
            if isinstance(found, Finding):
                return found
        if any(each["role"] == role and member[0] in each.get("members", []) for each in bindings):
            return Finding(check, Status.OK, f"exists, and BigQuery has {role}")
        held = attempt(check, partial(self._held, key))
        if isinstance(held, Finding):
            return held
        if held:
            return Finding(check, Status.BY_APPLY, f"exists, and BigQuery does not have {role}")
        fix = f"An administrator of the key can grant it: {shlex.join(Grant(target, role, member[0]).add())}"
        return Finding(check, Status.WRONG, f"BigQuery lacks {role}, and you lack {MAY_GRANT} to grant it", fix)

    def _held(self, key: str) -> list[str]:
        answer = rest.call(self.token(), "cloudkms", f"v1/{key}:testIamPermissions", {"permissions": [MAY_GRANT]})
        return list(answer.get("permissions", []))


def _create(key: str) -> str:
    return f"gcloud kms keys create {key.rpartition('/')[2]} {_ring_flags(key)} --purpose=encryption"


def _create_ring(key: str) -> str:
    _, project, _, location, _, ring, _, _ = key.split("/")
    return f"gcloud kms keyrings create {ring} --location={location} --project={project}"


def _ring_flags(key: str) -> str:
    _, project, _, location, _, ring, _, _ = key.split("/")
    return f"--keyring={ring} --location={location} --project={project}"
