"""How calls to Cloud Storage are made, by the ledger and by the reader of drops."""

from __future__ import annotations

from google.cloud.storage.retry import DEFAULT_RETRY

from shared.cloud.calls import CALL_SECONDS, Service

STORAGE = Service("Cloud Storage", retry=DEFAULT_RETRY.with_timeout(CALL_SECONDS))
