"""The quotas of ``POST /quotas``: limits of the real services, which are off by default in the local cloud."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localcloud.bigquery.server import BigQuery
    from localcloud.storage.service import Storage

QUOTAS = ("storage_writes_per_second", "bigquery_queued_interactive", "bigquery_table_modifications_per_day")


class QuotaError(ValueError):
    """An invalid quota; the message names the field and the reason."""


class Quotas:
    """The active limits. A limit of None is off; all are off at the start."""

    def __init__(self, storage: Storage, bigquery: BigQuery) -> None:
        """Control the limits of ``storage`` and ``bigquery``."""
        self._storage = storage
        self._bigquery = bigquery
        self._limits: dict[str, float | None] = dict.fromkeys(QUOTAS)
        self._lock = threading.Lock()

    def limit(self, document: Any) -> None:
        """Change the limits that ``document`` names; null turns a limit off.

        ``storage_writes_per_second`` limits the writes of one object, ``bigquery_queued_interactive`` the interactive
        queries that are not done, and ``bigquery_table_modifications_per_day`` the modifications of one table.

        Raises:
            QuotaError: The document is invalid; no limit is changed.
        """
        if not isinstance(document, dict):
            raise QuotaError(f"Quotas must be an object, not {document!r}.")
        for name, value in document.items():
            if name not in QUOTAS:
                raise QuotaError(f"There is no quota `{name}`; the quotas are {', '.join(QUOTAS)}.")
            whole = name != "storage_writes_per_second"
            number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if value is not None and not (number and value > 0):
                kind = "an integer" if whole else "a number"
                raise QuotaError(f"`{name}` must be {kind} above 0 or null, not {value!r}.")
        with self._lock:
            self._limits.update(document)
            self._apply()

    def lift(self) -> None:
        """Turn all limits off."""
        with self._lock:
            self._limits = dict.fromkeys(QUOTAS)
            self._apply()

    def describe(self) -> dict[str, float | None]:
        """Return all limits by name."""
        with self._lock:
            return dict(self._limits)

    def _apply(self) -> None:
        limits: dict[str, Any] = self._limits
        self._storage.limit_writes(limits["storage_writes_per_second"])
        self._bigquery.limit(
            queued_interactive=limits["bigquery_queued_interactive"],
            table_modifications_per_day=limits["bigquery_table_modifications_per_day"],
        )
