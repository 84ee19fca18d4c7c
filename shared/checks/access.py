"""Which datasets requests may read and write: the settings ``READABLE_DATASETS`` and ``WRITABLE_DATASETS``."""

from __future__ import annotations

from shared.errors import Rejected
from shared.settings import Settings


def check_readable(project: str, dataset: str, settings: Settings, field: str) -> None:
    """Raise ``Rejected`` if ``READABLE_DATASETS`` is set and does not list the dataset that ``field`` reads."""
    _check_allowed(project, dataset, settings.readable_datasets, settings, field, "read")


def check_writable(project: str, dataset: str, settings: Settings, field: str) -> None:
    """Raise ``Rejected`` if ``WRITABLE_DATASETS`` is set and does not list the dataset that ``field`` writes."""
    _check_allowed(project, dataset, settings.writable_datasets, settings, field, "written")


def _check_allowed(
    project: str, dataset: str, allowed: tuple[str, ...], settings: Settings, field: str, verb: str
) -> None:
    # A name without a project means the project that jobs run in, not a dataset of the same name elsewhere.
    full = {name if "." in name else f"{settings.google_cloud_project}.{name}" for name in allowed}
    if allowed and f"{project}.{dataset}" not in full:
        raise Rejected(
            f"{field} is in {project}.{dataset}, which may not be {verb}; allowed are {', '.join(allowed)}",
            field=field,
            code="dataset_not_allowed",
        )
