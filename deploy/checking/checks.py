"""The checks, in the order in which a person mends what they find. None of them changes anything."""

from __future__ import annotations

import shlex
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial

from declaration.model import Declaration
from deploy.applying.advice import HIDDEN_BUCKET, LACKING, UNKNOWN_REGION
from deploy.applying.cloud import Cloud, CommandFailedError, reason
from deploy.checking import permissions, rest
from deploy.checking.attempts import NOT_YET, TRY_AGAIN, attempt
from deploy.checking.datasets import check_datasets
from deploy.checking.findings import Finding, Status
from deploy.checking.keys import KeyChecks
from deploy.planning.agents import AGENTS
from deploy.planning.commands import Commands
from deploy.planning.drift import differences, value_at
from deploy.planning.foundation import services
from deploy.planning.steps import Grant, Listing, Plan, Step

COMPONENTS = ("alpha", "beta")
"""The components of gcloud that have commands of a plan."""
CPU_METRIC = "run.googleapis.com/cpu_allocation"
"""The quota of Cloud Run's CPUs, in thousandths, for each project and region: https://cloud.google.com/run/quotas"""
DECOMMISSIONED = "DECOMMISSIONED"
"""The stage of a runtime that functions cannot be deployed with: https://cloud.google.com/functions/docs/runtime-support"""
QUOTAS_PAGE = "https://console.cloud.google.com/iam-admin/quotas?project={}"


