"""Google's published API descriptions: the method of a call, and the schemas of its request and response.

The documents are part of google-api-python-client. Each is read when a call of its service is first named.
https://developers.google.com/discovery/v1/reference/apis
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

# The documents of each service, by the first path segment of its versions. Two with a space between them are read as one.
DOCUMENTS: Mapping[str, Mapping[str, str]] = {
    "storage": {"": "storage.v1"},
    "bigquery": {"v1": "bigqueryconnection.v1 bigqueryreservation.v1", "": "bigquery.v2"},
    "vertex": {"v1beta1": "aiplatform.v1beta1", "": "aiplatform.v1"},
    "pubsub": {"": "pubsub.v1"},
    "scheduler": {"v1beta1": "cloudscheduler.v1beta1", "": "cloudscheduler.v1"},
}

# The Vertex AI clients request operations under this path too, as in the service's HTTP rules:
# https://github.com/googleapis/googleapis/blob/master/google/cloud/aiplatform/v1/aiplatform_v1.yaml
SAME_AS = {"ui": "v1"}

# Parameters that Google's clients send and the descriptions omit.
UNDESCRIBED_PARAMETERS = {
    # https://github.com/googleapis/python-bigquery/blob/main/google/cloud/bigquery/client.py (get_job, cancel_job)
    ("bigquery.jobs.get", "projection"),
    ("bigquery.jobs.cancel", "projection"),
}
_TEXT: Mapping[str, Any] = {"type": "string", "location": "query"}

# The kinds of calls of a method: a plain call, or a part of a media transfer.
CALL, UPLOAD, UPLOAD_PART, DOWNLOAD = "call", "upload", "upload part", "download"


@dataclass(frozen=True)
class Document:
    """One API description."""

    schemas: Mapping[str, Mapping[str, Any]]
    parameters: Mapping[str, Mapping[str, Any]]
    """The query parameters of every method."""
    methods: tuple[Method, ...]


@dataclass(frozen=True)
class Method:
    """One method of an API."""

    id: str
    """The name, such as ``storage.objects.insert``."""
    verb: str
    path: str
    """The template of the path, from the root of the host."""
    parameters: Mapping[str, Mapping[str, Any]]
    request: str | None
    """The name of the schema of the request body, if there is one."""
    response: str | None
    """The name of the schema of the response body, if there is one."""
    media_paths: tuple[str, ...]
    """The paths for uploads."""
    downloads_media: bool


@dataclass(frozen=True)
class Call:
    """A method, and the kind of its call."""

    method: Method
    document: Document
    kind: str = CALL

    def parameter(self, name: str) -> Mapping[str, Any] | None:
        """Return the description of a parameter of the query string, or None if the call does not have it."""
        continues_upload = name == "upload_id" and self.kind in (UPLOAD, UPLOAD_PART)
        if continues_upload or (self.method.id, name) in UNDESCRIBED_PARAMETERS:
            return _TEXT
        # System parameters may start with a dollar sign: https://cloud.google.com/apis/docs/system-parameters
        general = self.document.parameters
        return self.method.parameters.get(name) or general.get(name) or general.get(name.removeprefix("$"))


@dataclass
class _Node:
    """One segment of the known paths, with the segments that may follow it."""

    literals: dict[str, _Node] = field(default_factory=dict)
    wildcard: _Node | None = None
    ends: dict[tuple[str, str], Call] = field(default_factory=dict)
    """The calls whose path ends here, by verb and by the part after a colon (``:cancel``)."""


def unknown_method(service: str) -> str:
    """Return the name of a call of ``service`` whose path matches no method."""
    return f"{service}.unknown"


class Discovery:
    """Finds the method of a call by its verb and path. Each description is read when it is first needed, and only once."""

    def find(self, service: str, verb: str, path: str) -> Call | None:
        """Return the call of ``verb`` on ``path`` (percent-encoded, as sent) to ``service``, or None if unknown."""
        segments = path.strip("/").split("/")
        documents = DOCUMENTS.get(service)
        if documents is None:
            return None
        segments[0] = SAME_AS.get(segments[0], segments[0])
        tree = _tree(documents.get(segments[0]) or documents[""])
        *folders, last = segments
        name, colon, custom = last.rpartition(":")
        # A colon may start a custom method, or be part of a name.
        endings = [(name, custom), (last, "")] if colon else [(last, "")]
        for ending, custom_verb in endings:
            for node in _walk(tree, [*folders, ending], 0):
                if (call := node.ends.get((verb, custom_verb))) is not None:
                    return call
        return None


_TREES: dict[str, _Node] = {}
_TREES_LOCK = threading.Lock()


def _tree(name: str) -> _Node:
    """Return the tree of the paths of a description."""
    tree = _TREES.get(name)
    if tree is None:
        with _TREES_LOCK:
            tree = _TREES.get(name)
            if tree is None:
                tree = _TREES[name] = _build_tree(read_document(name))
    return tree


def missing_method(service: str, verb: str, path: str) -> str | None:
    """Return the name of the method that a call without a handler is for; None if Google's service has none either.

    Args:
        service: A key of ``DOCUMENTS``.
        verb: The HTTP method.
        path: The path, with or without escapes.
    """
    called = Discovery().find(service, verb, path)
    return None if called is None else called.method.id


def read_document(name: str) -> Document:
    """Read the API description ``name``, such as ``storage.v1``, or several with spaces between their names."""
    folder = resources.files("googleapiclient") / "discovery_cache" / "documents"
    schemas: dict[str, Mapping[str, Any]] = {}
    parameters: dict[str, Mapping[str, Any]] = {}
    methods: list[Method] = []
    for part in name.split():
        raw = json.loads((folder / f"{part}.json").read_text(encoding="utf-8"))
        schemas |= raw["schemas"]
        parameters |= raw["parameters"]
        methods += _methods(raw, raw["servicePath"])
    return Document(schemas, parameters, tuple(methods))


def _methods(resource: Mapping[str, Any], prefix: str) -> Iterator[Method]:
    for method in resource.get("methods", {}).values():
        protocols = method.get("mediaUpload", {}).get("protocols", {})
        yield Method(
            id=method["id"],
            verb=method["httpMethod"],
            path=prefix + method.get("flatPath", method["path"]),
            parameters=method.get("parameters", {}),
            request=method.get("request", {}).get("$ref"),
            response=method.get("response", {}).get("$ref"),
            media_paths=tuple(protocol["path"] for protocol in protocols.values()),
            downloads_media=method.get("supportsMediaDownload", False),
        )
    for inner in resource.get("resources", {}).values():
        yield from _methods(inner, prefix)


def _build_tree(document: Document) -> _Node:
    root = _Node()
    for method in document.methods:
        _plant(root, method.path, method.verb, Call(method, document))
        if method.downloads_media:
            _plant(root, f"download/{method.path}", method.verb, Call(method, document, DOWNLOAD))
        for path in method.media_paths:
            _plant(root, path, method.verb, Call(method, document, UPLOAD))
            # A resumable upload continues with PUT and is cancelled with DELETE, on the same path.
            _plant(root, path, "PUT", Call(method, document, UPLOAD_PART))
            _plant(root, path, "DELETE", Call(method, document, UPLOAD_PART))
    return root


def _plant(root: _Node, template: str, verb: str, call: Call) -> None:
    node = root
    *folders, last = template.strip("/").split("/")
    name, custom = _split_custom_verb(last)
    for segment in (*folders, name):
        if segment.startswith("{"):
            node.wildcard = node.wildcard or _Node()
            node = node.wildcard
        else:
            node = node.literals.setdefault(segment, _Node())
    node.ends.setdefault((verb, custom), call)


def _split_custom_verb(segment: str) -> tuple[str, str]:
    """Split ``{name}:cancel`` and ``models:upload`` at the colon."""
    name, colon, custom = segment.rpartition(":")
    return (name, custom) if colon and "}" not in custom else (segment, "")


def _walk(node: _Node, segments: list[str], index: int) -> Iterator[_Node]:
    """Yield the nodes that match ``segments``, literal ones first."""
    if index == len(segments):
        yield node
        return
    if (literal := node.literals.get(segments[index])) is not None:
        yield from _walk(literal, segments, index + 1)
    if node.wildcard is not None and segments[index]:
        yield from _walk(node.wildcard, segments, index + 1)
