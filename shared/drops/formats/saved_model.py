"""Reads from `saved_model.pb` which other files a SavedModel needs, without TensorFlow.

Only the fields that are needed are declared; the parser skips the rest of the message.
https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/protobuf (saved_model.proto, meta_graph.proto)
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf import descriptor_pool, message, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto  # type: ignore[attr-defined]

from shared.errors import Rejected

# message: {field: (number, type, is repeated)}; a type that is a key of this table is a message.
_MESSAGES: dict[str, dict[str, tuple[int, str, bool]]] = {
    "SavedModel": {"meta_graphs": (2, "MetaGraphDef", True)},
    "MetaGraphDef": {
        "graph_def": (2, "GraphDef", False),
        "asset_file_def": (6, "AssetFileDef", True),
        "object_graph_def": (7, "SavedObjectGraph", False),
    },
    "GraphDef": {"node": (1, "NodeDef", True), "library": (2, "FunctionDefLibrary", False)},
    "NodeDef": {"op": (2, "string", False)},
    "FunctionDefLibrary": {"function": (1, "FunctionDef", True)},
    "FunctionDef": {"node_def": (3, "NodeDef", True)},
    "AssetFileDef": {"filename": (2, "string", False)},
    "SavedObjectGraph": {"nodes": (2, "SavedObject", True)},
    "SavedObject": {"variable": (7, "SavedVariable", False)},
    "SavedVariable": {"name": (6, "string", False)},
}

# The operations whose values are in the checkpoint.
_VARIABLE_OPERATIONS = frozenset({b"Variable", b"VariableV2", b"VarHandleOp"})


# https://docs.cloud.google.com/storage/docs/objects#naming
LONGEST_NAME_BYTES = 1024


@dataclass(frozen=True)
class Graph:
    """The files that the graph of a SavedModel needs."""

    assets: tuple[str, ...]
    """Paths within the drop's folder, such as `assets/vocabulary.txt`."""
    has_variables: bool


def read_graph(saved_model: bytes) -> Graph:
    """Return the files that the graph in `saved_model.pb` needs; raise ``Rejected`` if it is not a SavedModel."""
    parsed: Any = _message_class()()
    try:
        parsed.ParseFromString(saved_model)
    except message.DecodeError as error:
        raise Rejected("saved_model.pb is not a SavedModel", code="wrong_format") from error
    if not parsed.meta_graphs:
        raise Rejected("saved_model.pb holds no graph", code="wrong_format")
    try:
        assets = {f"assets/{asset.filename.decode()}" for graph in parsed.meta_graphs for asset in graph.asset_file_def}
    except UnicodeDecodeError as error:
        raise Rejected("saved_model.pb names an asset that is not a text", code="wrong_format") from error
    if any(len(asset.encode()) > LONGEST_NAME_BYTES for asset in assets):
        raise Rejected(
            "saved_model.pb names an asset with more bytes than an object name can have", code="wrong_format"
        )
    return Graph(tuple(sorted(assets)), any(map(_has_variables, parsed.meta_graphs)))


def _has_variables(meta_graph: Any) -> bool:
    if any(node.HasField("variable") for node in meta_graph.object_graph_def.nodes):
        return True
    functions = meta_graph.graph_def.library.function
    nodes = [meta_graph.graph_def.node, *(function.node_def for function in functions)]
    return any(node.op in _VARIABLE_OPERATIONS for each in nodes for node in each)


@cache
def _message_class() -> Any:
    package = "modeldrop.saved_model"
    file = FileDescriptorProto(name="modeldrop/saved_model.proto", package=package, syntax="proto3")
    for name, fields in _MESSAGES.items():
        declared = file.message_type.add(name=name)
        for field_name, (number, kind, repeated) in fields.items():
            field = declared.field.add(name=field_name, number=number)
            field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            if kind in _MESSAGES:
                field.type, field.type_name = field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                field.type = field.TYPE_BYTES
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.SavedModel"))
