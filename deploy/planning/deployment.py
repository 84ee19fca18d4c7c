"""The steps of every new version: functions with their triggers, callers, retry and dead letters, and schedules."""

from __future__ import annotations

import json
from collections.abc import Iterator

from declaration.model import Function, HttpTrigger, Schedule, StorageTrigger, TopicTrigger
from deploy.planning.commands import INVOKER, OWNER_LABEL, Commands, variable
from deploy.planning.foundation import ACK_DEADLINE_SECONDS
from deploy.planning.steps import Grant, Listing, Step, Words, grant_step

IGNORE_FILE = "deploy/gcloudignore"
"""The file that leaves out what functions do not run, relative to the source."""
SOURCE_LABEL = "modeldrop-source"
"""The label with the hash of the source that a function was built from."""
PUBLISHED = "google.cloud.pubsub.topic.v1.messagePublished"
TOPIC_PATH = "eventTrigger.pubsubTopic"
BUCKET_PATH = "eventTrigger.eventFilters.0.value"
TRIGGER_PATHS = frozenset({"eventTrigger.eventType", TOPIC_PATH, BUCKET_PATH})
"""The fields of a function whose change replaces its trigger, with the trigger's subscription and the messages that wait in it.

https://github.com/google-github-actions/deploy-cloud-functions/issues/419
"""


SOURCE_HASH = "${SOURCE_HASH}"
"""The placeholder for the hash of the functions' source, where it is not known yet."""


def deployment(commands: Commands, source: str) -> Iterator[Step]:
    """Yield the steps, in an order that works.

    What completes a function follows its own deployment at once: without it, an event that the function does not
    acknowledge is lost after a day.

    Args:
        commands: The declaration and the project.
        source: The hash of the functions' source, or ``SOURCE_HASH``.
    """
    declaration = commands.declaration
    for name, function in declaration.functions.items():
        deployed = function_step(commands, name, source)
        yield deployed
        # A grant may fail, so it comes after what keeps events.
        if function.is_called_by_events:
            yield _retry(commands, name, deployed)
        if function.is_called_by_events or name in declaration.scheduled:
            invoker = declaration.accounts["invoker"].id
            grant = Grant(commands.function_target(function.service), INVOKER, commands.member("invoker"))
            yield grant_step(f"{invoker} may call {name}", grant, follows=deployed)
        for member in function.callers:
            grant = Grant(commands.function_target(function.service), INVOKER, member)
            yield grant_step(f"{member} may call {name}", grant, follows=deployed)
    for key, schedule in declaration.schedules.items():
        yield _schedule(commands, key, schedule)


def lookups(commands: Commands) -> dict[str, Words]:
    """Return the commands that find out names that Google Cloud chooses, by the placeholder in the steps."""
    found = {
        "PROJECT_NUMBER": commands.gcloud("projects", "describe", commands.project, "--format=value(projectNumber)"),
        "STORAGE_AGENT": commands.gcloud("storage", "service-agent"),
        "SOURCE_HASH": ("python3", "-m", "deploy.source"),
    }
    for name, function in commands.declaration.functions.items():
        describe = commands.gcloud("functions", "describe", function.service, "--v2", commands.region)
        found[variable(name, "URL")] = (*describe, "--format=value(serviceConfig.uri)")
        found[variable(name, "TRIGGER")] = (*describe, "--format=value(eventTrigger.trigger)")
        trigger = f"${{{variable(name, 'TRIGGER')}}}"
        found[variable(name, "SUBSCRIPTION")] = commands.gcloud(
            "eventarc", "triggers", "describe", trigger, "--format=value(transport.pubsub.subscription)"
        )
    return found


def listings(commands: Commands) -> Iterator[Listing]:
    """Yield where to look for functions and schedules."""
    declaration = commands.declaration
    yield Listing(
        "function",
        commands.describe("functions", "list", "--v2", f"--regions={declaration.region}"),
        declared=frozenset(function.service for function in declaration.functions.values()),
        delete=commands.gcloud("functions", "delete", "${NAME}", commands.region),
        mark=commands.label_mark,
        trigger="eventTrigger.trigger",
    )
    yield Listing(
        "schedule",
        commands.describe("scheduler", "jobs", "list", commands.location),
        declared=frozenset(schedule.job for schedule in declaration.schedules.values()),
        delete=commands.gcloud("scheduler", "jobs", "delete", "${NAME}", commands.location),
        mark=commands.sentence_mark,
    )


