"""Google's service agents: the accounts of Google's services in a project.

A new project has none. An agent that is created on request has no role, so its usual role is granted too:
https://cloud.google.com/iam/docs/create-service-agents
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from deploy.planning.commands import PROJECT_NUMBER, Commands
from deploy.planning.steps import Grant, Step, grant_step


class Agent(NamedTuple):
    """The agent of a service."""

    service: str
    """The service."""
    domain: str
    """What its address has between ``@`` and ``.iam.gserviceaccount.com``: https://cloud.google.com/iam/docs/service-agents"""
    role: str
    """The role that Google gives it if it creates the agent by itself."""
    reason: str
    """What it does for Modeldrop, as the rest of a sentence that begins with the service."""

    @property
    def member(self) -> str:
        """The agent as policies name it."""
        return f"serviceAccount:service-{PROJECT_NUMBER}@{self.domain}.iam.gserviceaccount.com"


AGENTS = (
    Agent(
        "pubsub.googleapis.com", "gcp-sa-pubsub", "roles/pubsub.serviceAgent", "signs the requests that deliver events"
    ),
    Agent("eventarc.googleapis.com", "gcp-sa-eventarc", "roles/eventarc.serviceAgent", "creates triggers"),
    Agent(
        "cloudscheduler.googleapis.com",
        "gcp-sa-cloudscheduler",
        "roles/cloudscheduler.serviceAgent",
        "signs the requests that call the poller",
    ),
    Agent(
        "aiplatform.googleapis.com",
        "gcp-sa-aiplatform",
        "roles/aiplatform.serviceAgent",
        "reads the inputs of batches and writes their outputs",
    ),
)
"""The agents that Modeldrop needs, besides that of Cloud Storage, which another command creates."""
PUBSUB = AGENTS[0].member
VERTEX = AGENTS[3].member
BIGQUERY_ENCRYPTION = f"serviceAccount:bq-{PROJECT_NUMBER}@bigquery-encryption.iam.gserviceaccount.com"
"""BigQuery's account that encrypts and decrypts: https://cloud.google.com/bigquery/docs/customer-managed-encryption"""
STORAGE = "serviceAccount:${STORAGE_AGENT}"


def key_steps(commands: Commands) -> Iterator[Step]:
    """Yield the steps that let BigQuery use the declared keys. The roles are never revoked, because tables may need them."""
    keys = commands.declaration.keys
    if not keys:
        return
    # This command creates the account if it does not exist.
    show = ("bq", "show", "--encryption_service_account", f"--project_id={commands.project}")
    yield Step("encryption account of BigQuery", create=show)
    for key, roles in keys.items():
        for role in roles:
            grant = Grant(commands.key_target(key), role, BIGQUERY_ENCRYPTION)
            yield grant_step(f"{role} on {key} for BigQuery", grant, is_kept=True)


def agent_steps(commands: Commands) -> Iterator[Step]:
    """Yield the steps that create the agents and give them their roles.

    The roles are never revoked, because other triggers of the project may need them.
    """
    project = commands.project_target()
    for agent in AGENTS:
        yield Step(
            f"agent of {agent.service}, which {agent.reason}",
            create=commands.gcloud("beta", "services", "identity", "create", f"--service={agent.service}"),
        )
        yield grant_step(f"{agent.role} for it", Grant(project, agent.role, agent.member), is_kept=True)
    for feature in commands.declaration.features.values():
        for key, roles in feature.vertex_bucket_roles.items() if feature.enabled else ():
            target = commands.bucket_target(key)
            for role in roles:
                yield grant_step(f"{role} on {target.name} for Vertex AI", Grant(target, role, VERTEX), is_kept=True)
    # https://cloud.google.com/eventarc/docs/roles-permissions
    yield grant_step(
        "Cloud Storage may publish its events", Grant(project, "roles/pubsub.publisher", STORAGE), is_kept=True
    )
    # https://cloud.google.com/pubsub/docs/handling-failures#grant_forwarding_permissions
    dead_letters = commands.topic_target(commands.declaration.retry.dead_letter_topic)
    yield grant_step(
        "Pub/Sub may forward dead letters", Grant(dead_letters, "roles/pubsub.publisher", PUBSUB), is_kept=True
    )
    # Eventarc chooses the names of the subscriptions and may create new ones, so this role is on the project.
    yield grant_step(
        "Pub/Sub may acknowledge dead letters", Grant(project, "roles/pubsub.subscriber", PUBSUB), is_kept=True
    )
