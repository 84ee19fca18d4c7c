"""The settings of the functions: the one list of their names, defaults and meanings.

The environment variable of a setting is its name in upper case. A test compares the README's table with this list.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from typing import Any


class SettingError(ValueError):
    """A setting is missing or invalid. The function cannot start."""


def _text(value: str) -> str:
    return value


def _names(value: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",") if name.strip())


def _switch(value: str) -> bool:
    return value.strip().lower() in {"1", "true", "yes", "on"}


REQUIRED = object()


def setting(read: Callable[[str], Any], meaning: str, default: Any = REQUIRED) -> Any:
    """Declare a setting.

    Args:
        read: Converts the variable's text.
        meaning: One sentence for the README.
        default: The value without a variable; ``REQUIRED`` if the variable must be set.
    """
    metadata = {"read": read, "meaning": meaning}
    return field(metadata=metadata) if default is REQUIRED else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of a function."""

    google_cloud_project: str = setting(_text, "The project that jobs run in.")
    model_bucket: str = setting(_text, "The bucket for model drops.")
    state_bucket: str = setting(_text, "The bucket for the ledger.")
    output_bucket: str = setting(
        _text, "The bucket for the answers of batches that read from Cloud Storage and name no output."
    )
    events_topic: str = setting(_text, "The topic for events: `projects/P/topics/T`.")
    predict_topic: str = setting(_text, "The topic for the `predict` message of a drop.", "")
    vertex_location: str = setting(_text, "The region of Gemini batches.", "us-central1")
    vertex_endpoint: str = setting(_text, "The address of Vertex AI. Empty: the region's address.", "")
    settle_seconds: float = setting(float, "How long a drop must be unchanged before it is imported.", 20.0)
    drop_stuck_seconds: float = setting(
        float, "How long a drop may be incomplete before it is reported as stuck.", 3600.0
    )
    safe_import: bool = setting(_switch, "Import every drop as a candidate first, even a drop without a check.", False)
    readable_datasets: tuple[str, ...] = setting(
        _names,
        "The datasets that queries may read, separated by commas: `project.dataset`, or `dataset` in this project. Empty: all.",
        (),
    )
    writable_datasets: tuple[str, ...] = setting(
        _names,
        "The datasets that jobs may write, separated by commas: `project.dataset`, or `dataset` in this project. Empty: all.",
        (),
    )
    allow_external_query: bool = setting(_switch, "Allow `EXTERNAL_QUERY` in a message's query.", False)
    allow_ai_functions: bool = setting(
        _switch, "Allow functions such as `AI.*` in a message's query, which call a model for each row.", False
    )
    max_concurrent_batches: int = setting(int, "How many Gemini batches run at once. Others wait in the ledger.", 8)
    lease_seconds: float = setting(float, "How long a claim is valid. Then another call may take the work over.", 120.0)
    vertex_settle: float = setting(
        float, "How many seconds after its lease an unanswered batch submission is looked up.", 120.0
    )
    wait_seconds: float = setting(float, "How often work that waits for quota or for a model is tried again.", 30.0)
    model_wait_seconds: float = setting(
        float, "How long a prediction waits for a model whose drop is being imported.", 86400.0
    )
    create_model_deadline_seconds: float = setting(
        float, "How long an import may run before it is reported as stuck.", 86400.0
    )
    query_deadline_seconds: float = setting(float, "How long a query may run before it is reported as stuck.", 43200.0)
    batch_deadline_seconds: float = setting(
        float,
        "How long a Gemini batch may take before it is reported as stuck: 72 h in the queue and 24 h of work.",
        345600.0,
    )
    poll_again_seconds: float = setting(
        float, "How often the poller looks again within its minute while work is open. 0: only once a minute.", 4.0
    )
    poll_budget_seconds: float = setting(float, "How long one tick of the poller may take.", 240.0)
    poll_threads: int = setting(int, "How many items the poller handles at the same time.", 8)
    stuck_looks: int = setting(
        int, "After how many attempts that kill the poller, or fail, work is reported as stuck and set aside.", 3
    )
    reconcile_seconds: float = setting(float, "How often the poller looks for drops whose events were lost.", 3600.0)
    ledger_retention_days: float = setting(float, "How many days finished work is kept in the ledger.", 30.0)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read all settings; raise ``SettingError`` with the name of the first invalid one or of all missing ones."""
        values: dict[str, Any] = {}
        for each in fields(cls):
            name = each.name.upper()
            text = environment.get(name, "")
            if text:
                try:
                    values[each.name] = each.metadata["read"](text)
                except ValueError as error:
                    raise SettingError(f"the setting {name} is {text!r}, which is not a valid {each.type}") from error
        missing = [each.name.upper() for each in fields(cls) if each.name not in values and each.default is MISSING]
        if missing:
            raise SettingError(f"the setting {missing[0]} is missing; required are {', '.join(missing)}")
        return cls(**values)


@cache
def settings() -> Settings:
    """Return the settings of this process, read from its environment once."""
    return Settings.from_environment(os.environ)