def environment(commands: Commands, function: Function) -> dict[str, str]:
    """Return the variables that a function gets: those of all functions, and those of its server."""
    declaration, project = commands.declaration, commands.project
    return {
        "GOOGLE_CLOUD_PROJECT": project,
        **{bucket.env: bucket.name_in(project) for bucket in declaration.buckets.values()},
        **{topic.env: topic.path(project) for topic in declaration.topics.values()},
        **{
            schedule.env: schedule.path(project, declaration.region)
            for schedule in declaration.schedules.values()
            if schedule.env is not None
        },
        **function.server_variables,
        **(declaration.datasets.variables if declaration.datasets else {}),
        **declaration.settings,
    }


def function_step(commands: Commands, name: str, source: str) -> Step:
    """Return the step that deploys the function ``name`` with its trigger.

    Every function requires authentication. The explicit flag also removes the permission of unauthenticated callers
    from a function that had it.
    """
    declaration = commands.declaration
    function = declaration.functions[name]
    labels = {OWNER_LABEL: declaration.name, SOURCE_LABEL: source}
    # Eventarc and Cloud Scheduler of the same project count as internal: https://cloud.google.com/run/docs/securing/ingress
    is_internal = function.is_called_by_events or name in declaration.scheduled
    ingress = "internal-only" if is_internal else function.ingress or "all"
    trigger = _declared_trigger(commands, function)
    build_account = f"projects/{commands.project}/serviceAccounts/{commands.email('build')}"
    words = [
        *("functions", "deploy", function.service, "--gen2", commands.region),
        f"--runtime={declaration.runtime}",
        "--source=.",
        f"--ignore-file={IGNORE_FILE}",
        f"--entry-point={name}",
        *_trigger(commands, function),
        "--no-allow-unauthenticated",
        f"--service-account={commands.email('runtime')}",
        f"--build-service-account={build_account}",
        f"--memory={function.memory}",
        f"--timeout={function.timeout_seconds}s",
        f"--concurrency={function.concurrency}",
        f"--set-env-vars={joined(environment(commands, function))}",
        f"--ingress-settings={ingress}",
        f"--update-labels={joined(labels)}",
    ]
    if function.cpu is not None:
        words.append(f"--cpu={function.cpu}")
    if function.maximum_instances is not None:
        words.append(f"--max-instances={function.maximum_instances}")
    return Step(
        f"function {name}",
        create=commands.gcloud(*words),
        describe=commands.describe("functions", "describe", function.service, "--v2", commands.region),
        # One command creates and updates.
        update=commands.gcloud(*words),
        delete=commands.gcloud("functions", "delete", function.service, commands.region),
        declared={
            "state": "ACTIVE",
            "buildConfig.runtime": declaration.runtime,
            "buildConfig.entryPoint": name,
            "buildConfig.serviceAccount": build_account,
            "serviceConfig.serviceAccountEmail": commands.email("runtime"),
            "serviceConfig.availableMemory": function.memory,
            "serviceConfig.timeoutSeconds": function.timeout_seconds,
            "serviceConfig.maxInstanceRequestConcurrency": function.concurrency,
            "serviceConfig.environmentVariables": environment(commands, function),
            "serviceConfig.ingressSettings": f"ALLOW_{ingress.replace('-', '_').upper()}",
            **({"serviceConfig.availableCpu": function.cpu} if function.cpu else {}),
            **({"serviceConfig.maxInstanceCount": function.maximum_instances} if function.maximum_instances else {}),
            **trigger,
            **{f"labels.{label}": value for label, value in labels.items()},
        },
        trigger=frozenset(trigger) & TRIGGER_PATHS,
    )


def _trigger(commands: Commands, function: Function) -> Iterator[str]:
    match function.trigger:
        case HttpTrigger():
            yield "--trigger-http"
            return
        case StorageTrigger(storage=event_type, bucket=bucket):
            yield f"--trigger-event-filters=type={event_type}"
            name = commands.declaration.buckets[bucket].name_in(commands.project)
            yield f"--trigger-event-filters=bucket={name}"
            # A trigger must be in the location of its bucket: https://cloud.google.com/eventarc/docs/understand-locations
            yield f"--trigger-location={commands.declaration.region}"
        case TopicTrigger(topic=topic):
            yield f"--trigger-topic={commands.declaration.topics[topic].name}"
    # Without this an event is dropped when the function does not acknowledge it:
    # https://cloud.google.com/functions/docs/bestpractices/retries
    yield "--retry"
    yield f"--trigger-service-account={commands.email('invoker')}"


