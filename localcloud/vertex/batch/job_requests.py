"""The request to create a batch prediction job, parsed and validated.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/batch-prediction-api
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from localcloud.gemini.errors import BackendError
from localcloud.gemini.json_values import as_list, camel_keys
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.violations import Violations

# The fields of the BatchPredictionJob resource that a client may set. Those of the first set are kept and have no effect.
KEPT = frozenset(
    {
        "instanceConfig",
        "modelParameters",
        "unmanagedContainerModel",
        "dedicatedResources",
        "manualBatchTuningParameters",
        "generateExplanation",
        "explanationSpec",
        "encryptionSpec",
        "serviceAccount",
        "disableContainerLogging",
    }
)
SETTABLE = KEPT | {"displayName", "model", "inputConfig", "outputConfig", "labels"}
# The fields that only the service sets; a client's values are ignored.
OUTPUT_ONLY = frozenset(
    {
        "name",
        "state",
        "error",
        "partialFailures",
        "completionStats",
        "outputInfo",
        "createTime",
        "startTime",
        "endTime",
        "updateTime",
        "modelVersionId",
        "resourcesConsumed",
        "satisfiesPzs",
        "satisfiesPzi",
    }
)

# Fields of which a request may have one.
SOURCES = ("gcsSource", "bigquerySource", "vertexMultimodalDatasetSource")
DESTINATIONS = ("gcsDestination", "bigqueryDestination", "vertexMultimodalDatasetDestination")

MODEL = re.compile(
    r"(?:projects/(?P<project>[^/]+)/locations/(?P<location>[^/]+)/)?"
    r"(?:publishers/(?P<publisher>[^/]+)/models/(?P<published>[^/]+)|(?<!^)models/[^/]+)"
)
TABLE_URI = re.compile(r"bq://(?P<project>[^./\s]+)\.(?P<dataset>\w+)\.(?P<table>[^./\s]+)")
DESTINATION_URI = re.compile(r"bq://(?P<project>[^./\s]+)(?:\.(?P<dataset>\w+)(?:\.(?P<table>[^./\s]+))?)?")
OBJECT_URI = re.compile(r"gs://(?P<bucket>[^/\s]+)/(?P<name>[^\r\n]+)")
PREFIX_URI = re.compile(r"gs://(?P<bucket>[^/\s]+)(?:/(?P<prefix>[^\r\n]*))?")


@dataclass(frozen=True)
class TableInput:
    """A BigQuery table of requests: ``project.dataset.table``."""

    dataset: str
    table: str


@dataclass(frozen=True)
class FileInput:
    """JSONL files in Cloud Storage: pairs of bucket and name; a name may have ``*`` in it."""

    files: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TableOutput:
    """A BigQuery project, with a dataset and a table in it if the request names them."""

    project: str
    dataset: str | None
    table: str | None


@dataclass(frozen=True)
class FileOutput:
    """A folder in Cloud Storage, without a trailing slash."""

    bucket: str
    prefix: str


@dataclass(frozen=True)
class JobRequest:
    """The request for a batch prediction job.

    Attributes:
        project: The project of the job.
        model: The model's name as the client wrote it.
        location: The location of the job: a region, ``global``, ``us`` or ``eu``.
        input: The source of the requests.
        output: The destination of the answers.
        given: The fields of the resource that the client set, unchanged.
    """

    project: str
    model: str
    location: str
    input: TableInput | FileInput
    output: TableOutput | FileOutput
    given: dict[str, Any]

    @property
    def model_id(self) -> str:
        """The last part of the model's name, without a version."""
        return self.model.rsplit("/", 1)[-1].partition("@")[0]


def parse_job(body: dict[str, Any], parent: str) -> JobRequest:
    """Validate the body of a create call below ``projects/P/locations/L``, and return the request.

    Errors in the data, such as a missing table or a wrong region, fail the job later, not the call.

    Raises:
        RequestError: INVALID_ARGUMENT, with every invalid field.
    """
    given = _object(body, "batch_prediction_job")
    for name in given:
        if name not in SETTABLE and name not in OUTPUT_ONLY:
            raise RequestError(
                "INVALID_ARGUMENT",
                f"Invalid JSON payload received. Unknown name \"{name}\" at 'batch_prediction_job': Cannot find field.",
            )
    given = {name: value for name, value in given.items() if name in SETTABLE}
    violations = Violations("batch_prediction_job")
    violations.check_display_name(given.get("displayName"))
    model = given.get("model")
    if not model:
        violations.add("model")
    elif not MODEL.fullmatch(str(model)):
        violations.add("model", f"{model!r} is not a model: publishers/*/models/* or projects/*/locations/*/models/*.")
    violations.check_labels(given.get("labels"))
    source = _input(given, violations)
    destination = _output(given, violations)
    if violations.found or source is None or destination is None:
        raise violations.error()
    _, project, _, location = parent.split("/")
    return JobRequest(project, str(model), location, source, destination, given)


