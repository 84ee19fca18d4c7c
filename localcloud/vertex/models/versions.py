"""A version of a registered model: its state, its resource and its record on disk.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.models#Model
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.moments import rfc3339_micros, serial

# The format in which a TensorFlow model is exported.
EXPORT_FORMAT = "tf-saved-model"

Predictor = Callable[[list[Any]], list[Any]]


def last_segment(name: str) -> str:
    """Return the id at the end of a resource name."""
    return name.rsplit("/", 1)[-1]


@dataclass
class Version:
    """One version of a registered model.

    Attributes:
        model: The model's resource name, without a version.
        number: The version's id.
        created: The time of registration.
        bigquery_model: The BigQuery ML model, ``project.dataset.model``; None for an uploaded or copied model.
        deployable: Whether the version can be deployed.
        predict: Predicts on instances once the version is deployed; None if it cannot.
        aliases: The version's aliases, among them ``default`` for one version of each model.
        updated: The time of the last change, or None.
        fields: The fields that callers set.
        exportable: Whether the files of the version can be exported.
        copied_as: The hidden BigQuery ML model that runs a copy, ``project.dataset.model``; None for other versions.
        deployed: The endpoints and deployed models that serve the version, as DeployedModelRef.
        deploying: The endpoints on which the version is being deployed.
    """

    model: str
    number: int
    created: datetime
    bigquery_model: str | None
    deployable: bool = True
    predict: Predictor | None = None
    aliases: list[str] = field(default_factory=list)
    updated: datetime | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    exportable: bool = False
    copied_as: str | None = None
    deployed: list[dict[str, str]] = field(default_factory=list)
    deploying: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The resource name with the version."""
        return f"{self.model}@{self.number}"

    def check_not_deployed(self) -> None:
        """Check that no endpoint has the version.

        The words are Google's: https://github.com/GoogleCloudPlatform/vertex-ai-samples/pull/788

        Raises:
            RequestError: FAILED_PRECONDITION; the version is deployed or being deployed.
        """
        endpoints = dict.fromkeys([*(ref["endpoint"] for ref in self.deployed), *self.deploying])
        if endpoints:
            raise RequestError(
                "FAILED_PRECONDITION",
                f"The Model is deployed or being deployed at the following Endpoint(s): {', '.join(endpoints)}. "
                "Please undeploy the model before retry.",
            )

    def resource(self, first: Version, last: Version) -> dict[str, Any]:
        """Return the Model resource; ``first`` and ``last`` are the model's oldest version and the last changed."""
        updated = self.updated or self.created
        answer: dict[str, Any] = {
            "name": self.model,
            "displayName": last_segment(self.model),
            **self.fields,
            "versionId": str(self.number),
            "versionAliases": sorted(self.aliases),
            "versionCreateTime": rfc3339_micros(self.created),
            "versionUpdateTime": rfc3339_micros(updated),
            "createTime": rfc3339_micros(first.created),
            "updateTime": rfc3339_micros(last.updated or last.created),
            "modelSourceInfo": {"sourceType": "BQML" if self.bigquery_model or self.copied_as else "CUSTOM"},
            "etag": f"{serial(updated):x}",
        }
        if self.deployable:
            answer["supportedDeploymentResourcesTypes"] = ["DEDICATED_RESOURCES"]
        if self.exportable:
            answer["supportedExportFormats"] = [{"id": EXPORT_FORMAT, "exportableContents": ["ARTIFACT"]}]
        if self.deployed:
            answer["deployedModels"] = list(self.deployed)
        return answer

    def to_record(self) -> dict[str, Any]:
        """Return the version as JSON, without what the endpoints and BigQuery know about it."""
        return {
            "number": self.number,
            "created": self.created.isoformat(),
            "updated": None if self.updated is None else self.updated.isoformat(),
            "bigquery_model": self.bigquery_model,
            "deployable": self.deployable,
            "aliases": self.aliases,
            "fields": self.fields,
            "exportable": self.exportable,
            "copied_as": self.copied_as,
        }

    @classmethod
    def from_record(cls, model: str, record: dict[str, Any]) -> Version:
        """Return the version that ``to_record`` returned."""
        return cls(
            model,
            record["number"],
            datetime.fromisoformat(record["created"]),
            record["bigquery_model"],
            record["deployable"],
            aliases=record["aliases"],
            updated=None if record["updated"] is None else datetime.fromisoformat(record["updated"]),
            fields=record["fields"],
            exportable=record.get("exportable", False),
            copied_as=record.get("copied_as"),
        )