def _declared_trigger(commands: Commands, function: Function) -> dict[str, object]:
    match function.trigger:
        case StorageTrigger(storage=event_type, bucket=bucket):
            name = commands.declaration.buckets[bucket].name_in(commands.project)
            more: dict[str, object] = {"eventTrigger.eventType": event_type, BUCKET_PATH: name}
        case TopicTrigger(topic=topic):
            path = commands.declaration.topics[topic].path(commands.project)
            more = {"eventTrigger.eventType": PUBLISHED, TOPIC_PATH: path}
        case HttpTrigger():
            return {"eventTrigger.eventType": None}
    account = commands.email("invoker")
    return more | {"eventTrigger.retryPolicy": "RETRY_POLICY_RETRY", "eventTrigger.serviceAccountEmail": account}


def _retry(commands: Commands, name: str, deployed: Step) -> Step:
    """Return the step that sets backoff and dead letters on the subscription that Eventarc created."""
    retry = commands.declaration.retry
    subscription = f"${{{variable(name, 'SUBSCRIPTION')}}}"
    dead_letters = commands.declaration.dead_letters.path(commands.project)
    words = commands.gcloud(
        *("pubsub", "subscriptions", "update", subscription),
        # Pub/Sub gives up a request after this, and a function may take as long as its own timeout.
        f"--ack-deadline={ACK_DEADLINE_SECONDS}",
        f"--min-retry-delay={retry.minimum_backoff_seconds}s",
        f"--max-retry-delay={retry.maximum_backoff_seconds}s",
        f"--dead-letter-topic={dead_letters}",
        f"--max-delivery-attempts={retry.maximum_delivery_attempts}",
    )
    return Step(
        f"retry and dead letters of {name}",
        create=words,
        update=words,
        describe=commands.describe("pubsub", "subscriptions", "describe", subscription),
        declared={
            "ackDeadlineSeconds": ACK_DEADLINE_SECONDS,
            "retryPolicy.minimumBackoff": f"{retry.minimum_backoff_seconds}s",
            "retryPolicy.maximumBackoff": f"{retry.maximum_backoff_seconds}s",
            "deadLetterPolicy.deadLetterTopic": dead_letters,
            "deadLetterPolicy.maxDeliveryAttempts": retry.maximum_delivery_attempts,
        },
        follows=deployed,
    )


def _schedule(commands: Commands, key: str, schedule: Schedule) -> Step:
    url = f"${{{variable(schedule.function, 'URL')}}}"
    mark = commands.sentence_mark
    settings = (
        f"--schedule={schedule.cron}",
        "--time-zone=Etc/UTC",
        f"--uri={url}",
        "--http-method=POST",
        f"--message-body={json.dumps(schedule.body)}",
        f"--oidc-service-account-email={commands.email('invoker')}",
        # Cloud Run expects its own URL as the audience of the token: https://cloud.google.com/run/docs/authenticating/service-to-service
        f"--oidc-token-audience={url}",
        f"--attempt-deadline={schedule.attempt_deadline_seconds}s",
        f"--description={mark.value}",
    )
    job = ("scheduler", "jobs")
    json_header = "Content-Type=application/json"
    return Step(
        f"schedule {key}",
        create=commands.gcloud(
            *job, "create", "http", schedule.job, commands.location, *settings, f"--headers={json_header}"
        ),
        describe=commands.describe(*job, "describe", schedule.job, commands.location),
        update=commands.gcloud(
            *job, "update", "http", schedule.job, commands.location, *settings, f"--update-headers={json_header}"
        ),
        delete=commands.gcloud(*job, "delete", schedule.job, commands.location),
        declared={
            "schedule": schedule.cron,
            "timeZone": "Etc/UTC",
            "httpTarget.uri": url,
            "httpTarget.httpMethod": "POST",
            "httpTarget.oidcToken.serviceAccountEmail": commands.email("invoker"),
            "attemptDeadline": f"{schedule.attempt_deadline_seconds}s",
            mark.path: mark.value,
        },
    )


def joined(variables: dict[str, str]) -> str:
    """Return ``variables`` as an argument of gcloud.

    If a value has a comma, the argument starts with another separator: https://cloud.google.com/sdk/gcloud/reference/topic/escaping
    """
    pairs = [f"{name}={value}" for name, value in variables.items()]
    if any("," in pair for pair in pairs):
        separator = next(each for each in "|;@#" if not any(each in pair for pair in pairs))
        return f"^{separator}^{separator.join(pairs)}"
    return ",".join(pairs)