def _input(given: dict[str, Any], violations: Violations) -> TableInput | FileInput | None:
    if not given.get("inputConfig"):
        violations.add("input_config")
        return None
    config = _object(given["inputConfig"], "batch_prediction_job.input_config")
    _check_one_of(config, SOURCES, "source", "batch_prediction_job.input_config")
    match config.get("instancesFormat"):
        case "bigquery":
            source = _object(config.get("bigquerySource") or {}, "batch_prediction_job.input_config.bigquery_source")
            uri = str(source.get("inputUri") or "")
            found = TABLE_URI.fullmatch(uri)
            if found:
                dataset = f"{found['project']}.{found['dataset']}"
                return TableInput(dataset, f"{dataset}.{found['table']}")
            where = "input_config.bigquery_source.input_uri"
            violations.add(where, f"{uri!r} is not a table: bq://project.dataset.table.") if uri else violations.add(
                where
            )
        case "jsonl":
            source = _object(config.get("gcsSource") or {}, "batch_prediction_job.input_config.gcs_source")
            uris = [str(uri) for uri in as_list(source.get("uris"))]
            files = [OBJECT_URI.fullmatch(uri) for uri in uris]
            if files and all(files):
                return FileInput(tuple((file["bucket"], file["name"]) for file in files if file))
            where = "input_config.gcs_source.uris"
            violations.add(where, f"{uris} are not files: gs://bucket/name.") if uris else violations.add(where)
        case None | "":
            violations.add("input_config.instances_format")
        case other:
            violations.add("input_config.instances_format", f"{other!r} is not supported: bigquery or jsonl.")
    return None


def _output(given: dict[str, Any], violations: Violations) -> TableOutput | FileOutput | None:
    if not given.get("outputConfig"):
        violations.add("output_config")
        return None
    config = _object(given["outputConfig"], "batch_prediction_job.output_config")
    _check_one_of(config, DESTINATIONS, "destination", "batch_prediction_job.output_config")
    match config.get("predictionsFormat"):
        case "bigquery":
            where = "output_config.bigquery_destination"
            target = _object(config.get("bigqueryDestination") or {}, f"batch_prediction_job.{where}")
            uri = str(target.get("outputUri") or "")
            found = DESTINATION_URI.fullmatch(uri)
            if found:
                return TableOutput(found["project"], found["dataset"], found["table"])
            where += ".output_uri"
            violations.add(where, f"{uri!r} is not a destination: bq://project[.dataset[.table]].") if uri else (
                violations.add(where)
            )
        case "jsonl":
            where = "output_config.gcs_destination"
            target = _object(config.get("gcsDestination") or {}, f"batch_prediction_job.{where}")
            uri = str(target.get("outputUriPrefix") or "")
            found = PREFIX_URI.fullmatch(uri)
            if found:
                return FileOutput(found["bucket"], (found["prefix"] or "").rstrip("/"))
            where += ".output_uri_prefix"
            violations.add(where, f"{uri!r} is not a folder: gs://bucket/prefix.") if uri else violations.add(where)
        case None | "":
            violations.add("output_config.predictions_format")
        case other:
            violations.add("output_config.predictions_format", f"{other!r} is not supported: bigquery or jsonl.")
    return None


def _check_one_of(config: dict[str, Any], names: tuple[str, ...], field: str, where: str) -> None:
    given = [name for name in config if name in names and config[name] is not None]
    if len(given) > 1:
        raise RequestError(
            "INVALID_ARGUMENT",
            f"Invalid value at '{where}' (oneof), oneof field '{field}' is already set. Cannot set '{given[1]}'",
        )


def _object(value: Any, where: str) -> dict[str, Any]:
    try:
        return camel_keys(value)
    except BackendError:
        raise RequestError(
            "INVALID_ARGUMENT", f"Invalid JSON payload received. Expected an object at '{where}'."
        ) from None
