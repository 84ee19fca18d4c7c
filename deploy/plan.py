"""Turns the declaration into steps: the resources that Google Cloud needs, and the gcloud commands that create them.

An owner of the project creates the ``foundation`` once: APIs, accounts, buckets, topics, roles. Every new version needs
the ``deployment``, which Cloud Build runs: functions with their triggers, retry, dead letters, schedules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from declaration.model import (
    Account,
    Declaration,
    Function,
    HttpTrigger,
    Schedule,
    StorageTrigger,
    TopicTrigger,
)
from deploy.steps import Plan, Step, Words

SERVICES = (
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudscheduler.googleapis.com",
    "eventarc.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "storage.googleapis.com",
)
IGNORE_FILE = "deploy/gcloudignore"
"""The file that leaves out what functions do not run, relative to the source."""
HOLD_RETENTION = "7d"


def plan(declaration: Declaration, project: str) -> Plan:
    """Return the steps that deploy ``declaration`` to ``project``, in an order that works."""
    return Planner(declaration, project).plan()


@dataclass(frozen=True)
class Planner:
    """Turns a declaration into steps for one project."""

    declaration: Declaration
    project: str

    def plan(self) -> Plan:
        """Return foundation and deployment."""
        return Plan((*self.foundation(), *self.deployment()), self.lookups())

    def foundation(self) -> Iterator[Step]:
        """Yield the steps that an owner of the project runs once."""
        yield Step("APIs", self._gcloud("services", "enable", *SERVICES))
        for account in self.declaration.accounts.values():
            yield self._account(account)
        yield from self._buckets()
        yield from self._topics()
        for account in self.declaration.accounts.values():
            yield from self._roles(account)
        yield from self._service_agents()

    def deployment(self) -> Iterator[Step]:
        """Yield the steps that deploy the functions, and that let events and schedules call them."""
        functions = self.declaration.functions
        for name in functions:
            yield self.function(name)
        scheduled = {schedule.function for schedule in self.declaration.schedules.values()}
        for name, function in functions.items():
            if function.is_called_by_events or name in scheduled:
                yield self._invoker(name, function)
        for name, function in functions.items():
            if function.is_called_by_events:
                yield self._retry(name)
        for key, schedule in self.declaration.schedules.items():
            yield self._schedule(key, schedule)

    def lookups(self) -> dict[str, Words]:
        """Return the commands that find out names that Google Cloud chooses, by the placeholder in the steps."""
        lookups = {
            "PROJECT_NUMBER": self._gcloud("projects", "describe", self.project, "--format=value(projectNumber)"),
            "STORAGE_AGENT": self._gcloud("storage", "service-agent"),
        }
        for name, function in self.declaration.functions.items():
            describe = self._gcloud("functions", "describe", function.service, "--v2", self._region)
            lookups[_variable(name, "URL")] = (*describe, "--format=value(serviceConfig.uri)")
            lookups[_variable(name, "TRIGGER")] = (*describe, "--format=value(eventTrigger.trigger)")
            lookups[_variable(name, "SUBSCRIPTION")] = self._gcloud(
                "eventarc",
                "triggers",
                "describe",
                f"${{{_variable(name, 'TRIGGER')}}}",
                "--format=value(transport.pubsub.subscription)",
            )
        return lookups

    def function(self, name: str) -> Step:
        """Return the step that deploys the function ``name`` with its trigger.

        Every function requires authentication. The explicit flag also removes the permission of unauthenticated callers
        from a function that had it.
        """
        function = self.declaration.functions[name]
        words = [
            *("functions", "deploy", function.service, "--gen2", self._region),
            f"--runtime={self.declaration.runtime}",
            "--source=.",
            f"--ignore-file={IGNORE_FILE}",
            f"--entry-point={name}",
            *self._trigger(function),
            "--no-allow-unauthenticated",
            f"--service-account={self._email('runtime')}",
            f"--build-service-account=projects/{self.project}/serviceAccounts/{self._email('build')}",
            f"--memory={function.memory}",
            f"--timeout={function.timeout_seconds}s",
            f"--concurrency={function.concurrency}",
            f"--set-env-vars={_joined(self.environment())}",
        ]
        if function.cpu is not None:
            words.append(f"--cpu={function.cpu}")
        if function.maximum_instances is not None:
            words.append(f"--max-instances={function.maximum_instances}")
        return Step(
            f"function {name}",
            create=self._gcloud(*words),
            exists=self._gcloud("functions", "describe", function.service, "--v2", self._region),
            # One command creates and updates.
            update=self._gcloud(*words),
            delete=self._gcloud("functions", "delete", function.service, self._region),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables that every function gets."""
        return {
            "GOOGLE_CLOUD_PROJECT": self.project,
            **{bucket.env: bucket.name_in(self.project) for bucket in self.declaration.buckets.values()},
            **{topic.env: topic.path(self.project) for topic in self.declaration.topics.values()},
            **{
                schedule.env: schedule.path(self.project, self.declaration.region)
                for schedule in self.declaration.schedules.values()
                if schedule.env is not None
            },
            **self.declaration.settings,
        }

    def _trigger(self, function: Function) -> Iterator[str]:
        match function.trigger:
            case HttpTrigger():
                yield "--trigger-http"
                return
            case StorageTrigger(storage=event_type, bucket=bucket):
                yield f"--trigger-event-filters=type={event_type}"
                yield f"--trigger-event-filters=bucket={self.declaration.buckets[bucket].name_in(self.project)}"
                # A trigger must be in the location of its bucket: https://cloud.google.com/eventarc/docs/understand-locations
                yield f"--trigger-location={self.declaration.region}"
            case TopicTrigger(topic=topic):
                yield f"--trigger-topic={self.declaration.topics[topic].name}"
        # Without this an event is dropped when the function does not acknowledge it:
        # https://cloud.google.com/functions/docs/bestpractices/retries
        yield "--retry"
        yield f"--trigger-service-account={self._email('invoker')}"

    def _account(self, account: Account) -> Step:
        email = account.email(self.project)
        return Step(
            f"account {account.id}",
            create=self._gcloud("iam", "service-accounts", "create", account.id),
            exists=self._gcloud("iam", "service-accounts", "describe", email),
            delete=self._gcloud("iam", "service-accounts", "delete", email),
        )

    def _buckets(self) -> Iterator[Step]:
        for bucket in self.declaration.buckets.values():
            url = f"gs://{bucket.name_in(self.project)}"
            soft_delete = () if bucket.soft_delete_seconds is None else (f"{bucket.soft_delete_seconds}s",)
            yield Step(
                f"bucket {url}",
                create=self._gcloud(
                    *("storage", "buckets", "create", url, f"--location={self.declaration.region}"),
                    "--uniform-bucket-level-access",
                    "--public-access-prevention",
                    *(f"--soft-delete-duration={duration}" for duration in soft_delete),
                ),
                exists=self._gcloud("storage", "buckets", "describe", url),
                delete=self._gcloud("storage", "rm", "--recursive", url),
                holds_data=True,
            )

    def _topics(self) -> Iterator[Step]:
        for topic in self.declaration.topics.values():
            yield Step(
                f"topic {topic.name}",
                create=self._gcloud("pubsub", "topics", "create", topic.name),
                exists=self._gcloud("pubsub", "topics", "describe", topic.name),
                delete=self._gcloud("pubsub", "topics", "delete", topic.name),
                # A subscription without its topic gets no messages, so both are deleted or kept.
                holds_data=topic.hold is not None,
            )
            if topic.hold:
                yield Step(
                    f"subscription {topic.hold}, which holds the messages of {topic.name}",
                    create=self._gcloud(
                        *("pubsub", "subscriptions", "create", topic.hold, f"--topic={topic.name}"),
                        "--ack-deadline=600",
                        f"--message-retention-duration={HOLD_RETENTION}",
                        "--expiration-period=never",
                    ),
                    exists=self._gcloud("pubsub", "subscriptions", "describe", topic.hold),
                    delete=self._gcloud("pubsub", "subscriptions", "delete", topic.hold),
                    holds_data=True,
                )

    def _roles(self, account: Account) -> Iterator[Step]:
        member = f"serviceAccount:{account.email(self.project)}"
        for role in account.roles:
            yield self._binding(account.id, ("projects",), self.project, member, role, "--condition=None")
        for key, roles in account.bucket_roles.items():
            url = f"gs://{self.declaration.buckets[key].name_in(self.project)}"
            for role in roles:
                yield self._binding(account.id, ("storage", "buckets"), url, member, role)
        for key, roles in account.topic_roles.items():
            for role in roles:
                topic = self.declaration.topics[key].name
                yield self._binding(account.id, ("pubsub", "topics"), topic, member, role)
        for key, roles in account.account_roles.items():
            for role in roles:
                yield self._binding(account.id, ("iam", "service-accounts"), self._email(key), member, role)

    def _binding(self, who: str, group: Words, target: str, member: str, role: str, *more: str) -> Step:
        words = (target, f"--member={member}", f"--role={role}", *more)
        return Step(
            f"{role} on {target} for {who}",
            create=self._gcloud(*group, "add-iam-policy-binding", *words),
            delete=self._gcloud(*group, "remove-iam-policy-binding", *words),
        )

    def _service_agents(self) -> Iterator[Step]:
        """Yield the roles of Google's service agents. They are never removed, because other triggers may need them."""
        dead_letters = self.declaration.dead_letters.name
        pubsub = "serviceAccount:service-${PROJECT_NUMBER}@gcp-sa-pubsub.iam.gserviceaccount.com"
        # https://cloud.google.com/eventarc/docs/roles-permissions
        publish = ("--member=serviceAccount:${STORAGE_AGENT}", "--role=roles/pubsub.publisher", "--condition=None")
        yield Step(
            "Cloud Storage may publish its events",
            create=self._gcloud("projects", "add-iam-policy-binding", self.project, *publish),
        )
        # https://cloud.google.com/pubsub/docs/handling-failures#grant_forwarding_permissions
        forward = (f"--member={pubsub}", "--role=roles/pubsub.publisher")
        yield Step(
            "Pub/Sub may forward dead letters",
            create=self._gcloud("pubsub", "topics", "add-iam-policy-binding", dead_letters, *forward),
        )
        # Eventarc chooses the names of the subscriptions and may create new ones, so this role is on the project.
        acknowledge = (f"--member={pubsub}", "--role=roles/pubsub.subscriber", "--condition=None")
        yield Step(
            "Pub/Sub may acknowledge dead letters",
            create=self._gcloud("projects", "add-iam-policy-binding", self.project, *acknowledge),
        )

    def _invoker(self, name: str, function: Function) -> Step:
        member = f"--member=serviceAccount:{self._email('invoker')}"
        return Step(
            f"{self.declaration.accounts['invoker'].id} may call {name}",
            create=self._gcloud("functions", "add-invoker-policy-binding", function.service, self._region, member),
        )

    def _retry(self, name: str) -> Step:
        """Return the step that sets backoff and dead letters on the subscription that Eventarc created."""
        retry = self.declaration.retry
        return Step(
            f"retry and dead letters of {name}",
            create=self._gcloud(
                *("pubsub", "subscriptions", "update", f"${{{_variable(name, 'SUBSCRIPTION')}}}"),
                f"--min-retry-delay={retry.minimum_backoff_seconds}s",
                f"--max-retry-delay={retry.maximum_backoff_seconds}s",
                f"--dead-letter-topic={self.declaration.dead_letters.path(self.project)}",
                f"--max-delivery-attempts={retry.maximum_delivery_attempts}",
            ),
        )

    def _schedule(self, key: str, schedule: Schedule) -> Step:
        url = f"${{{_variable(schedule.function, 'URL')}}}"
        location = f"--location={self.declaration.region}"
        settings = (
            f"--schedule={schedule.cron}",
            "--time-zone=Etc/UTC",
            f"--uri={url}",
            "--http-method=POST",
            f"--message-body={json.dumps(schedule.body)}",
            f"--oidc-service-account-email={self._email('invoker')}",
            # Cloud Run expects its own URL as the audience of the token: https://cloud.google.com/run/docs/authenticating/service-to-service
            f"--oidc-token-audience={url}",
            f"--attempt-deadline={schedule.attempt_deadline_seconds}s",
        )
        job = ("scheduler", "jobs")
        json_header = "Content-Type=application/json"
        return Step(
            f"schedule {key}",
            create=self._gcloud(*job, "create", "http", schedule.job, location, *settings, f"--headers={json_header}"),
            exists=self._gcloud(*job, "describe", schedule.job, location),
            update=self._gcloud(
                *job, "update", "http", schedule.job, location, *settings, f"--update-headers={json_header}"
            ),
            delete=self._gcloud(*job, "delete", schedule.job, location),
        )

    def _gcloud(self, *words: str) -> Words:
        return ("gcloud", *words, f"--project={self.project}", "--quiet")

    def _email(self, account: str) -> str:
        return self.declaration.accounts[account].email(self.project)

    @property
    def _region(self) -> str:
        return f"--region={self.declaration.region}"


def _variable(function: str, what: str) -> str:
    return f"{function.upper()}_{what}"


def _joined(variables: dict[str, str]) -> str:
    """Return ``variables`` as an argument of gcloud.

    If a value has a comma, the argument starts with another separator: https://cloud.google.com/sdk/gcloud/reference/topic/escaping
    """
    pairs = [f"{name}={value}" for name, value in variables.items()]
    if any("," in pair for pair in pairs):
        separator = next(each for each in "|;@#" if not any(each in pair for pair in pairs))
        return f"^{separator}^{separator.join(pairs)}"
    return ",".join(pairs)
