"""The values of the system variables of a job.

https://cloud.google.com/bigquery/docs/reference/system-variables
"""

from __future__ import annotations

from dataclasses import dataclass

_NULL = "CAST(NULL AS STRING)"


@dataclass(frozen=True)
class SystemValues:
    """What the system variables of a job say.

    Attributes:
        project: The project of the job.
        location: The location of the job.
        dataset: The project and the id of the dataset of table names without one, or None.
        job_id: The id of the job, or None.
        session_id: The id of its session, or None.
    """

    project: str
    location: str
    dataset: tuple[str, str] | None
    job_id: str | None
    session_id: str | None

    def literals(self) -> dict[str, str]:
        """Return the values as literals in GoogleSQL, by the names of the variables without ``@@``."""
        project, dataset = self.dataset or (self.project, None)
        return {
            "current_job_id": _text(self.job_id),
            "dataset_id": _text(dataset),
            "dataset_project_id": _text(project),
            "last_job_id": _NULL,
            "location": _text(self.location),
            "project_id": _text(self.project),
            "query_label": _NULL,
            "row_count": "CAST(NULL AS INT64)",
            "script.creation_time": "CAST(NULL AS TIMESTAMP)",
            "script.job_id": _NULL,
            "script.num_child_jobs": "CAST(NULL AS INT64)",
            "script.slot_ms": "CAST(NULL AS INT64)",
            "session_id": _text(self.session_id),
            "time_zone": "'UTC'",
        }


def _text(value: str | None) -> str:
    return _NULL if value is None else "'{}'".format(value.replace("\\", "\\\\").replace("'", "\\'"))
