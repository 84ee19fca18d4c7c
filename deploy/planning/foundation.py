"""The steps that an owner of the project runs once: APIs, accounts, buckets, topics, grants."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from declaration.model import Declaration
from declaration.resources import Account, Bucket
from deploy.planning.agents import agent_steps, key_steps
from deploy.planning.commands import PROJECT_NUMBER, PUBLISHER, UPLOADER, Commands
from deploy.planning.steps import Grant, Listing, Step, Target, grant_step

SERVICES = (
    "aiplatform.googleapis.com",
    "artifactregistry.googleapis.com",
    "bigquery.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    # `gcloud functions deploy` reads the project's number; Cloud Build runs it as an account of the project.
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "eventarc.googleapis.com",
    "iam.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    # `gcloud functions deploy` looks whether the APIs that it needs are enabled.
    "serviceusage.googleapis.com",
    "storage.googleapis.com",
)
"""The APIs that the functions or the commands of a plan always call. A test compares them with the calls that gcloud makes."""
KEY_SERVICE = "cloudkms.googleapis.com"
"""The API that the commands call if keys are declared."""
HOLD_RETENTION_SECONDS = 7 * 86400
ACK_DEADLINE_SECONDS = 600


def services(declaration: Declaration) -> tuple[str, ...]:
    """Return the APIs that a declaration needs."""
    return (*SERVICES, KEY_SERVICE) if declaration.keys else SERVICES


def foundation(commands: Commands) -> Iterator[Step]:
    """Yield the steps, in an order that works."""
    declaration = commands.declaration
    yield Step("APIs", commands.gcloud("services", "enable", *services(declaration)))
    for account in declaration.accounts.values():
        yield _account(commands, account)
    for bucket in declaration.buckets.values():
        yield _bucket(commands, bucket)
    for key in declaration.topics:
        yield from _topic(commands, key)
    yield from agent_steps(commands)
    yield from key_steps(commands)
    for key, account in declaration.accounts.items():
        yield from _grants(commands, key, account)
    yield from _features(commands)
    yield from _members(commands)


def listings(commands: Commands) -> Iterator[Listing]:
    """Yield where to look for topics, accounts, subscriptions and buckets."""
    declaration, project = commands.declaration, commands.project
    topics, buckets = declaration.topics.values(), declaration.buckets.values()
    yield Listing(
        "topic",
        commands.describe("pubsub", "topics", "list"),
        declared=frozenset(topic.name for topic in topics),
        delete=commands.gcloud("pubsub", "topics", "delete", "${NAME}"),
        mark=commands.label_mark,
    )
    yield Listing(
        "account",
        commands.describe("iam", "service-accounts", "list"),
        declared=frozenset(account.email(project) for account in declaration.accounts.values()),
        delete=commands.gcloud("iam", "service-accounts", "delete", "${NAME}"),
        mark=commands.sentence_mark,
        is_account=True,
    )
    yield Listing(
        "subscription",
        commands.describe("pubsub", "subscriptions", "list"),
        declared=frozenset(topic.hold for topic in topics if topic.hold),
        delete=commands.gcloud("pubsub", "subscriptions", "delete", "${NAME}"),
        mark=commands.label_mark,
        holds_data=True,
    )
    yield Listing(
        "bucket",
        commands.describe("storage", "buckets", "list", "--raw"),
        declared=frozenset(bucket.name_in(project) for bucket in buckets),
        delete=commands.gcloud("storage", "rm", "--recursive", "gs://${NAME}"),
        mark=commands.label_mark,
        holds_data=True,
    )


def _account(commands: Commands, account: Account) -> Step:
    email = account.email(commands.project)
    group = ("iam", "service-accounts")
    mark = commands.sentence_mark
    description = f"--description={mark.value}"
    return Step(
        f"account {account.id}",
        create=commands.gcloud(*group, "create", account.id, description),
        describe=commands.describe(*group, "describe", email),
        update=commands.gcloud(*group, "update", email, description),
        delete=commands.gcloud(*group, "delete", email),
        declared={mark.path: mark.value},
    )


def _bucket(commands: Commands, bucket: Bucket) -> Step:
    url = f"gs://{bucket.name_in(commands.project)}"
    buckets = ("storage", "buckets")
    mark = commands.label_mark
    settings = ["--uniform-bucket-level-access", "--public-access-prevention"]
    declared: dict[str, object] = {
        "projectNumber": PROJECT_NUMBER,
        "location": commands.declaration.region,
        "iamConfiguration.uniformBucketLevelAccess.enabled": True,
        "iamConfiguration.publicAccessPrevention": "enforced",
        mark.path: mark.value,
    }
    if bucket.soft_delete_seconds is not None:
        settings.append(f"--soft-delete-duration={bucket.soft_delete_seconds}s")
        declared["softDeletePolicy.retentionDurationSeconds"] = bucket.soft_delete_seconds
    changes = [f"--update-labels={commands.label}"]
    if bucket.soft_delete_seconds == 0:
        # Such a bucket keeps no former objects. A retention period or a hold would refuse to replace and delete them:
        # https://cloud.google.com/storage/docs/bucket-lock
        changes += ["--clear-retention-period", "--no-default-event-based-hold"]
        declared |= {"retentionPolicy.retentionPeriod": None, "defaultEventBasedHold": False}
    return Step(
        f"bucket {url}",
        create=commands.gcloud(*buckets, "create", url, commands.location, *settings),
        describe=commands.describe(*buckets, "describe", url, "--raw"),
        update=commands.gcloud(*buckets, "update", url, *settings, *changes),
        # A bucket gets no labels when it is created: https://cloud.google.com/sdk/gcloud/reference/storage/buckets/create
        is_created_bare=True,
        delete=commands.gcloud("storage", "rm", "--recursive", url),
        holds_data=True,
        declared=declared,
        fixed=frozenset({"projectNumber", "location"}),
    )


def _topic(commands: Commands, key: str) -> Iterator[Step]:
    topic = commands.declaration.topics[key]
    label, mark = commands.label, commands.label_mark
    yield Step(
        f"topic {topic.name}",
        create=commands.gcloud("pubsub", "topics", "create", topic.name, f"--labels={label}"),
        describe=commands.describe("pubsub", "topics", "describe", topic.name),
        # A schema would refuse our messages.
        update=commands.gcloud(
            *("pubsub", "topics", "update", topic.name), f"--update-labels={label}", "--clear-schema-settings"
        ),
        delete=commands.gcloud("pubsub", "topics", "delete", topic.name),
        # A subscription without its topic gets no messages, so both are deleted or kept.
        holds_data=topic.hold is not None,
        declared={"schemaSettings.schema": "", mark.path: mark.value},
    )
    if topic.hold:
        group = ("pubsub", "subscriptions")
        settings = (
            f"--ack-deadline={ACK_DEADLINE_SECONDS}",
            f"--message-retention-duration={HOLD_RETENTION_SECONDS}s",
            "--expiration-period=never",
        )
        yield Step(
            f"subscription {topic.hold}, which holds the messages of {topic.name}",
            create=commands.gcloud(
                *group, "create", topic.hold, f"--topic={topic.name}", *settings, f"--labels={label}"
            ),
            describe=commands.describe(*group, "describe", topic.hold),
            update=commands.gcloud(
                *group, "update", topic.hold, *settings, f"--update-labels={label}", "--push-endpoint="
            ),
            delete=commands.gcloud(*group, "delete", topic.hold),
            holds_data=True,
            declared={
                "topic": topic.path(commands.project),
                "ackDeadlineSeconds": ACK_DEADLINE_SECONDS,
                "messageRetentionDuration": f"{HOLD_RETENTION_SECONDS}s",
                "expirationPolicy.ttl": None,
                # One of these would keep messages from being held.
                "filter": "",
                "detached": False,
                "pushConfig.pushEndpoint": "",
                mark.path: mark.value,
            },
            fixed=frozenset({"topic", "filter", "detached"}),
        )


def _grants(commands: Commands, key: str, account: Account) -> Iterator[Step]:
    declared: list[tuple[Target, str]] = [(commands.project_target(), role) for role in account.roles]
    for roles, target_of in (
        (account.bucket_roles, commands.bucket_target),
        (account.topic_roles, commands.topic_target),
        (account.account_roles, commands.account_target),
    ):
        declared += [(target_of(each), role) for each, names in roles.items() for role in names]
    for target, role in declared:
        yield grant_step(f"{role} on {target.name} for {account.id}", Grant(target, role, commands.member(key)))
    if account.reads_build_source:
        bucket = f"{commands.project}_cloudbuild"
        condition = f'resource.name.startsWith("projects/_/buckets/{bucket}/")'
        grant = Grant(commands.project_target(), "roles/storage.objectViewer", commands.member(key), condition)
        yield grant_step(f"{grant.role} on gs://{bucket} for {account.id}", grant)


def _members(commands: Commands) -> Iterator[Step]:
    """Yield the grants of the members who may publish and upload."""
    for key, topic in commands.declaration.topics.items():
        for member in topic.publishers:
            target = commands.topic_target(key)
            yield grant_step(f"{member} may publish to {topic.name}", Grant(target, PUBLISHER, member))
    for key, bucket in commands.declaration.buckets.items():
        for member in bucket.uploaders:
            target = commands.bucket_target(key)
            yield grant_step(f"{member} may write to {target.name}", Grant(target, UPLOADER, member))


def _features(commands: Commands) -> Iterator[Step]:
    """Yield the grants of the functions' account for what is enabled, and for the data that messages may use."""
    declaration = commands.declaration
    runtime, target = commands.member("runtime"), commands.project_target()
    for name, feature in declaration.features.items():
        for role in feature.roles if feature.enabled else ():
            yield grant_step(f"{role} on {target.name} for {name}", Grant(target, role, runtime))
    if declaration.datasets is None:
        return
    readable, writable = declaration.datasets.readable, declaration.datasets.writable
    # Who may write all data may read it too.
    for access in (readable, writable) if writable.names else (writable,):
        condition = _dataset_condition(commands.project, access.names)
        where = ", ".join(access.names) or f"all datasets of {target.name}"
        if condition or not access.names:
            yield grant_step(f"{access.role} on {where}", Grant(target, access.role, runtime, condition))


def _dataset_condition(project: str, names: Iterable[str]) -> str:
    """Return the condition that limits a role to those of the datasets that are in ``project``.

    https://cloud.google.com/bigquery/docs/conditions
    """
    own = [name.rpartition(".")[2] for name in names if name.rpartition(".")[0] in ("", project)]
    paths = [f"projects/{project}/datasets/{name}" for name in own]
    return " || ".join(f'resource.name == "{path}" || resource.name.startsWith("{path}/")' for path in paths)
