"""The checks of a running local cloud: whether it has what is declared. They name the checks that only Google Cloud allows."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from declaration.model import Declaration
from deploy.applying.cloud import CommandFailedError, reason
from deploy.checking import rest
from deploy.checking.datasets import check_datasets
from deploy.checking.findings import Finding, Status
from deploy.planning.drift import differences

URL_VARIABLE = "LOCALCLOUD_URL"
START = "python -m localcloud start"
START_AGAIN = f"Stop the local cloud, and start it with this declaration: {START}"

NOT_MADE = {
    "gcloud and login": "the checks call the local cloud without gcloud, and it takes calls without a login",
    "billing": "the local cloud costs nothing",
    "APIs": "all APIs of the local cloud are always enabled",
    "rights": "the local cloud gives every caller every right",
    "Google's agents": "the local cloud has none, and delivers events itself",
    "quota of CPUs": "the functions use the processors of this machine",
    "quota of builds": "the local cloud builds nothing: the functions run from their source",
}
"""Why the local cloud does not allow a check of Google Cloud."""


class Expected(NamedTuple):
    """A resource that must exist."""

    name: str
    path: str
    """Its path in the API."""
    fields: Mapping[str, object] = {}
    """The values that it must have, by their path."""


@dataclass(frozen=True)
class LocalChecks:
    """The checks of one declaration on the local cloud whose variables are set."""

    declaration: Declaration
    project: str

    def run(self) -> Iterator[Finding]:
        """Yield what each check found; stop early if nothing else can be read."""
        url = os.environ[URL_VARIABLE]
        try:
            state = rest.answer_of(urllib.request.Request(f"{url}/"), url)
        except CommandFailedError as error:
            fix = f'It may have stopped: start one with `{START}`, and take over its variables: eval "$(modeldrop env)"'
            yield Finding("local cloud", Status.WRONG, f"does not answer: {reason(error)}", fix)
            return
        finding = self._state(url, state)
        yield finding
        if finding.status is Status.WRONG:
            return
        yield self._region()
        yield self._runtime(state)
        yield from self._functions(state)
        yield from self._exist("buckets", "storage", self._buckets())
        yield from self._exist("topics", "pubsub", self._topics())
        yield from self._exist("subscriptions", "pubsub", self._subscriptions())
        if state["functions"]:
            yield from self._exist("schedules", "cloudscheduler", self._schedules())
        yield from check_datasets(self.declaration, self.project, "")
        for check, why in NOT_MADE.items():
            yield Finding(check, Status.NOT_MADE, why)
        if self.declaration.keys:
            why = "the local cloud has no Cloud KMS, and encrypts nothing"
            yield Finding("keys", Status.NOT_MADE, why)

    def _state(self, url: str, state: Mapping[str, Any]) -> Finding:
        if option := self.declaration.environment_option:
            message = "runs the declaration without one of its `environments`"
            return Finding("local cloud", Status.WRONG, message, f"Leave{option} out.")
        if state.get("project") != self.project:
            message = f"{url} has the project {state.get('project')}, and the variables are of {self.project}"
            return Finding("local cloud", Status.WRONG, message, 'Renew the variables: eval "$(modeldrop env)"')
        if state["state"] != "running":
            return Finding("local cloud", Status.WRONG, f"{url} is {state['state']}", "Wait a moment, and try again.")
        return Finding("local cloud", Status.OK, f"{self.project} at {url}")

    def _region(self) -> Finding:
        location, region = os.environ.get("GOOGLE_CLOUD_LOCATION"), self.declaration.region
        if location == region:
            return Finding("region", Status.OK, region)
        message = f"the local cloud is in {location}, and {region} is declared"
        return Finding("region", Status.WRONG, message, f"Start it there: {START} --location {region}")

    def _runtime(self, state: Mapping[str, Any]) -> Finding:
        declared, found = self.declaration.runtime, state["runtime"]
        if found == declared:
            return Finding("runtime", Status.OK, declared)
        message = f"the functions run in {found} here, so nothing is known about the declared {declared}"
        return Finding("runtime", Status.NOT_MADE, message)

    def _functions(self, state: Mapping[str, Any]) -> Iterator[Finding]:
        declared, found = self.declaration.functions, state["functions"]
        if declared and not found:
            message = "the local cloud was started without functions"
            yield Finding("functions", Status.WRONG, message, f"Start it with them: {START}")
            return
        right = 0
        for name, function in declared.items():
            if name not in found:
                yield Finding("functions", Status.WRONG, f"{name} does not exist", START_AGAIN)
            elif wrong := next(differences(function.model_dump(mode="json"), found[name]["declared"]), None):
                yield Finding("functions", Status.WRONG, f"{name} differs: {wrong}", START_AGAIN)
            elif found[name]["pid"] is None:
                yield Finding("functions", Status.WRONG, f"{name} does not run", f"Read why: modeldrop logs {name}")
            else:
                right += 1
        if right == len(declared):
            yield Finding("functions", Status.OK, f"all {right} run as declared")

    def _buckets(self) -> Iterator[Expected]:
        location = {"location": self.declaration.region.upper()}
        for bucket in self.declaration.buckets.values():
            name = bucket.name_in(self.project)
            yield Expected(f"gs://{name}", f"storage/v1/b/{name}", location)

    def _topics(self) -> Iterator[Expected]:
        for topic in self.declaration.topics.values():
            yield Expected(topic.name, f"v1/{topic.path(self.project)}")

    def _subscriptions(self) -> Iterator[Expected]:
        for topic in self.declaration.topics.values():
            if topic.hold:
                path = f"v1/projects/{self.project}/subscriptions/{topic.hold}"
                yield Expected(topic.hold, path, {"topic": topic.path(self.project)})

    def _schedules(self) -> Iterator[Expected]:
        for schedule in self.declaration.schedules.values():
            path = f"v1/{schedule.path(self.project, self.declaration.region)}"
            yield Expected(schedule.job, path, {"schedule": schedule.cron})

    def _exist(self, check: str, api: str, resources: Iterator[Expected]) -> Iterator[Finding]:
        found = [(each.name, _problem(api, each)) for each in resources]
        for name, problem in found:
            if problem:
                yield Finding(check, Status.WRONG, f"{name} {problem}", START_AGAIN)
        if found and not any(problem for _, problem in found):
            yield Finding(check, Status.OK, f"as declared: {', '.join(name for name, _ in found)}")


def _problem(api: str, expected: Expected) -> str:
    """Return what is wrong with a resource, as the rest of a sentence; nothing if it is right."""
    try:
        found = rest.find("", api, expected.path)
    except CommandFailedError as error:
        return f"cannot be read: {reason(error)}"
    if found is None:
        return "does not exist"
    wrong = next(differences(expected.fields, found), None)
    return f"differs: {wrong}" if wrong else ""
