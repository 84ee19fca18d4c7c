"""Every setting of the functions: its name, default and meaning, read from the environment once.

The name of a field in upper case is the name of the variable. The README's table of settings is tested against this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any


class SettingError(ValueError):
    """A setting is missing or cannot be understood: the function cannot start."""


def _text(value: str) -> str:
    return value


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _yes(value: str) -> bool:
    return value.strip().lower() in {"1", "true", "yes", "on"}


REQUIRED = object()


def setting(read: Callable[[str], Any], meaning: str, default: Any = REQUIRED) -> Any:
    """Declare a setting: how its text is read, what it means, and its default, if it has one."""
    metadata = {"read": read, "meaning": meaning}
    return field(metadata=metadata) if default is REQUIRED else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of one function's process."""

    google_cloud_project: str = setting(_text, "The project that jobs run in.")
    model_bucket: str = setting(_text, "Where model drops arrive.")
    state_bucket: str = setting(_text, "Where the ledger is.")
    output_bucket: str = setting(
        _text, "Where a batch with a Cloud Storage input writes when the request names no output."
    )
    events_topic: str = setting(_text, "Where events go: `projects/P/topics/T`.")
    predict_topic: str = setting(_text, "Where a drop's own `predict` is published.", "")
    vertex_location: str = setting(_text, "The region of Gemini batches.", "us-central1")
    vertex_endpoint: str = setting(_text, "Another address of Vertex AI; left out, the region's own.", "")
    settle_seconds: float = setting(float, "How long a drop must have been left alone before it is imported.", 20.0)
    drop_stuck_seconds: float = setting(float, "After how long an incomplete drop is reported as stuck.", 3600.0)
    safe_import: bool = setting(_yes, "Import every drop as a candidate first, even one without a check.", False)
    readable_datasets: tuple[str, ...] = setting(
        _names,
        "Datasets that queries may read, `project.dataset`, or `dataset` of the own project, with commas. Empty: all.",
        (),
    )
    writable_datasets: tuple[str, ...] = setting(
        _names,
        "Datasets that jobs may write, `project.dataset`, or `dataset` of the own project, with commas. Empty: all.",
        (),
    )
    allow_external_query: bool = setting(_yes, "Allow `EXTERNAL_QUERY` in a message's query.", False)
    allow_ai_functions: bool = setting(
        _yes, "Allow functions in a message's query that call a model for every row, such as `AI.*`.", False
    )
    max_concurrent_batches: int = setting(int, "How many Gemini batches run at once; more wait in the ledger.", 8)
    lease_seconds: float = setting(float, "How long a claim holds before another may take it over.", 120.0)
    vertex_settle: float = setting(
        float, "Seconds to wait past a lease before an unanswered batch submission is looked for.", 120.0
    )
    wait_seconds: float = setting(
        float, "How long work that waits for a quota or its model is left alone before it is looked at again.", 30.0
    )
    model_wait_seconds: float = setting(
        float, "How long a predict message waits for a model whose drop is being imported.", 86400.0
    )
    create_model_deadline_seconds: float = setting(
        float, "After how long an import that runs is reported as stuck.", 86400.0
    )
    query_deadline_seconds: float = setting(float, "After how long a query that runs is reported as stuck.", 43200.0)
    batch_deadline_seconds: float = setting(
        float, "After how long a Gemini batch is reported as stuck: 72 h of queue and 24 h of work.", 345600.0
    )
    poll_budget_seconds: float = setting(float, "How long one tick of the poller may work.", 240.0)
    poll_threads: int = setting(int, "How many finished jobs the poller handles side by side.", 8)
    reconcile_seconds: float = setting(float, "How often the poller looks for drops whose events were lost.", 3600.0)
    ledger_retention_days: float = setting(float, "How long finished work stays known.", 30.0)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read all settings from ``environment``; raise ``SettingError`` that names the first wrong one."""
        values: dict[str, Any] = {}
        for each in fields(cls):
            name = each.name.upper()
            text = environment.get(name, "")
            if text:
                try:
                    values[each.name] = each.metadata["read"](text)
                except ValueError as error:
                    raise SettingError(f"the setting {name} is {text!r}, which is no {each.type}") from error
        missing = [each.name.upper() for each in fields(cls) if each.name not in values and each.default is MISSING]
        if missing:
            raise SettingError(f"the setting {missing[0]} is missing; required are {', '.join(missing)}")
        return cls(**values)


@cache
def settings() -> Settings:
    """Return this process's settings, read from its environment the first time."""
    return Settings.from_environment(os.environ)
