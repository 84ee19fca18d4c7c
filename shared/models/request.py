"""The message that manages a model: which action, on what."""

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
        """Read a message; raise ``Rejected`` with the first wrong field."""
        fields = Fields(payload)
        fields.text("action")
        action = fields.choice("action", ACTIONS, "")
        path = DropPath.parse(fields.text("path", longest=2048), settings.model_bucket, "path")
        fields.optional_text("request_id", longest=256)
        fields.reject_unknown()
        return cls(action, path)
