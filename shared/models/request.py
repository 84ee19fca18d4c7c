"""The message to manage a model: an action, and the drop that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.checks.fields import Fields
from shared.checks.labels import read_labels, read_request_id
from shared.drops.drop import DropPath
from shared.settings import Settings

ACTIONS = ("import",)


@dataclass(frozen=True)
class ManageRequest:
    """One message to `modeldrop-models`."""

    action: str
    path: DropPath
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
        path = DropPath.parse(fields.text("path", longest=2048), settings.model_bucket, "path")
        request_id, labels = read_request_id(fields, published), dict(read_labels(fields))
        fields.reject_unknown()
        return cls(action, path, request_id, labels)
