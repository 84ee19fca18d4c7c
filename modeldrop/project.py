"""The project that a command is about: a local cloud, or a project of Google Cloud with the user's own rights."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.running import ID_VARIABLE, NotOneRunning, choose
from shared.clock import utc_now

if TYPE_CHECKING:
    from google.cloud import storage

    from declaration.model import Declaration
    from shared.engine.ledger.ledger import Ledger

DECLARATION = Path(__file__).resolve().parent.parent / "deploy" / "functions.yaml"
# How long a claim of a call is valid; these commands only read, and claim nothing.
_LEASE_SECONDS = 120.0
# Variables that lead Google's clients to a local cloud.
_LOCAL_VARIABLES = (
    "BIGQUERY_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "STORAGE_EMULATOR_HOST",
    "VERTEX_ENDPOINT",
    "GOOGLE_VERTEX_BASE_URL",
)
_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"


class NoProject(Exception):
    """It is not clear which project is meant; the text says what to do."""


@dataclass(frozen=True)
class Project:
    """A project, its buckets and its ledger."""

    name: str
    model_bucket: str
    state_bucket: str
    events_topic: str
    """The resource name, as of the other topics."""
    models_topic: str
    batch_topic: str
    is_local: bool
    environment: str | None = None
    """The declared environment; None: the one without a name."""
    port: int | None = None
    """The port that `--port` named; None: the command found the local cloud without it."""
    is_of_shell: bool = True
    """Whether the shell has the variables of the local cloud."""

    @cached_property
    def storage(self) -> storage.Client:
        """The client of Cloud Storage."""
        from google.cloud import storage

        # Without this, the client also gets the bucket's metadata, for traces that are not used here.
        os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        return storage.Client(project=self.name)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger in the state bucket."""
        from shared.engine.ledger.ledger import Ledger

        return Ledger(self.storage, self.state_bucket, clock=utc_now, lease_seconds=_LEASE_SECONDS)

    def command(self, words: str) -> str:
        """Return what a person types to run ``modeldrop WORDS`` for this project."""
        if self.is_local:
            return f"modeldrop {words}{f' --port {self.port}' if self.port else ''}"
        return f"modeldrop {words} --project {self.name}{self._env}"

    def deploy_command(self, words: str) -> str:
        """Return what a person types to run ``modeldrop deploy WORDS`` for this project."""
        if self.is_local:
            return self.other_command(f"modeldrop deploy {words}")
        return f"modeldrop deploy{self._env} {words} --project {self.name}"

    def publish_command(self, topic: str, message: Mapping[str, Any]) -> str:
        """Return what a person types to publish ``message`` to the topic with the resource name ``topic``."""
        project = "" if self.is_local else f" --project={self.name}"
        text = shlex.quote(json.dumps(message, ensure_ascii=False))
        name = topic.rpartition("/")[2]
        return self.other_command(f"gcloud pubsub topics publish {name}{project} --message={text}")

    def other_command(self, command: str) -> str:
        """Return what a person types so that ``command`` of another program reaches this project."""
        if not self.is_local or self.is_of_shell:
            return command
        return f"modeldrop exec{f' --port {self.port}' if self.port else ''} -- {command}"

    @property
    def _env(self) -> str:
        return f" --env {self.environment}" if self.environment else ""


def find_project(name: str | None, port: int | None = None, environment: str | None = None) -> Project:
    """Return the project that is meant, and set the variables of a local cloud for this process.

    Args:
        name: A project of Google Cloud; None: a running local cloud, or else the project of the environment.
        port: The port of the local cloud, if several run.
        environment: One of the declared environments of a project of Google Cloud; None: the one without a name.

    Raises:
        NoProject: It is not clear which project is meant, or it has no such environment.
    """
    if environment is not None:
        name = name or os.environ.get("GOOGLE_CLOUD_PROJECT")
        if name is None or (name == os.environ.get("GOOGLE_CLOUD_PROJECT") and ID_VARIABLE in os.environ):
            raise NoProject("A local cloud has no environments. For one of Google Cloud, give --project too.")
        return _on_google_cloud(name, environment)
    if name is not None and name != os.environ.get("GOOGLE_CLOUD_PROJECT"):
        return _on_google_cloud(name)
    if name is not None and ID_VARIABLE not in os.environ:
        return _on_google_cloud(name)
    shell = os.environ.get(ID_VARIABLE)
    try:
        os.environ.update(choose(port).environment)
    except NotOneRunning as error:
        name = os.environ.get("GOOGLE_CLOUD_PROJECT")
        if port is not None or ID_VARIABLE in os.environ or not name:
            raise NoProject(f"{error} For Google Cloud, give --project.") from error
        return _on_google_cloud(name)
    return _of_environment(port, is_of_shell=os.environ[ID_VARIABLE] == shell)


def declared(environment: str | None = None) -> Declaration:
    """Return the declaration of functions, buckets and topics, as it is in ``environment``.

    Raises:
        NoProject: The environment is not declared.
    """
    from declaration.reading import DeclarationError, read_declaration

    try:
        return read_declaration(DECLARATION, environment=environment)
    except DeclarationError as error:
        raise NoProject(str(error)) from error


def _of_environment(port: int | None, *, is_of_shell: bool) -> Project:
    variables = os.environ
    return Project(
        variables["GOOGLE_CLOUD_PROJECT"],
        variables["MODEL_BUCKET"],
        variables["STATE_BUCKET"],
        variables["EVENTS_TOPIC"],
        variables["MODELS_TOPIC"],
        variables["BATCH_TOPIC"],
        is_local=True,
        port=port,
        is_of_shell=is_of_shell,
    )


def _on_google_cloud(name: str, environment: str | None = None) -> Project:
    """Return a project of Google Cloud, and remove the variables of a local cloud from this process."""
    declaration = declared(environment)
    for variable in _LOCAL_VARIABLES:
        os.environ.pop(variable, None)
    if os.environ.pop(ID_VARIABLE, None) is not None:
        os.environ.pop(_KEY_FILE, None)
    buckets = {bucket.env: bucket.name_in(name) for bucket in declaration.buckets.values()}
    topics = {topic.env: topic.path(name) for topic in declaration.topics.values()}
    return Project(
        name,
        buckets["MODEL_BUCKET"],
        buckets["STATE_BUCKET"],
        topics["EVENTS_TOPIC"],
        topics["MODELS_TOPIC"],
        topics["BATCH_TOPIC"],
        is_local=False,
        environment=environment,
    )
