"""The quotas of ``POST /quotas``: limits of Google's that a local cloud keeps only when asked to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localcloud.bigquery.server import BigQuery
    from localcloud.storage.service import Storage

QUOTAS = ("storage_writes_per_second", "bigquery_queued_interactive", "bigquery_table_modifications_per_day")


class QuotaError(ValueError):
    """A quota that cannot be meant; the message tells a person which field and why."""


class Quotas:
    """The limits in force; None where nothing is limited, as in the beginning."""

    def __init__(self, storage: Storage, bigquery: BigQuery) -> None:
        self._storage = storage
        self._bigquery = bigquery
        self._limits: dict[str, float | None] = dict.fromkeys(QUOTAS)
        self._lock = threading.Lock()

    def limit(self, document: Any) -> None:
        """Change the limits that ``document`` names; null lifts one. Raises ``QuotaError``; then none is changed.

        ``storage_writes_per_second`` is about one object, ``bigquery_queued_interactive`` about all interactive queries
        that are not done, ``bigquery_table_modifications_per_day`` about one table.
        """
        if not isinstance(document, dict):
            raise QuotaError(f"Quotas are an object, not {document!r}.")
        for name, value in document.items():
            if name not in QUOTAS:
                raise QuotaError(f"There is no quota `{name}`; there are {', '.join(QUOTAS)}.")
            whole = name != "storage_writes_per_second"
            number = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
            if value is not None and not (number and value > 0):
                raise QuotaError(f"`{name}` is a {'whole ' if whole else ''}number above 0, or null, not {value!r}.")
        with self._lock:
            self._limits.update(document)
            self._apply()

    def lift(self) -> None:
        """Limit nothing any more."""
        with self._lock:
            self._limits = dict.fromkeys(QUOTAS)
            self._apply()

    def describe(self) -> dict[str, float | None]:
        """Return every limit by its name."""
        with self._lock:
            return dict(self._limits)

    def _apply(self) -> None:
        limits: dict[str, Any] = self._limits
        self._storage.limit_writes(limits["storage_writes_per_second"])
        self._bigquery.limit(
            queued_interactive=limits["bigquery_queued_interactive"],
            table_modifications_per_day=limits["bigquery_table_modifications_per_day"],
        )
