"""The message to manage a model: an action, and the drop or the model that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.checks.fields import Fields
from shared.checks.identifiers import ModelName
from shared.checks.labels import read_labels, read_request_id
from shared.checks.registry_rules import read_aliases, read_registry_id
from shared.drops.drop import LONGEST_VERSION, VERSION, DropPath
from shared.messages.deployment_request import DeploymentRequest, check_endpoint
from shared.settings import Settings

IMPORT, ROLLBACK, UNPIN, DELETE, DESCRIBE = "import", "rollback", "unpin", "delete", "describe"
REGISTER, SET_ALIASES, DEPLOY, UNDEPLOY = "register", "set_aliases", "deploy", "undeploy"
ACTIONS = (IMPORT, ROLLBACK, UNPIN, DELETE, DESCRIBE, REGISTER, SET_ALIASES, DEPLOY, UNDEPLOY)


@dataclass(frozen=True)
class ManageRequest:
    """One message to `modeldrop-models`."""

    action: str
    path: DropPath | None = None
    """The drop to import; None unless the action is `import`."""
    model: ModelName | None = None
    """The model; None if the action is `import`."""
    version: str | None = None
    """The version to roll back to; None: the one below the current."""
    registry_id: str | None = None
    """The id in the registry of Vertex AI; None unless the action is `register`."""
    aliases: tuple[str, ...] = ()
    """The aliases that the model's version in the registry gets."""
    deployment: DeploymentRequest | None = None
    """How to deploy the model; None unless the action is `deploy`."""
    endpoint: str | None = None
    """The endpoint to undeploy from; None: all endpoints."""
    undeploy: bool = False
    """Whether a model that is deployed is undeployed before it is deleted."""
    request_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, payload: Mapping[str, object], settings: Settings, published: datetime) -> ManageRequest:
        """Read a message.

        Args:
            payload: The message.
            settings: The settings of the function.
            published: When it was published; fills in ``{date}`` and ``{hour}``.

        Raises:
            Rejected: A field is wrong; the error names the first one.
        """
        fields = Fields(payload)
        fields.text("action")
        action = fields.choice("action", ACTIONS, "")
        path, model, version = None, None, None
        if action == IMPORT:
            path = DropPath.parse(fields.text("path", longest=2048), settings.model_bucket, "path")
        else:
            parse = ModelName.parse_new if action == ROLLBACK else ModelName.parse
            model = parse(fields.text("model"), project=settings.google_cloud_project, field="model")
        if action == ROLLBACK:
            version = fields.optional_text("version", longest=LONGEST_VERSION)
            if version is not None and not VERSION.fullmatch(version):
                raise fields.wrong(
                    "version", f"is {version[:80]!r}; write the last folder of the drop's path, such as 2"
                )
        request = cls(
            action=action,
            path=path,
            model=model,
            version=version,
            registry_id=read_registry_id(fields) if action == REGISTER else None,
            aliases=_aliases(fields, action) if action in {REGISTER, SET_ALIASES} else (),
            deployment=DeploymentRequest.read(fields) if action == DEPLOY else None,
            endpoint=_endpoint(fields) if action == UNDEPLOY else None,
            undeploy=fields.switch("undeploy") if action == DELETE else False,
            request_id=read_request_id(fields, published),
            labels=dict(read_labels(fields)),
        )
        fields.reject_unknown()
        return request


def _endpoint(fields: Fields) -> str | None:
    text = fields.optional_text("endpoint")
    if text is not None:
        check_endpoint(text, fields)
    return text


def _aliases(fields: Fields, action: str) -> tuple[str, ...]:
    aliases = read_aliases(fields)
    if action == SET_ALIASES and not aliases:
        raise fields.wrong("aliases", 'must name at least one alias: write ["champion"]', code="missing_field")
    return aliases
