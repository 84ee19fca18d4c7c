"""The labels that every job of Modeldrop carries."""

from __future__ import annotations

from shared.cloud.batch_jobs import KEY_LABEL, KIND_LABEL
from shared.cloud.query_jobs import PAYLOAD_LABEL
from shared.work import Item


def job_labels(item: Item) -> dict[str, str]:
    """Return the labels by which a job of ``item`` is found and known again."""
    return {KEY_LABEL: item.key, KIND_LABEL: item.kind.value, PAYLOAD_LABEL: item.payload}
