"""The methods of Google's models in the Model Garden: get and list.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/publishers.models/list
"""

from __future__ import annotations

from typing import Any

from localcloud.base.json_api import Call, Route
from localcloud.gemini.models import ModelTable
from localcloud.vertex.base.errors import RequestError
from localcloud.vertex.base.pages import page, page_size
from localcloud.vertex.base.rest import Handler


class PublisherModels:
    """Serves the methods of ``publishers.models``."""

    def __init__(self, models: ModelTable) -> None:
        """Serve ``models``."""
        self._models = models

    def routes(self) -> list[Route[Handler]]:
        """Return the routes."""
        return [
            Route("GET", "publishers/google/models/{model}", self._get),
            Route("GET", "publishers/google/models", self._list),
        ]

    def _resources(self) -> dict[str, dict[str, Any]]:
        return {
            name: {"name": f"publishers/google/models/{name}", "versionId": "default", "launchStage": model.stage}
            for name, model in sorted(self._models.served().items())
        }

    def _get(self, call: Call) -> dict[str, Any]:
        resource = self._resources().get(call.names["model"])
        if resource is None:
            raise RequestError(
                "NOT_FOUND", f"Publisher Model publishers/google/models/{call.names['model']} not found."
            )
        return resource

    def _list(self, call: Call) -> dict[str, Any]:
        for name in ("filter", "listAllVersions"):
            if call.query.get(name, "false").lower() not in ("", "false"):
                raise RequestError("UNIMPLEMENTED", f"The local Vertex AI lists all publisher models: {name}.")
        resources = [*self._resources().values()]
        numbered = ((len(resources) - index, resource) for index, resource in enumerate(resources))
        models, token = page(numbered, page_size(call), call.query.get("pageToken", ""))
        return {"publisherModels": models, **({"nextPageToken": token} if token else {})}
