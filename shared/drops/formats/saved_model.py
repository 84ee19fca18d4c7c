"""Reads from `saved_model.pb` which other files a SavedModel needs, and its signature, without TensorFlow.

The numbers of the fields are those of saved_model.proto and meta_graph.proto in
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/protobuf. The rules are on
https://docs.cloud.google.com/bigquery/docs/reference/standard-sql/bigqueryml-syntax-create-tensorflow
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shared.drops import limits
from shared.drops.formats.model_facts import Format
from shared.drops.formats.model_file import ModelFile
from shared.drops.formats.protobuf import Bytes, Field, Found, MalformedError, Message, find_fields
from shared.drops.formats.serving_signature import read_signature
from shared.drops.names import fault_of
from shared.errors import Rejected

# The operations whose values are in the checkpoint.
_VARIABLE_OPERATIONS = frozenset({b"Variable", b"VariableV2", b"VarHandleOp"})

# The fields that are read, by the numbers of their protocol buffers.
_NODE = Message({2: Bytes("operation", longest=max(map(len, _VARIABLE_OPERATIONS)))})
_FUNCTION = Message({3: _NODE})
_GRAPH = Message({1: _NODE, 2: Message({1: _FUNCTION})})
_ASSET = Message({2: Bytes("asset", longest=limits.NAME_BYTES)})
_OBJECT = Message({7: Bytes("variable")})
_META_GRAPH = Message({2: _GRAPH, 6: _ASSET, 7: Message({2: _OBJECT})}, name="graph")
_SAVED_MODEL: Mapping[int, Field] = {2: _META_GRAPH}


@dataclass(frozen=True)
class Graph:
    """The files that the graph of a SavedModel needs."""

    assets: tuple[str, ...]
    """Paths within the drop's folder, such as `assets/vocabulary.txt`."""
    has_variables: bool


def read_graph(file: ModelFile) -> Graph:
    """Return the files that the graph in `saved_model.pb` needs.

    Raises:
        Rejected: It is not a SavedModel, or it exceeds a limit of ``shared.drops.limits``.
    """
    if file.size > limits.GRAPH_BYTES:
        raise Rejected(
            f"{file.name} is larger than the {limits.GRAPH_BYTES // limits.MEBIBYTE} MB that BigQuery imports",
            code="too_large",
        )
    graphs = 0
    has_variables = False
    assets: set[str] = set()
    try:
        for found in find_fields(file, _SAVED_MODEL):
            match found.name:
                case "graph":
                    graphs += 1
                case "operation":
                    has_variables = has_variables or found.value in _VARIABLE_OPERATIONS
                case "variable":
                    has_variables = True
                case "asset":
                    assets.add(_asset_path(found, file.name))
                    if len(assets) > limits.ASSETS:
                        raise Rejected(
                            f"{file.name} names more than {limits.ASSETS:,} assets, the most that are read",
                            code="too_large",
                        )
    except MalformedError as error:
        raise Rejected(f"{file.name} is not a SavedModel: {error}", code="wrong_format") from error
    if not graphs:
        raise Rejected(f"{file.name} holds no graph", code="wrong_format")
    return Graph(tuple(sorted(assets)), has_variables)


def _asset_path(found: Found, file_name: str) -> str:
    """Return the path of an asset in the drop's folder."""
    if not isinstance(found.value, bytes):
        raise Rejected(
            f"{file_name} names an asset with more than {limits.NAME_BYTES} bytes, which no object name can have",
            code="wrong_format",
        )
    try:
        path = f"assets/{found.value.decode()}"
    except UnicodeDecodeError as error:
        raise Rejected(f"{file_name} names an asset that is not a text", code="wrong_format") from error
    if fault := fault_of(path):
        raise Rejected(f"{file_name} names the asset {path[:120]!r}, which {fault}", code="wrong_format")
    return path


FORMAT = Format("TENSORFLOW", (), limits.GRAPH_BYTES, read_signature)