@dataclass(frozen=True)
class Checks:
    """The checks of one declaration in one project."""

    declaration: Declaration
    project: str
    plan: Plan
    cloud: Cloud
    """Runs gcloud, without repeated attempts."""

    def run(self) -> Iterator[Finding]:
        """Yield what each check found; stop early if nothing else can be read."""
        for check in (self._gcloud, self._login, self._project):
            finding = check()
            yield finding
            if finding.status is Status.WRONG:
                return
        yield self._billing()
        yield from self._apis()
        yield from self._rights()
        for listing in self.plan.listings:
            if listing.declared:
                yield from self._owned(listing)
        for step in self.plan.steps:
            if step.fixed:
                yield self._fixed(step)
        yield self._runtime()
        yield from self._agents()
        yield from check_datasets(self.declaration, self.project, self._token())
        yield from KeyChecks(self._commands, self.cloud, self._token).run()
        yield self._cpus()
        yield Finding(
            "quota of builds",
            Status.UNKNOWN,
            "no call says how many builds a new project may run at once; `apply` needs one, for two to three minutes each",
            f"Look for Cloud Build on {QUOTAS_PAGE.format(self.project)}",
        )

    @cached_property
    def _account(self) -> str | None:
        """The account that gcloud is logged in as; None if it has a token without an account."""
        accounts = self.cloud.read(("gcloud", "auth", "list", "--filter=status:ACTIVE", "--format=json"))
        return str(accounts[0]["account"]) if accounts else None

    @property
    def _commands(self) -> Commands:
        return Commands(self.declaration, self.project)

    def _gcloud(self) -> Finding:
        try:
            found = self.cloud.read(("gcloud", "version", "--format=json"))
        except CommandFailedError as error:
            fix = "Install it: https://cloud.google.com/sdk/docs/install"
            return Finding("gcloud", Status.WRONG, reason(error), fix)
        missing = [name for name in COMPONENTS if name not in found]
        if missing:
            message = f"lacks {' and '.join(missing)}, whose commands `apply` uses"
            return Finding("gcloud", Status.WRONG, message, f"gcloud components install {' '.join(missing)}")
        version = found.get("Google Cloud SDK", "unknown")
        return Finding("gcloud", Status.OK, f"version {version}, with {' and '.join(COMPONENTS)}")

    def _login(self) -> Finding:
        try:
            account = self._account
            self._token()
        except CommandFailedError as error:
            return Finding("login", Status.WRONG, f"gcloud has no valid login: {reason(error)}", "gcloud auth login")
        return Finding("login", Status.OK, f"as {account or 'an account of the environment'}")

    def _project(self) -> Finding:
        command = self._commands.describe("projects", "describe", self.project)
        found = attempt("project", partial(self.cloud.read, command))
        if not isinstance(found, Finding):
            state = found.get("lifecycleState", "ACTIVE")
            if state == "ACTIVE":
                return Finding("project", Status.OK, self.project)
            fix = f"gcloud projects undelete {self.project}"
            return Finding("project", Status.WRONG, f"{self.project} is {state}", fix)
        if found.message == NOT_YET:
            return found
        # Google says of a project that does not exist that you may not read it.
        is_another = found.fix in (TRY_AGAIN, LACKING.fix.format(project=self.project))
        fix = "Give the id of the project, which `gcloud projects list` prints." if is_another else found.fix
        return Finding("project", Status.WRONG, found.message, fix)

    def _billing(self) -> Finding:
        command = ("gcloud", "billing", "projects", "describe", self.project, "--format=json", "--quiet")
        found = attempt("billing", partial(self.cloud.read, command))
        page = f"https://console.cloud.google.com/billing/linkedaccount?project={self.project}"
        if isinstance(found, Finding):
            return Finding("billing", Status.UNKNOWN, found.message, f"Look at {page}")
        if found.get("billingEnabled"):
            return Finding("billing", Status.OK, f"on, {found.get('billingAccountName', '')}")
        fix = f"gcloud billing projects link {self.project} --billing-account=ACCOUNT"
        return Finding("billing", Status.WRONG, "off, so no API can be used that costs anything", fix)

    def _apis(self) -> Iterator[Finding]:
        command = self._commands.describe("services", "list", "--enabled")
        found = attempt("APIs", partial(self.cloud.read, command))
        if isinstance(found, Finding):
            yield found
            return
        enabled = {value_at(each, "config.name") for each in found}
        needed = services(self.declaration)
        disabled = [service for service in needed if service not in enabled]
        if disabled:
            message = f"{len(disabled)} of {len(needed)} are disabled: {', '.join(disabled)}"
            enable = shlex.join(self._commands.gcloud("services", "enable", *disabled))
            yield Finding("APIs", Status.BY_APPLY, message, f"To check what needs them, enable them now: {enable}")
        else:
            yield Finding("APIs", Status.OK, f"all {len(needed)} are enabled")

    def _rights(self) -> Iterator[Finding]:
        found = attempt("rights", self._held)
        if isinstance(found, Finding):
            yield found
            return
        lacking = list(permissions.missing(found))
        if not lacking:
            yield Finding("rights", Status.OK, f"all {len(permissions.PERMISSIONS)} permissions that `apply` needs")
        account = self._account or "YOU"
        kind = "serviceAccount" if account.endswith(".gserviceaccount.com") else "user"
        for need in lacking:
            grant = Grant(self._commands.project_target(), need.role, f"{kind}:{account}")
            fix = f"An owner can grant it: {shlex.join(grant.add())}"
            yield Finding("rights", Status.WRONG, f"you lack {', '.join(need.permissions)}", fix)

    def _held(self) -> list[str]:
        answer = rest.call(
            self._token(),
            "cloudresourcemanager",
            f"v1/projects/{self.project}:testIamPermissions",
            {"permissions": list(permissions.PERMISSIONS)},
        )
        return list(answer.get("permissions", []))

    def _owned(self, listing: Listing) -> Iterator[Finding]:
        check = f"names of {listing.about}s"
        found = attempt(check, partial(self.cloud.read, listing.list))
        if isinstance(found, Finding):
            yield found
            return
        owners = {listing.identify(each): listing.is_ours(each) for each in found or []}
        taken = sorted(name for name in listing.declared & set(owners) if not owners[name])
        for name in taken:
            message = f"{name} exists and is not of this declaration; `apply` refuses to change it"
            fix = f"Declare another name in deploy/functions.yaml, or `apply --adopt {listing.kind}/{name}` if it is yours."
            yield Finding(check, Status.WRONG, message, fix)
        absent = sorted(listing.declared - set(owners))
        if absent:
            yield Finding(check, Status.BY_APPLY, f"free: {', '.join(absent)}")
        elif not taken:
            yield Finding(check, Status.OK, f"{len(listing.declared)} of {len(listing.declared)} exist and are ours")

    def _fixed(self, step: Step) -> Finding:
        """Check a resource that cannot be changed where it differs: a bucket, or a subscription that holds messages."""
        fix = "Declare another name in deploy/functions.yaml."
        found = attempt(step.about, partial(self.cloud.find, step.describe))
        if found is None:
            return Finding(step.about, Status.BY_APPLY, "does not exist")
        if isinstance(found, Finding):
            if found.status is Status.UNKNOWN and found.fix == HIDDEN_BUCKET.fix:
                message = HIDDEN_BUCKET.meaning
                return Finding(step.about, Status.WRONG, message, fix)
            return found
        declared = attempt(step.about, partial(self._filled, step))
        if isinstance(declared, Finding):
            return declared
        wrong = [each for each in differences(declared, found) if each.path in step.fixed]
        if wrong:
            return Finding(step.about, Status.WRONG, f"{wrong[0]}, and this cannot be changed", fix)
        return Finding(step.about, Status.OK, "exists")

    def _filled(self, step: Step) -> dict[str, object]:
        return {
            path: self.cloud.fill((value,))[0] if isinstance(value, str) else value
            for path, value in step.declared.items()
        }

    def _runtime(self) -> Finding:
        """Check whether the region exists and has the runtime.

        https://cloud.google.com/functions/docs/reference/rest/v2/projects.locations.runtimes/list
        """
        check, region, declared = "region and runtime", self.declaration.region, self.declaration.runtime
        command = self._commands.describe("functions", "runtimes", "list", self._commands.region)
        found = attempt(check, partial(self.cloud.read, command))
        if isinstance(found, Finding):
            if found.fix != UNKNOWN_REGION.fix.format(project=self.project):
                return found
            message = UNKNOWN_REGION.meaning.format(location=region)
            return Finding(check, Status.WRONG, message, found.fix)
        stages = {each["name"]: each.get("stage") for each in found}
        if stages.get(declared, DECOMMISSIONED) != DECOMMISSIONED:
            return Finding(check, Status.OK, f"{region} has {declared}")
        others = [name for name, stage in stages.items() if name.startswith("python") and stage != DECOMMISSIONED]
        message = f"{region} does not have {declared}; there are: {', '.join(others)}"
        return Finding(
            "region and runtime", Status.WRONG, message, "Declare another `runtime` in deploy/functions.yaml."
        )

    def _agents(self) -> Iterator[Finding]:
        bindings = attempt("Google's agents", partial(self.cloud.policy, self._commands.project_target()))
        number = attempt("Google's agents", partial(self.cloud.fill, ("${PROJECT_NUMBER}",)))
        for found in (bindings, number):
            if isinstance(found, Finding):
                yield found
                return
        for agent in AGENTS:
            member = agent.member.replace("${PROJECT_NUMBER}", number[0])
            has_role = any(each["role"] == agent.role and member in each.get("members", []) for each in bindings)
            status = Status.OK if has_role else Status.BY_APPLY
            message = f"has {agent.role}" if has_role else f"does not have {agent.role}, or does not exist yet"
            yield Finding(f"agent of {agent.service}", status, message)

    def _cpus(self) -> Finding:
        """Compare the quota of CPUs with the largest function: a deployment of more is refused.

        https://cloud.google.com/run/quotas
        """
        check = "quota of CPUs"
        page = QUOTAS_PAGE.format(self.project)
        name, needed = max(
            (
                (name, (each.cpu or 1) * (each.maximum_instances or 100))
                for name, each in self.declaration.functions.items()
            ),
            key=lambda pair: pair[1],
        )
        found = attempt(check, self._quota)
        if isinstance(found, Finding):
            return Finding(check, Status.UNKNOWN, found.message, f"Look for Cloud Run on {page}")
        if found is None:
            message = f"{CPU_METRIC} has no value for {self.declaration.region}; {name} needs {needed} CPUs"
            return Finding(check, Status.UNKNOWN, message, f"Look for Cloud Run on {page}")
        message = f"{found:g} CPUs in {self.declaration.region}; {name} may use {needed}"
        if found < needed:
            fix = f"Set a lower maximum_instances for {name} in deploy/functions.yaml, or request more on {page}"
            return Finding(check, Status.WRONG, message, fix)
        return Finding(check, Status.OK, message)

    def _quota(self) -> float | None:
        """Return the CPUs that the region's quota allows; None if that is not known.

        https://cloud.google.com/service-usage/docs/reference/rest/v1beta1/services.consumerQuotaMetrics/get
        """
        metric = urllib.parse.quote(CPU_METRIC, safe="")
        path = f"v1beta1/projects/{self.project}/services/run.googleapis.com/consumerQuotaMetrics/{metric}?view=FULL"
        limits = rest.call(self._token(), "serviceusage", path).get("consumerQuotaLimits", [])
        buckets = [bucket for limit in limits for bucket in limit.get("quotaBuckets", [])]
        regions = {(each.get("dimensions") or {}).get("region"): each.get("effectiveLimit") for each in buckets}
        # The bucket without a region is for all regions that have none of their own.
        limit = regions.get(self.declaration.region, regions.get(None))
        # -1 means unlimited.
        return None if limit is None else float("inf") if int(limit) < 0 else int(limit) / 1000

    def _token(self) -> str:
        return self.cloud.run(("gcloud", "auth", "print-access-token", "--quiet"))
