"""The message to manage a model: an action, and the drop that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.checks.fields import Fields
from shared.drops.drop import DropPath
from shared.settings import Settings

ACTIONS = ("import",)


@dataclass(frozen=True)
class ManageRequest:
    """One message to `modeldrop-models`."""

    action: str
    path: DropPath

    @classmethod
    def parse(cls, payload: Mapping[str, object], settings: Settings) -> ManageRequest:
        """Read a message.

        Raises:
            Rejected: A field is wrong; the error names the first one.
        """
        fields = Fields(payload)
        fields.text("action")
        action = fields.choice("action", ACTIONS, "")
        path = DropPath.parse(fields.text("path", longest=2048), settings.model_bucket, "path")
        fields.optional_text("request_id", longest=256)
        fields.reject_unknown()
        return cls(action, path)
