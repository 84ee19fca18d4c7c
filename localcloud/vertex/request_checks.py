"""Checks a GenerateContentRequest before a model gets it: its fields, and the files, caches and models that it names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from localcloud.apis.messages import VERTEX_AI
from localcloud.gemini.contents import parse_request
from localcloud.gemini.errors import BackendError
from localcloud.gemini.json_values import as_list, camel_keys, parse_json
from localcloud.gemini.models import ModelTable
from localcloud.storage.objects.store import ObjectStore
from localcloud.storage.rules.errors import NotFound
from localcloud.vertex.base.violations import Violations

YOUTUBE = ("https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/")
# The allowed locations of the files of a batch.
# https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference/new-job-from-bigquery
BATCH_FILES = ("gs://", *YOUTUBE)
ONLINE_FILES = ("gs://", "https://", "http://")
# Google's public buckets, whose files the examples of its documentation use. The local Cloud Storage has no copies.
PUBLIC_BUCKETS = frozenset({"cloud-samples-data", "generativeai-downloads", "github-repo"})

# Jobs of both versions have the same rows, so these may have the fields of the newer version.
BATCH_VERSION = "v1beta1"


class RequestChecks:
    """The checks, over the local Cloud Storage and the table of models."""

    def __init__(self, store: ObjectStore, models: ModelTable) -> None:
        """Look for files in ``store`` and for models in ``models``."""
        self._store = store
        self._models = models

    def check_call(self, request: dict[str, Any], version: str) -> None:
        """Check the body of ``generateContent`` in an API version. Raises ``BackendError``."""
        check_fields("GenerateContentRequest", request, version)
        self._check_names(request, ONLINE_FILES)
        try:
            parse_request(request)
        except RecursionError:
            raise BackendError(400, "The request is nested too deeply.") from None

    def parse_row(self, given: Any, project: str, location: str) -> dict[str, Any]:
        """Return the request of a batch's row as JSON.

        Args:
            given: The value of the column ``request``: text, or JSON.
            project: The project of the job.
            location: The location of the job.

        Raises:
            BackendError: 400 if it is not a valid request, or 404 if it names a file, cache or model that does not exist.
        """
        request = self.parse_json(given)
        check_fields("GenerateContentRequest", request, BATCH_VERSION)
        self._check_names(request, BATCH_FILES)
        for tool in as_list(request.get("tools")):
            if tool and "vertexRagStore" in camel_keys(camel_keys(tool).get("retrieval") or {}):
                # https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
                raise BackendError(400, "Retrieval-augmented generation (RAG) is not supported in batches.")
        _check_image_size(request)
        model = request.get("model")
        if model:
            self._models.find(project, location, str(model).rsplit("/", 1)[-1])
        return request

    @staticmethod
    def parse_json(given: Any) -> dict[str, Any]:
        """Return the JSON object of a row, which is given as text or as JSON. Raises ``BackendError`` (400)."""
        if isinstance(given, str):
            try:
                given = parse_json(given)
            except ValueError as error:
                raise BackendError(400, f"Invalid JSON in the request: {error}") from None
        if not isinstance(given, dict):
            raise BackendError(400, "Invalid JSON in the request: it is not an object.")
        return given

    def _check_names(self, request: dict[str, Any], files: tuple[str, ...]) -> None:
        # https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference (labels)
        violations = Violations("generate_content_request")
        violations.check_labels(request.get("labels"), longest=63)
        if violations.found:
            name, message = violations.found[0]
            raise BackendError(400, f"Invalid value of {name}: {message}")
        cache = request.get("cachedContent") or request.get("cached_content")
        if cache:
            # The local Vertex AI has no caches, and batches cannot use any:
            # https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
            raise BackendError(404, f"Not found: cached content metadata for {str(cache).rsplit('/', 1)[-1]}.")
        for uri in _file_uris(request):
            if not uri.startswith(files):
                allowed = (
                    "Cloud Storage and public YouTube URIs" if files is BATCH_FILES else "gs:// and http(s):// URIs"
                )
                raise BackendError(400, f"Unsupported file uri: {uri}. Only {allowed} are supported.")
            if uri.startswith("gs://"):
                self._check_file(uri)

    def _check_file(self, uri: str) -> None:
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        if bucket in PUBLIC_BUCKETS:
            return
        try:
            self._store.get(bucket, name)
        except NotFound as error:
            raise BackendError(404, f"The file {uri} cannot be read: {error}") from None


def check_fields(kind: str, message: Any, version: str, path: str = "") -> None:
    """Check the fields of a message of Vertex AI in an API version; ``path`` is where it is. Raises ``BackendError`` (400)."""
    errors = VERTEX_AI[version].errors(kind, message, path)
    if errors:
        raise BackendError(400, "\n".join(errors))


def check_body(schema: str, body: Any, version: str) -> None:
    """Check the fields of a request's body, unless its schema is not a message of Vertex AI. Raises ``BackendError`` (400)."""
    kind = schema.removeprefix(f"GoogleCloudAiplatform{version.capitalize()}")
    if kind != schema:
        check_fields(kind, body, version)


def _check_image_size(request: dict[str, Any]) -> None:
    """Check that a row asks for no larger images than batches create.

    https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/capabilities/batch-inference
    """
    config = camel_keys(camel_keys(request).get("generationConfig") or {})
    size = camel_keys(config.get("imageConfig") or {}).get("imageSize")
    if size not in (None, "1K"):
        raise BackendError(400, f"The image size {size} is not supported in batches; only 1K is.")


def _file_uris(request: dict[str, Any]) -> Iterator[str]:
    """Yield the URIs of the files in the messages of a request, whose fields are checked."""
    contents = as_list(request.get("contents"))
    for content in contents:
        for part in as_list(content.get("parts") if isinstance(content, dict) else None):
            file = part and (part.get("fileData") or part.get("file_data"))
            if file:
                yield str(camel_keys(file).get("fileUri") or "")
