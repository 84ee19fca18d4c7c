"""The methods of the model registry, of endpoints and of operations."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, NoReturn

from localcloud.apis.discovery import Discovery
from localcloud.base.json_api import Call, Route
from localcloud.gemini.json_values import as_list
from localcloud.vertex.base.errors import RequestError, missing_field
from localcloud.vertex.base.operations import Operations
from localcloud.vertex.base.pages import page, page_size
from localcloud.vertex.base.rest import LOCATION, Handler, Stream, version_of
from localcloud.vertex.models.endpoints import Endpoints
from localcloud.vertex.models.registry import Registry
from localcloud.vertex.models.transfers import ModelTransfers
from localcloud.vertex.request_checks import check_body

MODEL = f"{LOCATION}/models/{{model}}"
ENDPOINT = f"{LOCATION}/endpoints/{{endpoint}}"
RESOURCE = f"{LOCATION}/{{kind}}/{{resource}}"
MONITORING = f"{LOCATION}/modelDeploymentMonitoringJobs"
# The methods that exist only in Google Cloud, and the feature that each belongs to.
NOT_SUPPORTED = (
    ("POST", f"{ENDPOINT}:explain", "Explanation"),
    ("POST", f"{MODEL}:updateExplanationDataset", "Explanation"),
    ("POST", f"{ENDPOINT}:mutateDeployedModel", "Changing a deployed model"),
    ("POST", f"{ENDPOINT}:directPredict", "Prediction over gRPC tensors"),
    ("POST", f"{ENDPOINT}:directRawPredict", "Prediction over gRPC tensors"),
    ("POST", f"{ENDPOINT}:serverStreamingPredict", "Streamed prediction"),
    ("POST", f"{ENDPOINT}:streamRawPredict", "Streamed prediction"),
    ("POST", f"{MODEL}/evaluations:import", "Importing evaluations"),
    ("POST", MONITORING, "Model monitoring"),
    ("GET", MONITORING, "Model monitoring"),
    ("GET", f"{MONITORING}/{{job}}", "Model monitoring"),
    ("PATCH", f"{MONITORING}/{{job}}", "Model monitoring"),
    ("DELETE", f"{MONITORING}/{{job}}", "Model monitoring"),
    ("POST", f"{LOCATION}/modelMonitors", "Model monitoring"),
    ("GET", f"{LOCATION}/modelMonitors", "Model monitoring"),
    ("GET", f"{LOCATION}/modelMonitors/{{monitor}}", "Model monitoring"),
)
LONGEST_WAIT_SECONDS = 60.0
DURATION = re.compile(r"(\d+(?:\.\d+)?)s")


class ModelRoutes:
    """Serves the methods of ``projects.locations.models``, ``.endpoints`` and ``.operations``."""

    def __init__(
        self, registry: Registry, transfers: ModelTransfers, endpoints: Endpoints, operations: Operations
    ) -> None:
        """Serve the given registry, transfers of models, endpoints and operations."""
        self._registry = registry
        self._transfers = transfers
        self._endpoints = endpoints
        self._operations = operations

    def routes(self) -> list[Route[Handler]]:
        """Return the routes."""
        predictions: list[Route[Handler]] = [
            Route("POST", f"{ENDPOINT}:predict", self._predict),
            Route("POST", f"{ENDPOINT}:rawPredict", self._raw_predict),
        ]
        return [*predictions, *(replace(route, handler=_with_checked_body(route.handler)) for route in self._routes())]

    def _routes(self) -> list[Route[Handler]]:
        return [
            *self._operation_routes(),
            Route("GET", f"{LOCATION}/models", self._list_models),
            Route("GET", MODEL, lambda call: self._registry.get(MODEL.format(**call.names))),
            Route("GET", f"{MODEL}:listVersions", self._list_versions),
            Route("PATCH", MODEL, self._patch_model),
            Route("POST", f"{MODEL}:mergeVersionAliases", self._merge_aliases),
            Route("DELETE", MODEL, lambda call: self._transfers.delete(MODEL.format(**call.names))),
            Route(
                "DELETE",
                f"{MODEL}:deleteVersion",
                lambda call: self._transfers.delete_version(MODEL.format(**call.names)),
            ),
            Route("POST", f"{LOCATION}/models:upload", self._upload_model),
            Route("POST", f"{LOCATION}/models:copy", self._copy_model),
            Route("POST", f"{MODEL}:export", self._export_model),
            Route("POST", f"{LOCATION}/endpoints", self._create_endpoint),
            Route("GET", f"{LOCATION}/endpoints", self._list_endpoints),
            Route("GET", ENDPOINT, lambda call: self._endpoints.get(ENDPOINT.format(**call.names))),
            Route("PATCH", ENDPOINT, self._patch_endpoint),
            Route("DELETE", ENDPOINT, lambda call: self._endpoints.delete(ENDPOINT.format(**call.names))),
            Route("POST", f"{ENDPOINT}:deployModel", self._deploy),
            Route("POST", f"{ENDPOINT}:undeployModel", self._undeploy),
            Route("GET", f"{MODEL}/evaluations", self._list_evaluations),
            *(Route(method, path, _not_supported(feature)) for method, path, feature in NOT_SUPPORTED),
        ]

    def _operation_routes(self) -> list[Route[Handler]]:
        """Return the routes of operations, whose parent is a location or a resource."""
        routes: list[Route[Handler]] = []
        for parent in (LOCATION, RESOURCE):
            operation = f"{parent}/operations/{{operation}}"
            routes += [
                Route("GET", operation, lambda call: self._operations.get(_operation_name(call))),
                Route("POST", f"{operation}:wait", self._wait),
                Route("GET", f"{parent}/operations", self._list_operations),
            ]
        return routes

    def _list_operations(self, call: Call) -> dict[str, Any]:
        text, size, page_token = _list_options(call)
        if text:
            raise RequestError("UNIMPLEMENTED", "Filters of operations are not supported by the local Vertex AI.")
        operations, token = page(enumerate(self._operations.list(_parent_name(call))), size, page_token)
        return {"operations": operations, **({"nextPageToken": token} if token else {})}

    def _wait(self, call: Call) -> dict[str, Any]:
        given = DURATION.fullmatch(call.query.get("timeout", ""))
        seconds = min(float(given[1]), LONGEST_WAIT_SECONDS) if given else LONGEST_WAIT_SECONDS
        return self._operations.wait(_operation_name(call), seconds)

    def _list_models(self, call: Call) -> dict[str, Any]:
        return self._registry.list(LOCATION.format(**call.names), *_list_options(call))

    def _list_versions(self, call: Call) -> dict[str, Any]:
        return self._registry.versions(MODEL.format(**call.names), *_list_options(call))

    def _patch_model(self, call: Call) -> dict[str, Any]:
        return self._registry.patch(MODEL.format(**call.names), call.json(), _mask(call))

    def _merge_aliases(self, call: Call) -> dict[str, Any]:
        aliases = [str(alias) for alias in as_list(call.json().get("versionAliases"))]
        return self._registry.merge_aliases(MODEL.format(**call.names), aliases)

    def _upload_model(self, call: Call) -> dict[str, Any]:
        return self._transfers.upload(LOCATION.format(**call.names), call.json())

    def _copy_model(self, call: Call) -> dict[str, Any]:
        return self._transfers.copy(LOCATION.format(**call.names), call.json())

    def _export_model(self, call: Call) -> dict[str, Any]:
        return self._transfers.export(MODEL.format(**call.names), call.json())

    def _create_endpoint(self, call: Call) -> dict[str, Any]:
        return self._endpoints.create(LOCATION.format(**call.names), call.json(), call.query.get("endpointId", ""))

    def _list_endpoints(self, call: Call) -> dict[str, Any]:
        return self._endpoints.list(LOCATION.format(**call.names), *_list_options(call))

    def _patch_endpoint(self, call: Call) -> dict[str, Any]:
        return self._endpoints.patch(ENDPOINT.format(**call.names), call.json(), _mask(call))

    def _deploy(self, call: Call) -> dict[str, Any]:
        return self._endpoints.deploy(ENDPOINT.format(**call.names), call.json())

    def _undeploy(self, call: Call) -> dict[str, Any]:
        return self._endpoints.undeploy(ENDPOINT.format(**call.names), call.json())

    def _predict(self, call: Call) -> dict[str, Any]:
        return self._endpoints.predict(ENDPOINT.format(**call.names), call.json())

    def _raw_predict(self, call: Call) -> dict[str, Any]:
        return self._endpoints.raw_predict(ENDPOINT.format(**call.names), call.json())

    def _list_evaluations(self, call: Call) -> dict[str, Any]:
        """Return no evaluations: an imported model has none."""
        self._registry.get(MODEL.format(**call.names))
        return {"modelEvaluations": []}


def _with_checked_body(handler: Handler) -> Handler:
    """Return ``handler`` with a check that the body of a call has only the fields of its method."""

    def handle(call: Call) -> dict[str, Any] | Stream:
        called = Discovery().find("vertex", call.request.method, call.path)
        if called is not None and called.method.request is not None:
            check_body(called.method.request, call.json(), version_of(call))
        return handler(call)

    return handle


def _not_supported(feature: str) -> Handler:
    def handle(call: Call) -> NoReturn:
        raise RequestError("UNIMPLEMENTED", f"{feature} is not supported by the local Vertex AI.")

    return handle


def _parent_name(call: Call) -> str:
    """Return the name of the location or resource that is the parent of a call's operations."""
    return (RESOURCE if "resource" in call.names else LOCATION).format(**call.names)


def _operation_name(call: Call) -> str:
    return f"{_parent_name(call)}/operations/{call.names['operation']}"


def _list_options(call: Call) -> tuple[str, int, str]:
    return call.query.get("filter", ""), page_size(call), call.query.get("pageToken", "")


def _mask(call: Call) -> list[str]:
    """Return the fields of an update mask, which may be in snake_case or camelCase, in camelCase.

    https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.endpoints/patch (updateMask)

    Raises:
        RequestError: INVALID_ARGUMENT if the mask names no field.
    """
    paths = [path.strip() for path in call.query.get("updateMask", "").split(",") if path.strip()]
    if not paths:
        raise missing_field("update_mask")
    return [re.sub(r"_([a-z])", lambda match: match[1].upper(), path) for path in paths]
