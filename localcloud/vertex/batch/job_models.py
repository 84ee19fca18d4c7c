"""The model of a batch: whether the location of the job serves it, and whether it accepts batches.

https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
"""

from __future__ import annotations

from localcloud.gemini.models import GLOBAL, ModelTable
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.batch.formats import format_of
from localcloud.vertex.batch.job_requests import MODEL, JobRequest, TableInput, TableOutput


def check_model(request: JobRequest, models: ModelTable) -> None:
    """Check the model of a job.

    Raises:
        RequestError: INVALID_ARGUMENT if the model is of another location, is a tuned model of another project, or does not
            accept batches.
        BackendError: 404 if the location does not serve the model.
    """
    found = MODEL.fullmatch(request.model)
    assert found is not None, "the request is parsed"
    if found["location"] not in (None, request.location):
        raise RequestError(
            "INVALID_ARGUMENT",
            f"The model {request.model} is in the location {found['location']}, and the job in {request.location}.",
        )
    if found["published"] is None:
        # The number of a project is not known here.
        if found["project"] not in (None, request.project) and not found["project"].isdecimal():
            raise RequestError(
                "INVALID_ARGUMENT",
                f"The model {request.model} is in the project {found['project']}, and the job in {request.project}: a job "
                "uses tuned models of its own project.",
            )
        if request.location == GLOBAL:
            raise RequestError("INVALID_ARGUMENT", f"Do not support tuned model {request.model} in the location global")
        return
    model = models.find(request.project, request.location, found["published"], publisher=found["publisher"])
    if not format_of(request.model_id, model).tables and (
        isinstance(request.input, TableInput) or isinstance(request.output, TableOutput)
    ):
        raise RequestError(
            "INVALID_ARGUMENT",
            f"Do not support BigQuery for publisher model {found['published']}: use JSONL in Cloud Storage.",
        )
    if not model.batch:
        raise RequestError("INVALID_ARGUMENT", f"Do not support publisher model {found['published']}")
